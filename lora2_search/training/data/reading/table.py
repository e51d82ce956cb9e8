"""A table of text cells, and where in its file each row stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

# What the file says of a column: a csv says nothing, JSON and parquet tell text from numbers.
Declared = Literal["unknown", "text", "number", "boolean", "nested"]

_LONGEST = 60

HALF = "half a character (a lone surrogate); write the whole character"


class Unreadable(ValueError):
    """A file cannot be read as what it seems to be; the message says where and what to do."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        cells: Each cell as written, ``[n]``; ``None`` where it is empty, null or absent.
        declared: What the file declares the cells to be; ``nested`` where one is a list or object.
    """

    cells: tuple[str | None, ...]
    declared: Declared = "unknown"


@dataclass(frozen=True)
class Table:
    """The rows of a file.

    Attributes:
        source: The file's name.
        columns: By name, in the order of the file.
        places: Line (csv, jsonl) or row (json, parquet) of each row, ``[n]``, from 1.
        unit: ``line`` or ``row``: what ``places`` counts.
        said: What was recognised, in plain sentences.
        settings: The settings of ``data`` that would do the same: ``{"separator": ";"}``.
    """

    source: str
    columns: dict[str, Column]
    places: tuple[int, ...]
    unit: str = "row"
    said: tuple[str, ...] = ()
    settings: dict[str, str | bool] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.places)

    def place(self, row: int) -> str:
        """Return where a row (from 0) stands: ``line 32``."""
        return f"{self.unit} {self.places[row]}"


def checked(table: Table) -> Table:
    """Return the table.

    Raises:
        Unreadable: It holds no rows, or a cell that is not valid Unicode.
    """
    if not len(table):
        raise Unreadable("it holds no rows")
    for name, column in table.columns.items():
        try:
            "".join(cell for cell in column.cells if cell).encode()
        except UnicodeEncodeError:
            row = next(i for i, cell in enumerate(column.cells) if cell and not encodes(cell))
            raise Unreadable(f"{table.place(row)}: column {shown(name)} holds {HALF}") from None
    return table


def named_twice(names: Sequence[str]) -> str | None:
    """Say which column names appear more than once; ``None`` where none does."""
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    twice = [shown(name) for name, count in counts.items() if count > 1]
    if not twice:
        return None
    more = f" and {len(twice) - 5} more" if len(twice) > 5 else ""
    return f"duplicate column names: {', '.join(twice[:5])}{more}; rename them"


def shown(text: str) -> str:
    """Return a cell or a name in quotes, cut where it is long."""
    return repr(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")


def rows_lacking(
    count: int, what: str, one: str = "is left out", several: str = "are left out"
) -> str:
    """Say how many rows lack something, and what becomes of it, or of them."""
    if count == 1:
        return f"1 row lacks {what} and {one}"
    return f"{count:,} rows lack {what} and {several}"


def encodes(text: str) -> bool:
    """Whether a text is valid Unicode: no half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
