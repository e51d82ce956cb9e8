"""Inspect a user's file, to propose a space for it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...config import READING, DataConfig, Kind
from ...errors import ConfigError, Problem, listed
from .labels import (
    MOST_CLASSES,
    Labels,
    Mistaken,
    class_names,
    is_number,
    kind_of,
    labels_of,
    namer,
    numbers,
)
from .load import check_distinct
from .reading.file import read_file
from .reading.table import Column, Table, rows_lacking
from .sources import check_columns

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


@dataclass(frozen=True)
class Inspection:
    """What was recognised in a user's file.

    Attributes:
        path: The file.
        rows: Rows with text and label.
        columns: All column names.
        text: The one or two text columns.
        label: The label column.
        kind: Classes or numbers.
        classes: Rows of each class, the commonest first; empty for numbers.
        span: Smallest and largest label; ``None`` for classes.
        words: Median, 95th percentile and maximum of words per row, both columns together.
        missing: Rows dropped because text or label is missing.
        repeated: Rows whose text occurred before.
        contradicting: Texts that appear with different labels.
        max_length: Tokens that hold 95 % of the rows, estimated at 1.5 per word.
        said: What was recognised when the file was read.
        settings: The settings of ``data`` that say how to read it.
    """

    path: Path
    rows: int
    columns: tuple[str, ...]
    text: tuple[str, ...]
    label: str
    kind: Kind
    classes: dict[str, int]
    span: tuple[float, float] | None
    words: tuple[int, int, int]
    missing: int
    repeated: int
    contradicting: int
    max_length: int
    said: tuple[str, ...] = ()
    settings: dict[str, str | bool] = field(default_factory=dict)

    @property
    def metric(self) -> str | None:
        """A metric that reflects a rare class; ``None`` where accuracy does."""
        if not self.classes or self.classes[self.rarest] * len(self.classes) * 2 >= self.rows:
            return None
        return "f1" if len(self.classes) == 2 else "macro_f1"

    @property
    def rarest(self) -> str:
        """The class with the fewest rows; empty for numbers."""
        return min(self.classes, key=lambda name: self.classes[name], default="")

    def sentences(self) -> list[str]:
        """Return what was found, in plain sentences."""
        return [*self.said, *self._taken_for(), *self._doubts()]

    def _taken_for(self) -> list[str]:
        text = " and ".join(repr(name) for name in self.text)
        lines = [f"{self.path.name}: {self.rows:,} rows with text and label."]
        lines.append(f"Text: column {text}; label: column {self.label!r}.")
        if self.span is not None:
            low, high = self.span
            lines.append(f"The labels are numbers from {low:g} to {high:g}: regression.")
        else:
            shares = [f"{name} {n / self.rows:.0%}" for name, n in list(self.classes.items())[:8]]
            more = len(self.classes) - len(shares)
            listed = ", ".join(shares) + (f" and {more} more" if more > 0 else "")
            lines.append(f"The labels are {len(self.classes)} classes: {listed}.")
        median, most, longest = self.words
        lines.append(
            f"Words per row: median {median}, 95 % have at most {most}, longest {longest}; "
            f"inputs are cut at {self.max_length} tokens."
        )
        return lines

    def _doubts(self) -> list[str]:
        lines = []
        if self.missing:
            lines.append(f"{rows_lacking(self.missing, 'text or label')}.")
        if self.repeated:
            lines.append(
                f"{self.repeated:,} rows repeat an earlier text: the same sentence may be trained "
                "on and tested on, which flatters the score; remove them if you can."
            )
        if self.contradicting:
            lines.append(f"{self.contradicting:,} texts appear with different labels.")
        if self.metric:
            common, count = next(iter(self.classes.items()))
            of = f"f1 of {self.rarest!r} (data.positive)" if self.metric == "f1" else self.metric
            lines.append(
                f"Always {common!r} would score an accuracy of {count / self.rows:.0%}, so "
                f"accuracy tells little: the space searches by {of}."
            )
        rare = [name for name, count in self.classes.items() if count < 10]
        if rare:
            lines.append(f"Fewer than 10 rows: {', '.join(rare[:8])}; too few to learn from.")
        if self.rows < 200:
            lines.append("With so few rows, scores vary by chance: read differences with care.")
        return lines


def inspect(
    path: Path,
    text: list[str] | None = None,
    label: str | None = None,
    kind: Kind | None = None,
    data: DataConfig | None = None,
) -> Inspection:
    """Look at a csv, tsv, jsonl, json or parquet file.

    Args:
        path: The file.
        text: Text columns; guessed when not given: the columns of sentences, two at most.
        label: Label column; guessed when not given: by name, else the last fitting column.
        kind: Classes or numbers; guessed when not given.
        data: How to read it, where the file does not show it.

    Raises:
        ConfigError: The file cannot be read, a named column is absent, none was found, the labels
            hold one class only, or too few rows are left.
    """
    if text and len(text) > 2:
        raise _bad("--text", f"names {len(text)} columns; name one, or two for pairs")
    reading = (data or DataConfig()).model_copy(update={"text": text, "label": label})
    table = read_file(path, "--data", reading)
    named = {f"--text {name}": name for name in text or ()}
    check_columns(table, {**named, **({"--label": label} if label else {})}, path.name)
    sentences = text or text_columns(table, label)
    target = label or label_column(table, sentences)
    check_distinct(sentences, target, ("--text", "--label"))
    rows = _whole(table, [*sentences, target])
    if len(rows) < 10:
        raise _bad("--data", f"{path.name} holds {len(rows)} complete rows; at least 10 are needed")
    try:
        found = _inspection(path, table, rows, tuple(sentences), target, kind)
    except Mistaken as error:
        raise _bad("--label", str(error)) from None
    told = reading.model_dump(include=set(READING))
    given = {name: value for name, value in told.items() if value is not None}
    return replace(found, settings={**given, **table.settings})


def _whole(table: Table, names: list[str]) -> list[int]:
    columns = [table.columns[name].cells for name in names]
    return [
        row
        for row, cells in enumerate(zip(*columns, strict=True))
        if all(cell is not None and cell.strip() for cell in cells)
    ]


def _inspection(
    path: Path,
    table: Table,
    rows: list[int],
    text: tuple[str, ...],
    label: str,
    kind: Kind | None,
) -> Inspection:
    labels = labels_of(table, label, rows)
    kind = kind or kind_of(labels)
    columns = [table.columns[name].cells for name in text]
    texts = [tuple(cells[row] or "" for cells in columns) for row in rows]
    words = np.array([sum(len(part.split()) for part in parts) for parts in texts])
    most = int(np.quantile(words, 0.95))
    answers: dict[Any, set[str]] = {}
    for parts, cell in zip(texts, labels.cells, strict=True):
        answers.setdefault(parts, set()).add(cell)
    return Inspection(
        path=path,
        rows=len(rows),
        columns=tuple(table.columns),
        text=text,
        label=label,
        kind=kind,
        classes=_classes(labels) if kind == "classification" else {},
        span=_span(labels) if kind == "regression" else None,
        words=(int(np.median(words)), most, int(words.max())),
        missing=len(table) - len(rows),
        repeated=len(texts) - len(answers),
        contradicting=sum(len(cells) > 1 for cells in answers.values()),
        max_length=min(512, max(32, 16 * math.ceil((1.5 * most + 4) / 16))),
        said=table.said,
    )


def _classes(labels: Labels) -> dict[str, int]:
    names = class_names(labels) if len(set(labels.cells)) > 1 else ()
    counts = Counter(map(namer(labels), labels.cells))
    if len(names) < 2:
        message = (
            f"column {labels.column!r} holds one class only ({next(iter(counts))}); "
            "there is nothing to tell apart: name another column"
        )
        raise _bad("--label", message)
    return dict(counts.most_common())


def _span(labels: Labels) -> tuple[float, float]:
    if not any(map(is_number, labels.cells)):
        message = f"column {labels.column!r} holds words, not numbers; use --kind classification"
        raise _bad("--kind", message)
    values = numbers(labels)
    low, high = min(values), max(values)
    if low == high:
        raise _bad("--label", f"column {labels.column!r} holds one number only ({low:g})")
    return low, high


def _bad(key: str, message: str) -> ConfigError:
    return ConfigError([Problem(key, message)])
