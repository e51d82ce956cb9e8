"""Look at a file of sentences: which columns hold what, how long, how balanced."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, Problem
from .data import MOST_CLASSES, guess_kind
from .tables import check_columns, read_file
from .tasks import Kind

if TYPE_CHECKING:
    import pandas as pd

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


@dataclass(frozen=True)
class Inspection:
    """What a file of sentences was taken for.

    Attributes:
        path: The file.
        rows: Rows with text and label.
        columns: All column names.
        text: The one or two text columns.
        label: The label column.
        kind: Classes or numbers.
        classes: Rows of each class, the commonest first; empty for numbers.
        span: Smallest and largest label; ``None`` for classes.
        words: Median, 95th percentile and maximum of words a row, both columns together.
        missing: Rows dropped because text or label is missing.
        repeated: Rows whose text occurred before.
        contradicting: Texts that stand with different labels.
        max_length: Tokens that hold 95 % of the rows, by experience 1.5 a word.
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

    def sentences(self) -> list[str]:
        """Return what was found, in plain sentences."""
        return [*self._taken_for(), *self._doubts()]

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
            f"Words a row: median {median}, 95 % have at most {most}, longest {longest}; "
            f"inputs are cut at {self.max_length} tokens."
        )
        return lines

    def _doubts(self) -> list[str]:
        lines = []
        if self.missing:
            lines.append(f"{self.missing:,} rows lack text or label and are left out.")
        if self.repeated:
            lines.append(
                f"{self.repeated:,} rows repeat an earlier text: the same sentence may be trained "
                "on and tested on, which flatters the score; remove them if you can."
            )
        if self.contradicting:
            lines.append(f"{self.contradicting:,} texts stand with different labels.")
        rare = [name for name, count in self.classes.items() if count < 10]
        if rare:
            lines.append(f"Fewer than 10 rows: {', '.join(rare[:8])}; these are hardly learnt.")
        if self.rows < 200:
            lines.append("So few rows make scores jump by chance; read differences with care.")
        return lines


def inspect(
    path: Path,
    text: list[str] | None = None,
    label: str | None = None,
    kind: Kind | None = None,
) -> Inspection:
    """Look at a csv, tsv, jsonl or parquet file.

    Args:
        path: The file.
        text: Text columns; guessed when not given: the columns of sentences, two at most.
        label: Label column; guessed when not given: by name, else the last fitting column.
        kind: Classes or numbers; guessed when not given.

    Raises:
        ConfigError: The file cannot be read, a named column is absent, none was found, the labels
            hold one class only, or too few rows are left.
    """
    table = read_file(path, "--data")
    table.columns = [str(name) for name in table.columns]
    named = {f"--text {name}": name for name in text or ()}
    check_columns(table, {**named, **({"--label": label} if label else {})}, path.name)
    sentences = text or _text_columns(table, label)
    target = label or _label_column(table, sentences)
    if target in sentences:
        raise _bad("--label", f"column {target!r} is the text too; name another column")
    whole = table.dropna(subset=[*sentences, target])
    if len(whole) < 10:
        raise _bad(
            "--data", f"{path.name} holds {len(whole)} complete rows; at least 10 are needed"
        )
    return _inspection(path, table, whole, tuple(sentences), target, kind)


def _inspection(
    path: Path,
    table: pd.DataFrame,
    whole: pd.DataFrame,
    text: tuple[str, ...],
    label: str,
    kind: Kind | None,
) -> Inspection:
    kind = kind or guess_kind(whole[label])
    words = _words(whole, text)
    most = int(words.quantile(0.95))
    repeated = whole.duplicated(list(text))
    labels_a_text = whole.groupby(list(text))[label].nunique()
    return Inspection(
        path=path,
        rows=len(whole),
        columns=tuple(table.columns),
        text=text,
        label=label,
        kind=kind,
        classes=_classes(whole[label]) if kind == "classification" else {},
        span=_span(whole[label]) if kind == "regression" else None,
        words=(int(words.median()), most, int(words.max())),
        missing=len(table) - len(whole),
        repeated=int(repeated.sum()),
        contradicting=int((labels_a_text > 1).sum()),
        max_length=min(512, max(32, 16 * math.ceil((1.5 * most + 4) / 16))),
    )


def _words(table: Any, text: tuple[str, ...]) -> Any:
    total = 0
    for name in text:
        total = total + table[name].astype(str).str.split().str.len()
    return total


def _text_columns(table: pd.DataFrame, label: str | None) -> list[str]:
    words = {
        name: float(_words(table.dropna(subset=[name]), (name,)).mean())
        for name in table.columns
        if name != label and not _numeric(table[name]) and table[name].notna().any()
    }
    sentences = [name for name, mean in words.items() if mean >= SENTENCE_WORDS]
    longest = sorted(sentences, key=lambda name: -words[name])[:2]
    if longest:
        return [name for name in table.columns if name in longest]
    # Short texts (product names, queries): the one column that varies most.
    varied = [name for name in words if table[name].nunique() > MOST_CLASSES]
    if not varied:
        names = ", ".join(table.columns)
        raise _bad("--text", f"no column holds sentences; name one of {names} with --text")
    return [max(varied, key=lambda name: words[name])]


def _label_column(table: pd.DataFrame, text: list[str]) -> str:
    others = [name for name in table.columns if name not in text and table[name].notna().any()]
    for wanted in LABEL_NAMES:
        for name in others:
            if name.lower() == wanted:
                return name
    fitting = [name for name in others if _may_be_label(table[name])]
    if not fitting:
        names = ", ".join(others) or "none is left"
        raise _bad("--label", f"no column looks like labels; name one with --label ({names})")
    return fitting[-1]


def _may_be_label(column: pd.Series) -> bool:
    values = column.dropna()
    distinct = values.nunique()
    if distinct <= MOST_CLASSES:
        return True
    # A column of whole numbers that never repeats counts the rows; of fractions, it may be scores.
    return _numeric(values) and not (distinct == len(values) and bool((values % 1 == 0).all()))


def _classes(labels: pd.Series) -> dict[str, int]:
    # pandas reads a whole-number column with a gap as floats: class 1.0 is class 1.
    whole = labels.dtype.kind == "f" and bool((labels % 1 == 0).all())
    named = labels.astype(int) if whole else labels
    counts = {str(name): int(count) for name, count in named.value_counts().items()}
    if len(counts) < 2:
        message = (
            f"column {labels.name!r} holds one class only ({next(iter(counts))}); "
            "there is nothing to tell apart: name another column"
        )
        raise _bad("--label", message)
    if len(counts) > 200:
        message = (
            f"column {labels.name!r} holds {len(counts):,} different values: too many for classes; "
            "name another column, or say --kind regression if they are numbers"
        )
        raise _bad("--label", message)
    return counts


def _span(labels: pd.Series) -> tuple[float, float]:
    if not _numeric(labels):
        message = f"column {labels.name!r} holds words, not numbers; say --kind classification"
        raise _bad("--kind", message)
    low, high = float(labels.min()), float(labels.max())
    if low == high:
        raise _bad("--label", f"column {labels.name!r} holds one number only ({low:g})")
    return low, high


def _numeric(column: pd.Series) -> bool:
    return column.dtype.kind in "iufb"


def _bad(key: str, message: str) -> ConfigError:
    return ConfigError([Problem(key, message)])
