"""Spaces and suites as people and editors damage them: seeded, so that a number names a case."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from lora2_search.store.paths import shipped

KINDS = ("search_spaces", "ablations")
FILES = [path for kind in KINDS for path in sorted(shipped(kind).glob("[!_]*.yaml"))]

Path_ = tuple[Any, ...]

_VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2.5, 10**17, 10**400, -(10**30), 1e308, 1e-300, 5e-324),
    *(float("inf"), float("nan"), "", " ", "a", "no", "01", "8", "ü", "日本", "🙂", "\u202e"),
    *("x" * 4000, "~nobody/x", "a/../b", "%s{0}", "nan", "../" * 400, "\n\n", "[", "*"),
    *([], {}, [[]], [None], {"a": {}}, [1, "a", None, 2.5], list(range(300)), [{}] * 5),
    *({"type": "int", "low": 1, "high": 10**16}, {"low": 1}, [[1], [2]], {"x" * 300: 1}),
    *({1: 2}, {None: 1}, {True: 1}, {2.5: {}}, [True, False], ["base", "base"], [10**9, 0]),
]
_DAMAGE = [
    *(":", "\t", "- ", "{", "}", "[", "]", '"', "'", "&a ", "*a", "!!int ", "!!set ", "!!binary "),
    *("<<: ", "? ", "| ", "> ", "%", "@", "`", "#", "---\n", "...\n", "\x00", "\x07", "\ufeff"),
    *("\u2028", "\\", '"\\ud800"', '"\\x', "1:30", "2024-13-45", "9" * 5000, "!!python/name:os "),
    *("&a {<<: *a}", "[" * 50, "{a: " * 50, "? [a]\n: b\n", "\r", "é", "- - - ", "!<%FF> ", "= "),
]


def mutated_file(number: int, folder: Path) -> Path:
    """Write case ``number`` into ``folder``, beside what its shipped original extends."""
    rng = random.Random(number)
    original = FILES[number % len(FILES)]
    for base in original.parent.glob("_*.yaml"):
        (folder / base.name).write_bytes(base.read_bytes())
    text = original.read_text(encoding="utf-8")
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        text = rng.choice([_damaged, _with_data_mutated, _with_data_mutated])(rng, text)
    raw = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:
        raw = rng.choice([_as_utf16, _as_latin, _cut, _flipped])(rng, raw)
    path = folder / original.name
    path.write_bytes(raw)
    return path


def is_suite(number: int) -> bool:
    """Return whether a case is a suite; else it is a space."""
    return FILES[number % len(FILES)].parent.name == "ablations"


def _damaged(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text) + 1)
    what = rng.choice(_DAMAGE)
    lines = text.splitlines(keepends=True)
    line = rng.randrange(len(lines) or 1)
    action = rng.randrange(5)
    if action == 0:
        return text[:at] + what + text[at:]
    if action == 1:
        return text[:at] + text[at + rng.randrange(1, 30) :]
    if action == 2:
        return "".join([*lines[:line], *lines[line : line + 1] * 2, *lines[line + 1 :]])
    if action == 3:
        return "".join([*lines[:line], " " * rng.randrange(1, 4), *lines[line:]])
    return "".join([*lines[:line], *lines[line + 1 :]])


def _with_data_mutated(rng: random.Random, text: str) -> str:
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, AttributeError, TypeError):
        return _damaged(rng, text)
    places = list(_places(data, ()))
    if not places:
        return _damaged(rng, text)
    rng.choice([_replace, _replace, _replace, _rename, _drop, _wrap])(rng, data, rng.choice(places))
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=10**6)


def _places(data: Any, path: Path_) -> Any:
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from _places(value, (*path, key))


def _parent(data: Any, path: Path_) -> Any:
    for part in path[:-1]:
        data = data[part]
    return data


def _replace(rng: random.Random, data: Any, path: Path_) -> None:
    _parent(data, path)[path[-1]] = rng.choice(_VALUES)


def _rename(rng: random.Random, data: Any, path: Path_) -> None:
    parent = _parent(data, path)
    name = str(path[-1])
    others = [name + "s", name.upper(), name[1:], "x" * 500, "", 8, None, True, "search", "arms"]
    if isinstance(parent, dict):
        parent[rng.choice(others)] = parent.pop(path[-1])


def _drop(rng: random.Random, data: Any, path: Path_) -> None:
    _parent(data, path).pop(path[-1])


def _wrap(rng: random.Random, data: Any, path: Path_) -> None:
    parent, last = _parent(data, path), path[-1]
    wraps: list[Callable[[Any], Any]] = [
        lambda value: [value],
        lambda value: {"a": value},
        lambda value: [value] * 3,
        lambda value: [[[[value]]]],
        str,
    ]
    parent[last] = rng.choice(wraps)(parent[last])


def _as_utf16(rng: random.Random, raw: bytes) -> bytes:
    return raw.decode("utf-8", "replace").encode(rng.choice(["utf-16", "utf-16-le", "utf-32"]))


def _as_latin(rng: random.Random, raw: bytes) -> bytes:
    return raw.decode("utf-8", "replace").encode("cp1252", "replace") + b"# \xe9\n"


def _cut(rng: random.Random, raw: bytes) -> bytes:
    return raw[: rng.randrange(len(raw) + 1)]


def _flipped(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw) or 1)
    return raw[:at] + bytes([rng.randrange(256)]) + raw[at + 1 :]
