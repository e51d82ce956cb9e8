"""Which columns of a table fit into a terminal, and how wide each one is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

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
