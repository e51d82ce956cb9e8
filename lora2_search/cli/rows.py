"""Print results: rows as a table, values as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .columns import Extent, extent, fitting
from .live import plain, short

_GAP = 2


def print_rows(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] = (),
    *,
    wide: bool | None = None,
    width: int | None = None,
) -> None:
    """Print rows as a table on stdout; columns that are empty everywhere are left out.

    Into a terminal go the first columns that fit it with every number on one line, and the names
    of the others below. In a pipe, which has no width, rows stay whole lines, for grep.

    Args:
        rows: Values by column name; ``None`` is an empty cell.
        columns: Which, in which order; by default those of the first row.
        wide: Whether ``--wide`` was given: every column, in lines as long as they need. ``None``
            for a verb without that option, whose columns are all printed however long the lines.
        width: Characters in a line; by default those of the terminal.
    """
    names = columns or list(rows[0] if rows else ())
    filled = [name for name in names if any(row.get(name) not in (None, "") for row in rows)]
    cells = {name: [_cell(row.get(name)) for row in rows] for name in filled}
    room, widths = _layout([extent(short(name), cells[name]) for name in filled], wide, width)
    table = Table(box=None, pad_edge=False)
    for name, cell_width in zip(filled, widths, strict=False):
        table.add_column(short(name), overflow="fold", width=cell_width)
    for index in range(len(rows)):
        table.add_row(*(Text(cells[name][index]) for name in filled[: len(widths)]))
    Console(highlight=False, width=room).print(table)
    if left_out := filled[len(widths) :]:
        told = ", ".join(dict.fromkeys(map(short, left_out)))
        print(f"Not shown: {told}. --wide shows every column.")


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout; NaN, which JSON has not, becomes null."""
    print(json.dumps(_finite(value), indent=1))


def _layout(
    extents: Sequence[Extent], wide: bool | None, width: int | None
) -> tuple[int, list[int]]:
    """Return the length of a line and the widths of the columns that are printed."""
    console = Console()
    room = width or (console.width if console.is_terminal else None)
    if room is not None and not wide:
        widths = fitting(extents, room, _GAP)
        if wide is False or len(widths) == len(extents):
            return max(room, *widths, 1), widths
    whole = [item.natural for item in extents]
    return max(1, sum(whole) + _GAP * len(whole)), whole


def _cell(value: Any) -> str:
    return "" if value is None else plain(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
