"""A table: typed values in typed columns, which renderers turn into text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

# One row: values by the keys of the columns; what is missing or ``None`` is not known.
Record = Mapping[str, Any]

Align = Literal["left", "right"]


class Interval(NamedTuple):
    """Both ends of an interval."""

    low: float
    high: float


class Spread(NamedTuple):
    """A mean and how far values lie around it; ``around`` is ``None`` for a single value."""

    mean: float
    around: float | None


class Place(NamedTuple):
    """A place, or a count, among so many."""

    rank: int
    among: int

    def __str__(self) -> str:
        return f"{self.rank} of {self.among}"


def as_text(value: Any) -> str:
    """Return a value as it is; a dash for one that is not known."""
    return NONE if value is None else str(value)


NONE = "–"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        key: What it is called in rows, JSON and code.
        heading: What people read above it, without its unit.
        align: Numbers right, words left.
        format: Turns a value into plain text without its unit; it must accept ``None``.
        unit: Of every value in it; stands in the heading once.
        wraps: Whether it holds sentences, which may be broken into lines.
    """

    key: str
    heading: str
    align: Align = "right"
    format: Callable[[Any], str] = as_text
    unit: str = ""
    wraps: bool = False

    @property
    def title(self) -> str:
        """The heading with its unit."""
        return f"{self.heading}, {self.unit}" if self.unit else self.heading


@dataclass(frozen=True)
class Table:
    """Rows of values under typed columns; renderers escape what they are given.

    Attributes:
        columns: From left to right; the first one names the row.
        rows: Values by key.
    """

    columns: tuple[Column, ...]
    rows: tuple[Record, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rows)

    @property
    def titles(self) -> list[str]:
        """The headings of all columns with their units."""
        return [column.title for column in self.columns]

    @property
    def cells(self) -> list[list[str]]:
        """Every cell as plain text without its unit, row by row."""
        return [[c.format(row.get(c.key)) for c in self.columns] for row in self.rows]

    @property
    def texts(self) -> list[dict[str, str]]:
        """Every cell as plain text without its unit, by the keys of the columns."""
        keys = [column.key for column in self.columns]
        return [dict(zip(keys, cells, strict=True)) for cells in self.cells]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The values by key, those of the columns alone."""
        return [{c.key: row.get(c.key) for c in self.columns} for row in self.rows]

    def select(self, keys: Iterable[str]) -> Table:
        """Return the same rows with these columns, in this order."""
        by_key = {column.key: column for column in self.columns}
        return Table(tuple(by_key[key] for key in keys), self.rows)


def text_column(key: str, heading: str | None = None, *, wraps: bool = False) -> Column:
    """Return a column of words; its heading is its key, if none is given."""
    return Column(key, key if heading is None else heading, "left", wraps=wraps)


def order_of(value: Any) -> float | None:
    """Return the number that rows are sorted by, a mean's or an interval's first; of words none."""
    if isinstance(value, tuple) and value:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
