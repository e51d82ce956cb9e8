"""``spaces``: the search spaces that ship and those in a folder; their JSON Schema for editors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..config import read_yaml
from ..config.space import Space, load_space, space_schema
from ..errors import ConfigError, UserError
from ..store import home, shipped, write_text

SCHEMA_FILE = "space.schema.json"


@dataclass(frozen=True)
class SpaceSummary:
    """One space in a list.

    Attributes:
        name: By which ``tune`` takes it: a shipped one's file name, else the path.
        searched: Searched settings, dotted.
        problem: What keeps it from being read; empty where nothing does.
    """

    name: str
    shipped: bool
    task: str = ""
    model: str = ""
    method: str = ""
    searched: tuple[str, ...] = ()
    trials: int | None = None
    hours: float | None = None
    problem: str = ""


def list_spaces(folder: Path | None = None) -> list[SpaceSummary]:
    """Return the shipped spaces, then those in a folder; other YAML files are left out.

    Args:
        folder: By default the working folder.

    Raises:
        UserError: There is no such folder.
    """
    where = (folder or Path.cwd()).expanduser()
    if not where.is_dir():
        raise UserError(f"no folder {where}")
    own = [path for path in sorted(where.glob("*.yaml")) if _is_space(path)]
    known = shipped("search_spaces")
    listed = [_summary(path, path.name, True) for path in sorted(known.glob("[!_]*.yaml"))]
    if where.resolve() == known.resolve():
        return listed
    prefix = folder or Path()
    return listed + [_summary(path, str(prefix / path.name), False) for path in own]


def spelled_out(name: str, overrides: Sequence[str] = ()) -> str:
    """Return a space as YAML with every key spelled out, whatever it extends.

    Raises:
        UserError: No such file.
        ConfigError: Everything that is wrong with it.
    """
    space = load_space(name, overrides)
    return yaml.safe_dump(space.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def check_spaces(names: Sequence[str], overrides: Sequence[str] = ()) -> dict[str, list[str]]:
    """Return what is wrong with spaces, by name; nothing of those that can run.

    Model and data are not looked at: ``tune --dry-run`` does that.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        found[name] = []
        try:
            load_space(name, overrides)
        except ConfigError as error:
            found[name] = [str(problem) for problem in error.problems]
        except UserError as error:
            found[name] = [str(error)]
    return found


def schema_text() -> str:
    """Return the JSON Schema of a space's file."""
    return json.dumps(space_schema(), indent=1, ensure_ascii=False) + "\n"


def modeline(path: Path) -> str:
    """Return the comment by which editors find the schema of a YAML file."""
    return f"# yaml-language-server: $schema={path.as_uri()}"


def write_schema(out: Path | None = None) -> Path:
    """Write the JSON Schema of this version, by default into the home, and return its path.

    Raises:
        UserError: The file cannot be written.
    """
    path = (out or home() / SCHEMA_FILE).expanduser().absolute()
    try:
        write_text(path, schema_text())
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None
    return path


def _is_space(path: Path) -> bool:
    try:
        return "search" in read_yaml(path).data
    except UserError:
        return False


def _summary(path: Path, name: str, is_shipped: bool) -> SpaceSummary:
    try:
        space = load_space(str(path))
    except UserError as error:
        return SpaceSummary(name, is_shipped, problem=str(error).splitlines()[0])
    return SpaceSummary(
        name,
        is_shipped,
        task=space.task,
        model=space.model.name_or_path,
        method=", ".join(_methods(space)),
        searched=tuple(space.search),
        trials=space.trials,
        hours=space.hours,
    )


def _methods(space: Space) -> Iterator[str]:
    searched = space.search.get("method")
    yield from map(str, searched.choices or ()) if searched else (space.method,)
