"""What the labels of a file are: classes or numbers, by one rule over all files together.

A label is a number where it is written as one: ``3``, ``-0.5``, ``.5``, ``1e-3``, ``+2``. Codes
are not (``01``, ``1_2``), nor is what the file calls text (a JSON or parquet string), unless the
strings hold fractions of more than 20 values. Numbers are classes where all are whole and at most
20 differ. ``data.kind`` wins.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ...config import Kind
from ...errors import did_you_mean
from .reading.table import Table, shown

# Whole numbers of more different values than this are taken for numbers, not classes.
MOST_CLASSES = 20

# More classes than this are names or counts.
MOST_NAMES = 200

# A column of which this share is numbers was meant to hold numbers.
_MEANT = 0.9

KIND = "data.kind (init: --kind)"

_NUMBER = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")

_CODE = re.compile(r"0[0-9]+")

_WHOLE = re.compile(r"[+-]?[0-9]+(\.0*)?")

_FRACTION = re.compile(r"\.([0-9]*)")

# Decimal commas, thousands separators, percentages and currencies: numbers to a reader, text here.
_GROUPED = r"[0-9]{1,3}([,.'\u00a0\u202f ][0-9]{3})+([.,][0-9]+)?"

_WRITTEN = re.compile(rf"[+-]?[$€£]?\s?({_GROUPED}|[0-9]*[,.]?[0-9]+)\s?[%$€£]?")

_MOST_DIGITS = 40


class Mistaken(ValueError):
    """The labels cannot be read as asked; the message names the row and the remedy."""


@dataclass(frozen=True)
class Label:
    """One label.

    Attributes:
        cell: As written.
        place: Where it stands: ``line 32 of d.csv``.
    """

    cell: str
    place: str


@dataclass(frozen=True)
class Labels:
    """The labels of one file, or of all.

    Attributes:
        column: The column's name.
        items: All labels that are there.
        text: Whether the file says that they are text.
        number: Whether the file says that they are numbers.
        boolean: Whether they are true and false.
    """

    column: str
    items: tuple[Label, ...]
    text: bool
    number: bool
    boolean: bool

    @property
    def cells(self) -> list[str]:
        """The labels as written."""
        return [item.cell for item in self.items]


def labels_of(table: Table, column: str, rows: Iterable[int], strip: bool = True) -> Labels:
    """Return the labels of some rows of a table.

    Args:
        table: The table.
        column: Its label column.
        rows: Those that are complete.
        strip: Whether blanks around a label are no part of it.
    """
    found = table.columns[column]
    cells = ((row, found.cells[row] or "") for row in rows)
    items = tuple(
        Label(cell.strip() if strip else cell, f"{table.place(row)} of {table.source}")
        for row, cell in cells
    )
    boolean = found.declared == "boolean" or (
        found.declared == "unknown"
        and {item.cell.lower() for item in items} <= {"true", "false"}
        and bool(items)
    )
    return Labels(column, items, found.declared == "text", found.declared == "number", boolean)


def together(parts: Sequence[Labels]) -> Labels:
    """Return the labels of several files as one."""
    return Labels(
        parts[0].column,
        tuple(item for part in parts for item in part.items),
        any(part.text for part in parts),
        all(part.number for part in parts),
        all(part.boolean for part in parts),
    )


def kind_of(labels: Labels) -> Kind:
    """Decide between classes and numbers.

    Raises:
        Mistaken: The column seems to hold numbers, but some cells are not numbers or not finite,
            or its numbers are written like codes; says where, and that ``data.kind`` decides.
    """
    if labels.boolean:
        return "classification"
    cells = labels.cells
    if labels.number:
        numbers(labels)
    if not all(map(is_number, cells)):
        _refuse_almost_numbers(labels)
        return "classification"
    whole = all(_WHOLE.fullmatch(cell) or float(cell).is_integer() for cell in cells)
    few = len(set(cells)) <= MOST_CLASSES
    if labels.text:
        return "classification" if whole or few or _uneven(cells) else "regression"
    if not labels.number and (example := _uneven(cells)) is not None:
        raise Mistaken(
            f"column {labels.column!r} writes numbers in two ways, such as {example[0]!r} and "
            f"{example[1]!r}: set {KIND} to classification if they are codes, to regression if "
            "they are numbers"
        )
    return "classification" if whole and few else "regression"


def is_number(cell: str) -> bool:
    """Whether a cell is written as a finite number."""
    return (
        len(cell) <= _MOST_DIGITS
        and _NUMBER.fullmatch(cell) is not None
        and math.isfinite(float(cell))
    )


def _refuse_almost_numbers(labels: Labels) -> None:
    """Raise where so many cells are numbers that the others must be mistakes."""
    others = [item for item in labels.items if not is_number(item.cell)]
    if all(_CODE.fullmatch(item.cell) for item in others):
        return
    count, numbers = len(labels.items), len(labels.items) - len(others)
    first = others[0]
    if numbers / count >= _MEANT:
        raise Mistaken(
            f"{numbers:,} of {count:,} labels in column {labels.column!r} are numbers, but "
            f"{first.place} holds {shown(first.cell)}: write a finite number there or leave it "
            f"empty; or set {KIND} to classification"
        )
    written = [item for item in labels.items if _WRITTEN.fullmatch(item.cell)]
    if len(written) / count >= _MEANT:
        odd = next(item for item in written if not is_number(item.cell))
        raise Mistaken(
            f"column {labels.column!r} seems to hold numbers, but {odd.place} writes "
            f"{shown(odd.cell)}: write numbers like 1405 or 0.58, with a decimal point and nothing "
            f"else; or set {KIND} to classification if these are names"
        )


def _uneven(cells: Iterable[str]) -> tuple[str, str] | None:
    """Return two cells of which one has a trailing zero and the other another number of decimals.

    Programs write numbers in their shortest form or all with the same decimals; versions and
    codes (3.9 and 3.10) are written so.
    """
    by_length: dict[int, str] = {}
    zero = None
    for cell in cells:
        found = _FRACTION.search(cell)
        decimals = found.group(1) if found else ""
        if len(decimals) > 1 and decimals.endswith("0"):
            zero = zero or cell
        if decimals:
            by_length.setdefault(len(decimals), cell)
    if zero is None or len(by_length) < 2:
        return None
    length = len(_FRACTION.search(zero).group(1))  # type: ignore[union-attr]
    return zero, next(cell for other, cell in by_length.items() if other != length)


def namer(labels: Labels) -> Callable[[str], str]:
    """Return what turns a cell into the name of its class.

    Numbers have one name however they are written (1.0 is 1) unless the file calls them text;
    true and false have one name in any case. Everything else is called as it is written.
    """
    if labels.boolean:
        return lambda cell: cell.capitalize()
    cells = labels.cells
    if labels.text or not all(map(is_number, cells)) or (not labels.number and _uneven(cells)):
        return lambda cell: cell
    return _number_name


def _number_name(cell: str) -> str:
    value = Decimal(cell)
    return str(int(value)) if value == value.to_integral_value() else str(float(cell))


def sorted_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return class names in their order: whole numbers by value, else by letters."""
    known = set(names)
    if all(re.fullmatch(r"-?[0-9]+", name) and len(name) <= _MOST_DIGITS for name in known):
        return tuple(sorted(known, key=lambda name: (int(name), name)))
    return tuple(sorted(known))


