"""Tables and lines on a terminal of any width."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel

from ...report import Column, Table, print_table


def short(key: str) -> str:
    """Return the last part of a dotted setting: ``lr`` of ``training.lr``."""
    return key.rpartition(".")[2]


def plain(value: Any) -> str:
    """Return a setting's value, a float in at most three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def number(score: float) -> str:
    """Return a score in four digits, a dash where there is none."""
    return "-" if math.isnan(score) else f"{score:z.4f}"


def duration(seconds: float) -> str:
    """Return a time as people say it: ``45 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def print_rows(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] = (),
    *,
    wide: bool | None = None,
    width: int | None = None,
) -> None:
    """Print rows of settings and records as a table on stdout, as `report.print_table` does.

    Args:
        rows: Values by column name; ``None`` is an empty cell.
        columns: Which, in which order; by default those of the first row.
        wide: Whether ``--wide`` was given: every column, in lines as long as they need. ``None``
            for a verb without that option, whose columns are all printed however long the lines.
        width: Characters in a line; by default those of the terminal.
    """
    names = columns or list(rows[0] if rows else ())
    table = Table(tuple(Column(name, short(name), "left", _cell) for name in names), tuple(rows))
    print_table(table, wide=wide, width=width)


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout; NaN, which JSON does not have, becomes null."""
    print(json.dumps(_finite(value), indent=1))


def _cell(value: Any) -> str:
    return "" if value is None else plain(value)


def _finite(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _finite(value.model_dump())
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _finite(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def mib(size: int) -> str:
    """Return a size in bytes for people."""
    return f"{size / 2**20:.2f} MiB"
