"""Read YAML safely and remember where each key was written."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .errors import ConfigError, Problem
from .home import shipped
from .plain_yaml import MOST_BYTES, MOST_DEPTH, MOST_DIGITS, MOST_KEYS, MOST_VALUES, parse
from .plain_yaml import KeyPath as KeyPath

# A longer chain is a mistake.
_MOST_EXTENDED = 20
_MOST_SHOWN = 200
_ASSIGNED = "--set "
_SHIPPED = ("search_spaces", "ablations")


@dataclass
class Source:
    """A mapping read from YAML, Python or the command line.

    Attributes:
        data: The nested mapping.
        where: ``file:line``, or the assignment, of each key path.
        name: What to call the whole source in a message.
    """

    data: dict[str, Any]
    where: dict[KeyPath, str] = field(default_factory=dict)
    name: str = ""

    def place(self, path: KeyPath) -> str:
        """Return where ``path``, or its nearest written parent, stands."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.where:
                return self.where[path[:end]]
        return self.name

    def error(self, problems: Iterable[Problem]) -> ConfigError:
        """Return the mistakes, each once; one that an assignment brought stands at it.

        A rule between settings is told under their group. Where its message gives the value of a
        setting that was assigned (``target_rank=9``), the assignment is what broke it.
        """
        assigned = {
            path[-1]: place for path, place in self.where.items() if place.startswith(_ASSIGNED)
        }
        return ConfigError(list(dict.fromkeys(_blamed(problem, assigned) for problem in problems)))

    def check_size(self) -> None:
        """Check that the data end, and are no larger than settings are; aliases count each time.

        Raises:
            ConfigError: They contain themselves, nest too deep or hold too much.
        """
        left = MOST_VALUES

        def visit(value: Any, path: KeyPath) -> None:
            nonlocal left
            left -= 1
            problem = None
            if left < 0:
                problem = f"stands for more than {MOST_VALUES:,} values, aliases unfolded"
            elif len(path) > MOST_DEPTH:
                problem = f"nests deeper than {MOST_DEPTH} levels, aliases unfolded"
            elif isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
                problem = f"a whole number has at most {MOST_DIGITS} digits"
            elif isinstance(value, dict) and len(value) > MOST_KEYS:
                problem = f"holds {len(value):,} keys; at most {MOST_KEYS:,} are read"
            if problem is not None:
                raise ConfigError([Problem(".".join(path[:2]), problem, self.place(path[:2]))])
            if isinstance(value, dict):
                for key, inner in value.items():
                    visit(inner, (*path, str(key)))
            elif isinstance(value, list):
                for inner in value:
                    visit(inner, (*path, "0"))

        visit(self.data, ())


def _blamed(problem: Problem, assigned: Mapping[str, str]) -> Problem:
    if problem.where.startswith(_ASSIGNED):
        return problem
    named = re.findall(r"(\w+)=", problem.message)
    places = [assigned[name] for name in dict.fromkeys(named) if name in assigned]
    return replace(problem, where=", ".join(places)) if places else problem


def read_yaml(path: Path, _seen: tuple[Path, ...] = ()) -> Source:
    """Read a YAML mapping with its ``extends:`` chain resolved.

    ``extends`` names a file from the folder of the one that says so, else a shipped space or suite.
    The file's own keys win over those of the file it extends; mappings merge key by key.

    Raises:
        ConfigError: The file is missing, larger than settings are, no text, no mapping, extends
            itself, or holds what ``plain_yaml.parse`` refuses.
    """
    path = path.absolute()
    if path in _seen:
        chain = " -> ".join(item.name for item in (*_seen, path))
        raise ConfigError([Problem("extends", f"the files extend each other: {chain}", str(path))])
    own = _read(path)
    if "extends" not in own.data:
        return own
    parent, place = own.data.pop("extends"), own.place(("extends",))
    if parent is None:
        return own
    if not isinstance(parent, str):
        raise ConfigError([Problem("extends", f"must be a file name, but got {parent!r}", place)])
    target = _extended(path, parent)
    if target is None:
        message = (
            f"no file {path.parent / parent}, and none of that name ships; name a YAML file beside "
            f"{path.name}, or a shipped one such as quickstart.yaml"
        )
        raise ConfigError([Problem("extends", message, place)])
    if len(_seen) >= _MOST_EXTENDED:
        message = f"more than {_MOST_EXTENDED} files extend each other in a row; write them as one"
        raise ConfigError([Problem("extends", message, place)])
    base = read_yaml(target, (*_seen, path))
    own.check_size()
    base.check_size()
    data = merge(base.data, own.data)
    return Source(data, _laid_over(base.where, own.where, own.data, data), own.name)


