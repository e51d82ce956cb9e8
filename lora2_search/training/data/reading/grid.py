"""Cut a csv's text into rows of equal length: Python's csv module, strict; no row is repaired."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import dataclass

from .table import Unreadable


@dataclass(frozen=True)
class Grid:
    """Rows of equal length.

    Attributes:
        rows: The first is the first line of the file, header or not.
        lines: Where each row begins, from 1.
        dropped: Empty fields that every row has after the header's last name.
    """

    rows: list[list[str]]
    lines: list[int]
    dropped: int = 0

    @property
    def width(self) -> int:
        """Columns."""
        return len(self.rows[0])


def grid(text: str, separator: str, quoted: bool) -> Grid:
    """Cut a text into rows and fields; blank lines are skipped.

    Args:
        text: The file.
        separator: One character.
        quoted: Whether ``"`` quotes a field, or is a letter like others.

    Raises:
        Unreadable: A quote is not closed or not doubled, or a row has more or fewer fields than
            the first; with its line.
    """
    rows, lines = _rows(text, separator, quoted)
    if not rows:
        raise Unreadable("it is empty")
    width = len(rows[0])
    if (dropped := _trailing(rows, width)) > 0:
        rows = [rows[0], *(row[:width] for row in rows[1:])]
    _check_widths(rows, lines, width, quoted)
    return Grid(rows, lines, dropped)


def _rows(text: str, separator: str, quoted: bool) -> tuple[list[list[str]], list[int]]:
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    rows, lines, line = [], [], 1
    # A field may be as long as its file; the module has one limit for the whole process.
    limit = csv.field_size_limit(sys.maxsize)
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise Unreadable(f"line {line}: {_explained(str(error))}") from None
    finally:
        csv.field_size_limit(limit)
    return rows, lines


def _explained(error: str) -> str:
    if "unexpected end" in error:
        return 'a field begins with a quote (") that is never closed'
    if "expected after" in error:
        return (
            'a quoted field continues after its closing quote; inside quotes write " twice ("") '
            "and no backslash"
        )
    return error


def _trailing(rows: list[list[str]], width: int) -> int:
    """Return how many empty fields every row ends in beyond the header; 0 where rows differ."""
    more = len(rows[1]) - width if len(rows) > 1 else 0
    alike = all(len(row) == width + more and not any(row[width:]) for row in rows[1:])
    return more if more > 0 and alike else 0


def _check_widths(rows: list[list[str]], lines: list[int], width: int, quoted: bool) -> None:
    wrong = [i for i, row in enumerate(rows) if len(row) != width]
    if not wrong:
        return
    first = wrong[0]
    others = f" (and {len(wrong) - 1:,} more rows differ)" if len(wrong) > 1 else ""
    fields = f"{len(rows[first])} field{'s' if len(rows[first]) != 1 else ''}"
    remedy = (
        'quote texts that hold the separator or a line break ("...")'
        if quoted
        else "a text must hold neither tabs nor line breaks, unless it is quoted and data.quotes "
        "is true"
    )
    raise Unreadable(f"line {lines[first]} has {fields}, the first line {width}{others}: {remedy}")
