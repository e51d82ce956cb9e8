"""Which columns of a file hold the texts, and which the label, where nobody says so."""

from __future__ import annotations

from ..errors import ConfigError, Problem, listed
from .labels import MOST_CLASSES, is_number
from .reading import Column, Table

LABEL_NAMES = (
    "label",
    "labels",
    "class",
    "target",
    "y",
    "category",
    "sentiment",
    "rating",
    "score",
)
SENTENCE_WORDS = 3.0


def text_columns(table: Table, label: str | None) -> list[str]:
    """Return the columns of sentences, two at most.

    Raises:
        ConfigError: No column holds sentences.
    """
    words = {
        name: _mean_words(column)
        for name, column in table.columns.items()
        if name != label and _may_be_text(column)
    }
    sentences = [name for name, mean in words.items() if mean >= SENTENCE_WORDS]
    longest = sorted(sentences, key=lambda name: -words[name])[:2]
    if longest:
        return [name for name in table.columns if name in longest]
    # Short texts (product names, queries): the one column that varies most.
    varied = [name for name in words if len(set(table.columns[name].cells)) > MOST_CLASSES]
    if not varied:
        names = listed(table.columns)
        raise ConfigError(
            [Problem("--text", f"no column holds sentences; name one of {names} with --text")]
        )
    return [max(varied, key=lambda name: words[name])]


def _may_be_text(column: Column) -> bool:
    if column.declared in ("number", "boolean", "nested"):
        return False
    cells = _present(column)
    return bool(cells) and (column.declared == "text" or not all(map(is_number, cells)))


def _present(column: Column) -> list[str]:
    return [cell for cell in column.cells if cell is not None and cell.strip()]


def _mean_words(column: Column) -> float:
    cells = _present(column)
    return sum(len(cell.split()) for cell in cells) / len(cells)


def label_column(table: Table, text: list[str]) -> str:
    """Return the label column: by its name, else the last that fits.

    Raises:
        ConfigError: No column looks like labels.
    """
    others = [
        name
        for name, column in table.columns.items()
        if name not in text and column.declared != "nested" and _present(column)
    ]
    for wanted in LABEL_NAMES:
        for name in others:
            if name.strip().lower() == wanted:
                return name
    fitting = [name for name in others if _may_be_label(table.columns[name])]
    if not fitting:
        names = listed(others) or "none is left"
        raise ConfigError(
            [Problem("--label", f"no column looks like labels; name one with --label ({names})")]
        )
    return fitting[-1]


def _may_be_label(column: Column) -> bool:
    cells = _present(column)
    distinct = len(set(cells))
    if distinct <= MOST_CLASSES:
        return True
    if not all(map(is_number, cells)):
        return False
    # A column of whole numbers that never repeats counts the rows; of fractions, it may be scores.
    return distinct < len(cells) or not all(float(cell).is_integer() for cell in cells)
