"""Where things live: the home folder, the shipped spaces and suites."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import Argument, RequestError, UserError, nearest

HOME_VARIABLE = "LORA2_SEARCH_HOME"

# The one place that counts folders: a module that moves must not lose the package.
PACKAGE = Path(__file__).parents[1]


def home() -> Path:
    """Return the home folder, ``$LORA2_SEARCH_HOME`` or ``~/.cache/lora2_search``, made if absent.

    Raises:
        UserError: The folder cannot be made or written.
    """
    return writable_folder(home_path(), f"set {HOME_VARIABLE} to a folder that you can write to")


def home_path() -> Path:
    """Return where the home folder is, or would be."""
    given = os.environ.get(HOME_VARIABLE) or "~/.cache/lora2_search"
    # Without `..`, which `Path.absolute` keeps: paths in it are compared.
    return Path(os.path.abspath(os.path.expanduser(given)))


def writable_folder(folder: Path, *remedy: str | Argument) -> Path:
    """Make ``folder`` and return it.

    Raises:
        UserError: It cannot be made or written; the message ends with ``remedy``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"cannot create the folder {folder}: {error.strerror or error}; ", *remedy
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RequestError(f"the folder {folder} cannot be written; ", *remedy)
    return folder


def shipped(kind: str) -> Path:
    """Return the folder of shipped files, ``kind`` being ``search_spaces`` or ``ablations``."""
    inside = PACKAGE / kind
    return inside if inside.is_dir() else PACKAGE.parent / kind


def display_path(path: str | Path) -> str:
    """Return a path for people: a relative one with the folder that it was looked for in."""
    known = Path(path).is_absolute() or str(path).startswith("~")
    return str(path) if known else f"{path} in {Path.cwd()}"


def find_file(name: str, kind: str) -> Path:
    """Resolve a space or suite given by path, by file name or by bare name.

    A path that exists wins; else the shipped file of that name is taken.

    Raises:
        UserError: It is a folder, or nothing of that name exists; the message names the nearest
            shipped file, or all where none is near.
    """
    given = Path(os.path.expanduser(name))
    # Unlike Path.is_file, os.path fails at no name, however long or odd.
    if os.path.isfile(given):
        return given
    folder = shipped(kind)
    for candidate in (folder / given.name, folder / f"{given.name}.yaml"):
        if given.parent == Path(".") and os.path.isfile(candidate):
            return candidate
    if os.path.isdir(given):
        raise UserError(f"{name} is a folder; name a YAML file, for example one in it")
    # Those with an underscore are only extended by others.
    known = sorted(path.stem for path in folder.glob("[!_]*.yaml"))
    near = nearest(given.name.removesuffix(".yaml"), known)
    end = given.suffix if given.suffix == ".yaml" else ""
    listed = ", ".join(f"{stem}{end}" for stem in known)
    hint = f'did you mean "{near}{end}"?' if near else f"shipped: {listed}"
    raise UserError(f"no file {name}, and no shipped file has that name; {hint}")
