"""Tables on a terminal of any width."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from .table import Table

# Names and sentences may be cut into lines of at least so many characters, numbers never.
_LONGEST_PIECE = 24

_LONGEST_HEAD_PIECE = 12

_NUMBER = re.compile(r"[-+<~(±–−]? ?\.?\d[^,;]*(,\d{3}[^,;]*)*|[-–]|")

# What moves a cursor, colours a terminal or turns the direction of text.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

_GAP = 2


def print_table(table: Table, *, wide: bool | None = None, width: int | None = None) -> None:
    """Print a table on stdout; columns that are empty everywhere are left out.

    Into a terminal go the first columns that fit it with every number on one line, and the names
    of the others below. In a pipe, which has no width, rows stay whole lines, for grep.

    Args:
        table: The table.
        wide: Whether ``--wide`` was given: every column, in lines as long as they need. ``None``
            for a verb without that option, whose columns are all printed however long the lines.
        width: Characters in a line; by default those of the terminal.
    """
    by_column = list(zip(*table.cells, strict=True)) or [() for _ in table.columns]
    filled = [
        (column, [escaped(cell) for cell in cells])
        for column, cells in zip(table.columns, by_column, strict=True)
        if any(cells)
    ]
    titles = [escaped(column.title) for column, _ in filled]
    extents = [extent(title, cells) for title, (_, cells) in zip(titles, filled, strict=True)]
    room, widths = _layout(extents, wide, width)
    grid = Grid(box=None, pad_edge=False)
    for (column, _), title, cell_width in zip(filled, titles, widths, strict=False):
        grid.add_column(Text(title), justify=column.align, overflow="fold", width=cell_width)
    for cells in zip(*(cells for _, cells in filled[: len(widths)]), strict=True):
        grid.add_row(*map(Text, cells))
    Console(highlight=False, width=room).print(grid)
    if left_out := titles[len(widths) :]:
        print(f"Not shown: {', '.join(dict.fromkeys(left_out))}. --wide shows every column.")


def escaped(text: str) -> str:
    """Return plain text as a terminal shows it, on one line."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.splitlines()))


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
