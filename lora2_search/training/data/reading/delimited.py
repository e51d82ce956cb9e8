"""csv and tsv: which separator, which quotes, whether there is a header; recognised if certain."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

from ....config import DataConfig
from .grid import Grid, grid
from .table import Column, Table, Unreadable, named_twice

_NAMES = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}

# How each is written behind `--set`: a bare | begins a block in YAML.
_WRITTEN = {"\t": "tab", "|": "bar"}

_BREAK = re.compile(r"\r\n|\r|\n")

_FRACTION = re.compile(r"[+-]?\d*\.\d+")


class TwoWays(Unreadable):
    """With and without quotes all rows have equal length, but they are different rows."""


def read_delimited(text: str, source: str, usual: str, data: DataConfig) -> Table:
    """Return the table of a csv or tsv.

    Args:
        text: The file.
        source: Its name.
        usual: The separator that its suffix promises.
        data: What the user sets for separator, quotes and header, and the wanted columns.

    Raises:
        Unreadable: The rows differ in length, or a column name appears twice.
    """
    said: list[str] = []
    settings: dict[str, str | bool] = {}
    chosen, text = _declared_separator(text)
    if data.separator is not None:
        separator = data.separator
    else:
        separator = chosen or _separator(text, usual, data.quotes)
        if separator != usual:
            said.append(f"{source}: the fields are separated by {_NAMES[separator]}s.")
            settings["separator"] = separator
    cut = _cut(text, separator, data.quotes)
    if cut.dropped:
        fields = "field" if cut.dropped == 1 else "fields"
        said.append(
            f"{source}: every row ends in {cut.dropped} more empty {fields} than the header."
        )
    if data.quotes is not False and (spans := _swallowed(cut, separator)):
        said.append(_stray(spans, source))
    wanted = {*(data.text or ()), *([data.label] if data.label else ())}
    names, first = _names(cut, data.header, wanted)
    if first == 0 and data.header is None:
        said.append(
            f"{source}: the first line looks like data, not column names (no header): the "
            f"columns are called {', '.join(names[:4])}{' …' if len(names) > 4 else ''}; "
            "set data.header to true to read it as names."
        )
        settings["header"] = False
    columns = {
        name: Column(tuple(row[index] or None for row in cut.rows[first:]))
        for index, name in enumerate(names)
    }
    return Table(source, columns, tuple(cut.lines[first:]), "line", tuple(said), settings)


def _declared_separator(text: str) -> tuple[str | None, str]:
    """Return the separator that Excel's own first line ``sep=;`` names, and the text."""
    first = text.partition("\n")[0].rstrip("\r")
    if re.fullmatch(r"sep=[,;\t|]", first):
        # The line stays as a blank one, which is skipped, so that line numbers are right.
        return first[4], text[len(first) :]
    return None, text


def _separator(text: str, usual: str, quotes: bool | None) -> str:
    """Return the usual separator, or the only other one by which all rows have equal length."""
    first = text.lstrip("\r\n").partition("\n")[0]
    problem = None
    fits = False
    try:
        fits = _cut(text, usual, quotes).width > 1
    except Unreadable as error:
        problem = error
    others = [s for s in _NAMES if s != usual and s in first]
    fitting = [s for s in others if _fits(text, s, quotes)]
    if fits and fitting:
        raise Unreadable(
            f"more than one separator gives rows of equal length: {_named([usual, *fitting])}"
        )
    if fits:
        return usual
    if usual in first:
        assert problem is not None
        hint = f"; with {_named(fitting)} all rows have equal length" if fitting else ""
        raise Unreadable(f"{problem}{hint}")
    if len(fitting) == 1:
        return fitting[0]
    likely = fitting or others
    if likely:
        raise Unreadable(
            f"the first line holds no {_NAMES[usual]}; name the separator: {_named(likely)}"
            + ("" if fitting else f" ({_why_not(text, likely[0], quotes)})")
        )
    if problem is not None:
        raise problem
    return usual


def _named(separators: list[str]) -> str:
    return " or ".join(f"--set data.separator={_WRITTEN.get(s, s)}" for s in separators)


def _fits(text: str, separator: str, quotes: bool | None) -> bool:
    try:
        return _cut(text, separator, quotes).width > 1
    except TwoWays:
        return separator in text.lstrip("\r\n").partition("\n")[0]
    except Unreadable:
        return False


def _why_not(text: str, separator: str, quotes: bool | None) -> str:
    try:
        _cut(text, separator, quotes)
    except Unreadable as error:
        return f"with it {error}"
    return "with it there is only one column"


