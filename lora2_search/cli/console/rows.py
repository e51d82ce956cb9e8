"""Tables and lines on a terminal of any width."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from pydantic import BaseModel
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text


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


# Names and sentences may be cut into lines of at least so many characters, numbers never.
_LONGEST_PIECE = 24

_LONGEST_HEAD_PIECE = 12

_NUMBER = re.compile(r"[-+<~(±–−]? ?\.?\d[^,;]*(,\d{3}[^,;]*)*|[-–]|")


@dataclass(frozen=True)
class Extent:
    """How wide a column is.

    Attributes:
        least: The narrowest that splits no number.
        natural: The width of its longest cell.
    """

    least: int
    natural: int


def extent(head: str, cells: Sequence[str]) -> Extent:
    """Return how wide a column of these cells must and may be."""
    longest = max(map(cell_len, cells), default=0)
    natural = max(longest, cell_len(head))
    head_piece = min(_longest_word(head), _LONGEST_HEAD_PIECE)
    if all(_NUMBER.fullmatch(cell) for cell in cells):
        return Extent(max(longest, head_piece), natural)
    piece = max(map(_longest_word, cells), default=0)
    return Extent(max(min(piece, _LONGEST_PIECE), head_piece), natural)


def fitting(extents: Sequence[Extent], room: int, gap: int) -> list[int]:
    """Return the widths of the first columns that fit; the very first one is always among them.

    Args:
        extents: Of the columns, the most important one first.
        room: Characters in a line.
        gap: Characters between two columns.
    """
    shown, taken = 0, -gap
    for item in extents:
        if shown and taken + gap + item.least > room:
            break
        shown, taken = shown + 1, taken + gap + item.least
    spare, widths = room - taken, []
    for item in extents[:shown]:
        more = max(0, min(spare, item.natural - item.least))
        widths.append(item.least + more)
        spare -= more
    return widths


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


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
        hidden = ", ".join(dict.fromkeys(map(short, left_out)))
        print(f"Not shown: {hidden}. --wide shows every column.")


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout; NaN, which JSON does not have, becomes null."""
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