def class_names(labels: Labels) -> tuple[str, ...]:
    """Return the names of the classes.

    Raises:
        Mistaken: There is one only, or there are too many.
    """
    names = sorted_names(map(namer(labels), labels.cells))
    if len(names) < 2:
        raise Mistaken(
            f"needs at least two classes, but column {labels.column!r} holds only {list(names)}"
        )
    if len(names) > MOST_NAMES:
        raise Mistaken(
            f"column {labels.column!r} holds {len(names):,} different values: too many for "
            f"classes; set {KIND} to regression if they are numbers"
        )
    return names


def with_positive(classes: tuple[str, ...], positive: str) -> tuple[str, ...]:
    """Return two classes with the positive one last: number 1, of which F1 is.

    Raises:
        Mistaken: There are not two, or none of that name.
    """
    if len(classes) != 2:
        found = f"{len(classes)} classes" if classes else "numbers"
        raise Mistaken(f"data.positive names one of two classes, but the labels are {found}")
    if positive not in classes:
        raise Mistaken(
            f"data.positive: no class {shown(positive)}; {did_you_mean(positive, classes)}"
        )
    return (*(name for name in classes if name != positive), positive)


def numbers(labels: Labels) -> list[float]:
    """Return the labels as numbers.

    Raises:
        Mistaken: A label is not a number, or not finite; names its place.
    """
    wrong = [item for item in labels.items if not is_number(item.cell)]
    if wrong:
        first = wrong[0]
        more = f" ({len(wrong):,} such rows)" if len(wrong) > 1 else ""
        raise Mistaken(
            f"column {labels.column!r} must hold numbers for regression, but {first.place} holds "
            f"{shown(first.cell)}{more}; write finite numbers with a decimal point, or leave the "
            "cell empty"
        )
    return [float(cell) for cell in labels.cells]


def unseen(train: Labels, test: Labels, names: Callable[[str], str]) -> str | None:
    """Say which classes of a test file the training file lacks; ``None`` where it has all."""
    known = {names(cell) for cell in train.cells}
    others = Counter(names(cell) for cell in test.cells if names(cell) not in known)
    if not others:
        return None
    first = next(item for item in test.items if names(item.cell) in others)
    listed = ", ".join(f"{shown(name)} ({n:,} rows)" for name, n in others.most_common(5))
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    return (
        f"holds classes that are not in the training file: {listed}{more}, first in "
        f"{first.place}; {did_you_mean(first.cell, known)}"
    )