def _cut(text: str, separator: str, quotes: bool | None) -> Grid:
    """Cut by a separator; tabs are read with quotes, and without where that is not possible.

    Raises:
        TwoWays: With and without quotes the rows fit, but are not the same number.
        Unreadable: The rows do not fit.
    """
    if quotes is not None or '"' not in text:
        return grid(text, separator, quotes is not False)
    try:
        quoted = grid(text, separator, True)
    except Unreadable:
        if separator != "\t":
            raise
        return grid(text, separator, False)
    if not any(_BREAK.search(cell) for row in quoted.rows for cell in row):
        return quoted
    try:
        letters = grid(text, separator, False)
    except Unreadable:
        return quoted
    if len(quoted.rows) != len(letters.rows):
        raise TwoWays(
            f"it can be read in two ways: {len(quoted.rows):,} rows if its quotes enclose fields, "
            f"{len(letters.rows):,} if they are ordinary characters; set data.quotes to true or "
            "false"
        )
    return quoted


def _swallowed(cut: Grid, separator: str) -> list[tuple[int, int]]:
    """Return first and last line of each text whose lines would each be a row of the file.

    That is what lies between a stray opening quote and the next one. A text of
    two or three lines may look so by chance: one of them must hold a value that its column has
    elsewhere.
    """
    width = cut.width + cut.dropped
    single = [row for row in cut.rows if not any(map(_BREAK.search, row))]
    if width == 1 or len(single) == len(cut.rows):
        return []
    known = [Counter(row[index] for row in single) for index in range(cut.width)]
    found = []
    for row, start in zip(cut.rows, cut.lines, strict=True):
        broken = [index for index, cell in enumerate(row) if _BREAK.search(cell)]
        if len(broken) != 1:
            continue
        at, inside = broken[0], _BREAK.split(row[broken[0]])
        first, last = [*row[:at], *inside[0].split(separator)], inside[-1].split(separator)
        between = [line.split(separator) for line in inside[1:-1] if line]
        if len(first) != width or len(last) != at + 1 or any(len(x) != width for x in between):
            continue
        # Beside the text the ends hold fields of rows of their own, as all between are.
        cells = [*enumerate(first[at + 1 : cut.width], at + 1), *enumerate(last[:at])]
        cells += [pair for line in between for pair in enumerate(line[: cut.width])]
        if len(inside) > 3 or any(cell and known[place][cell] for place, cell in cells):
            found.append((start, start + len(inside) - 1))
    return found


def _stray(spans: list[tuple[int, int]], source: str) -> str:
    first, last = spans[0]
    which = f"spans {last - first + 1} lines (lines {first} to {last})"
    if len(spans) > 1:
        which = f"span several lines (the first {last - first + 1}: lines {first} to {last})"
    return (
        f"{source}: {len(spans):,} text{'s' if len(spans) > 1 else ''} {which}, each of which "
        "would be a row: a stray quote? Remove it, or write it twice inside quotes."
    )


def _names(cut: Grid, header: bool | None, wanted: Collection[str]) -> tuple[list[str], int]:
    """Return the names of the columns and the row at which the data begin."""
    first, rest = cut.rows[0], cut.rows[1:]
    numbered = [str(index) for index in range(cut.width)]
    if header is False:
        return numbered, 0
    if header is None and first in rest:
        again = cut.lines[rest.index(first) + 1]
        raise Unreadable(
            f"line {again} repeats the first line: remove it if that is the header, or set "
            "data.header to false if the file has none"
        )
    if header is None and not set(first) & set(wanted) and first != numbered and _is_row(cut):
        return numbered, 0
    if (problem := named_twice([name for name in first if name])) is not None:
        raise Unreadable(f"line {cut.lines[0]}: {problem}, or set data.header to false")
    # As pandas calls them: the index that `to_csv` writes has no name.
    return [name or f"Unnamed: {index}" for index, name in enumerate(first)], 1


def _is_row(cut: Grid) -> bool:
    """Whether the first line is surely a row: its cells are values of their own columns.

    A label that stands again and again below, or a fraction above numbers, is no column's name.
    """
    for index, name in enumerate(cut.rows[0]):
        below = [row[index] for row in cut.rows[1:]]
        if name and below.count(name) > 1:
            return True
        if _FRACTION.fullmatch(name) and below and all(_FRACTION.fullmatch(x) for x in below if x):
            return True
    return False