def _extended(path: Path, name: str) -> Path | None:
    """Return the file that ``path`` extends, ``None`` where there is none."""
    beside = path.parent / name
    there = [beside] if os.path.isfile(beside) else []  # unlike Path.is_file, never fails
    # A bare name alone: a path says where to look.
    bare = os.path.basename(name) == name
    also = [shipped(kind) / name for kind in _SHIPPED] if bare else []
    candidates = there + [item for item in also if os.path.isfile(item)]
    others = [item for item in candidates if item != path]
    return next(iter(others or candidates), None)


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid on top; a searched setting is replaced as a whole."""
    result = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict) and "." not in str(key):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result


def with_overrides(source: Source, assignments: Sequence[str]) -> Source:
    """Lay ``key=value`` assignments (``adapter.k=4``) over a source.

    Values are YAML. A setting that is assigned is no longer searched.

    Raises:
        ConfigError: An assignment has no ``=`` or its value is broken YAML; all of them together.
    """
    problems: list[Problem] = []
    for text in assignments:
        try:
            source = _assigned(source, text)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return source


def _assigned(source: Source, text: str) -> Source:
    written, sign, raw = text.partition("=")
    key = written.strip()
    place = _ASSIGNED + (text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…")
    if not sign or not key:
        raise ConfigError([Problem("", "must read key=value, for example adapter.k=4", place)])
    path = _key_path(key)
    if len(path) > MOST_DEPTH:
        raise ConfigError([Problem("", f"names a key of {len(path)} parts", place)])
    try:
        value, inner = parse(raw, lambda line: place)
    except ConfigError as error:
        keys = [".".join(filter(None, (key, problem.key))) for problem in error.problems]
        found = [replace(p, key=key) for p, key in zip(error.problems, keys, strict=True)]
        raise ConfigError(found) from None
    nested: Any = value
    for part in reversed(path):
        nested = {part: nested}
    Source(nested, {path: place}).check_size()
    data = merge(source.data, nested)
    searched = data.get("search")
    if isinstance(searched, dict) and key in searched:
        data = {**data, "search": {k: v for k, v in searched.items() if k != key}}
    where = {path: place, **{(*path, *below): place for below in inner}}
    return Source(data, _laid_over(source.where, where, nested, data), source.name)


def _laid_over(
    base: Mapping[KeyPath, str], own: Mapping[KeyPath, str], over: Any, merged: Any
) -> dict[KeyPath, str]:
    """Return where the keys of merged data stand: what was replaced whole stands no longer."""

    def is_replaced(path: KeyPath) -> bool:
        new, now = over, merged
        for part in path:
            if not isinstance(new, dict) or part not in new:
                return False
            new, now = new[part], now[part]
            if new is now:
                return True
        return False

    return {**{path: place for path, place in base.items() if not is_replaced(path)}, **own}


def _key_path(key: str) -> KeyPath:
    # Below `search` the keys are themselves dotted names of settings.
    head, _, rest = key.partition(".")
    return (head, rest) if head == "search" and rest else tuple(key.split("."))


def _read(path: Path) -> Source:
    if os.path.isdir(path):
        raise ConfigError([Problem("", "is a folder; name a YAML file", str(path))])
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        text = _decoded(raw)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError([Problem("", f"cannot be read: {why}", str(path))]) from None
    data, where = parse(text, lambda line: f"{path}:{line + 1}")
    if data is None:
        data = {}
    if not isinstance(data, dict):
        message = f"must be a mapping of settings, but got {type(data).__name__}"
        raise ConfigError([Problem("", message, str(path))])
    return Source(data, where, str(path))


def _decoded(raw: bytes) -> str:
    """Return the text of a file: UTF-8, or UTF-16 that says so by its first two bytes."""
    if len(raw) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES:,} bytes, more than any settings are")
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"line {line} is no UTF-8 (byte 0x{raw[error.start]:02x}); save the file as UTF-8"
        ) from None
