"""JSON: one object per line, or one list of objects. Numbers keep the digits as written."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from .table import Column, Declared, Table, Unreadable, named_twice, shown


class _Number(str):
    """A number as written: 1.10 stays apart from 1.1, and no digit of a long one is lost."""


_KINDS: dict[type, Declared] = {str: "text", _Number: "number", bool: "boolean"}


def read_json(text: str, source: str) -> Table:
    """Return the table of a JSON file; an absent key and null are missing cells.

    Raises:
        Unreadable: A line or row is not an object, is broken, or holds a key twice.
    """
    unit, rows = _rows(text)
    said = (f"{source}: a JSON list of objects, not one per line.",) if unit == "row" else ()
    if not rows:
        raise Unreadable("it holds no rows")
    names = dict.fromkeys(name for _, row in rows for name in row)
    columns = {name: _column([row.get(name) for _, row in rows]) for name in names}
    return Table(source, columns, tuple(place for place, _ in rows), unit, said)


def _rows(text: str) -> tuple[str, list[tuple[int, dict[str, object]]]]:
    if text.lstrip().startswith("["):
        try:
            whole = _parsed(text)
        except json.JSONDecodeError as error:
            if error.msg != "Extra data":
                raise Unreadable(f"line {error.lineno}: {error.msg}") from None
        else:
            return "row", [(n, _object(row, f"row {n}")) for n, row in enumerate(whole, 1)]
    return "line", list(_lines(text))


def _lines(text: str) -> Iterator[tuple[int, dict[str, object]]]:
    # Only line feeds end a line: JSON may hold other separators of Unicode inside a string.
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        if line.strip():
            try:
                row = _parsed(line)
            except json.JSONDecodeError as error:
                raise Unreadable(
                    f"line {number}: {error.msg} at character {error.colno}; each line holds one "
                    "object, or the file one list of objects"
                ) from None
            except Unreadable as error:
                raise Unreadable(f"line {number}: {error}") from None
            yield number, _object(row, f"line {number}")


def _parsed(text: str) -> Any:
    try:
        return json.loads(
            text,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_constant,
            object_pairs_hook=_pairs,
        )
    except RecursionError:
        raise Unreadable("lists and objects are nested too deep") from None


def _constant(name: str) -> _Number | None:
    return None if name == "NaN" else _Number(name.replace("Infinity", "inf"))


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if (problem := named_twice([name for name, _ in pairs])) is not None:
        raise Unreadable(problem)
    return dict(pairs)


def _object(row: object, place: str) -> dict[str, object]:
    if not isinstance(row, dict):
        raise Unreadable(
            f'{place} is not an object with column names: write {{"text": ..., "label": ...}}, '
            f"not {shown(json.dumps(row))}"
        )
    return row


def _written(value: object) -> str:
    """Return a value as JSON, with the digits of its numbers."""
    if isinstance(value, _Number):
        return value.replace("inf", "Infinity")
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)}: {_written(each)}" for key, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    return json.dumps(value)


def _cell(value: object) -> str:
    if not isinstance(value, (list, dict)):
        return str(value)
    try:
        return _written(value)
    except RecursionError:
        raise Unreadable("lists and objects are nested too deep") from None


def _column(values: list[object]) -> Column:
    cells = tuple(map(_cell, values))
    kept = tuple(
        cell if cell and value is not None else None
        for cell, value in zip(cells, values, strict=True)
    )
    kinds = {type(value) for value, cell in zip(values, kept, strict=True) if cell is not None}
    if kinds & {list, dict}:
        return Column(kept, "nested")
    return Column(kept, _KINDS[kinds.pop()] if len(kinds) == 1 else "unknown")
