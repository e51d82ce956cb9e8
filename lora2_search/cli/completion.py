"""What the shell offers when Tab is pressed: files, names of what was run, settings.

Each function takes what was typed so far and returns whole words. They run at every Tab, so they
look at names of files and folders alone. Where nothing is returned, bash and zsh offer files, and
write blanks in them as they have to be written: so paths are left to them.
"""

from __future__ import annotations

from glob import escape
from pathlib import Path

from ..store import home, shipped

_YAML = (".yaml", ".yml")


def spaces(incomplete: str) -> list[str]:
    """Return the shipped spaces and the YAML files of this folder."""
    return _files("search_spaces", incomplete)


def suites(incomplete: str) -> list[str]:
    """Return the shipped suites and the YAML files of this folder."""
    return _files("ablations", incomplete)


def studies(incomplete: str) -> list[str]:
    """Return the names of studies."""
    return _names(["studies"], incomplete)


def resumable(incomplete: str) -> list[str]:
    """Return the names of studies, suites and single runs."""
    return _names(["studies", "suites", "runs"], incomplete)


def names(incomplete: str) -> list[str]:
    """Return the names of all that was run; after ``name/`` those of its runs."""
    if "/" in incomplete:
        return _inside(incomplete)
    return _names(["studies", "suites", "runs", "verifications"], incomplete)


def settings(incomplete: str) -> list[str]:
    """Return settings with the sign that assigns a value: ``adapter.k=``."""
    from ..config import known_settings

    return [f"{name}=" for name in known_settings() if name.startswith(incomplete)]


def _files(kind: str, incomplete: str) -> list[str]:
    if "/" in incomplete or (incomplete and _begins_folder(incomplete)):
        return []
    known = [path.stem for path in shipped(kind).glob("*.yaml") if not path.name.startswith("_")]
    here = [path.name for path in Path().glob("[!.]*") if path.suffix in _YAML]
    words = (word for word in {*known, *here} if word.split() == [word])
    return sorted(word for word in words if word.startswith(incomplete))


def _begins_folder(incomplete: str) -> bool:
    return any(path.is_dir() for path in Path().glob(f"{escape(incomplete)}*"))


def _names(folders: list[str], incomplete: str) -> list[str]:
    found = {path.name for folder in folders for path in (home() / folder).glob("[!.]*/")}
    return sorted(name for name in found if name.startswith(incomplete))


def _inside(incomplete: str) -> list[str]:
    outer, _, inner = incomplete.partition("/")
    runs = {
        str(int(folder.name)) if folder.name.isdigit() else folder.name
        for kind in ("studies", "suites")
        for folder in (record.parent for record in (home() / kind / outer).glob("*/*/record.json"))
    }
    return sorted(f"{outer}/{run}" for run in runs if run.startswith(inner))
