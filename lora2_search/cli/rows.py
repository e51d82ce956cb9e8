"""Print results: rows as a table, values as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .live import plain, short

# A pipe has no width: rows stay whole lines there, for grep.
PIPE_WIDTH = 400


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """Print rows as a table on stdout; columns that are empty everywhere are left out.

    Args:
        rows: Values by column name; ``None`` is an empty cell.
        columns: Which, in which order; by default those of the first row.
    """
    names = columns or list(rows[0] if rows else ())
    filled = [name for name in names if any(row.get(name) not in (None, "") for row in rows)]
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPE_WIDTH)
    table = Table(box=None, pad_edge=False)
    for name in filled:
        table.add_column(short(name), overflow="fold")
    for row in rows:
        cells = (row.get(name) for name in filled)
        table.add_row(*(Text("" if cell is None else plain(cell)) for cell in cells))
    console.print(table)


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout; NaN, which JSON has not, becomes null."""
    print(json.dumps(_finite(value), indent=1))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
