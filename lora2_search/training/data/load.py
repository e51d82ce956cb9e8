"""Split the sentences of a task: what is trained on, chosen on, and only reported."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...config import CUSTOM_METRICS, LANGUAGE_KINDS, TASKS, Kind, RunConfig, constant_scores
from ...errors import ConfigError, Problem, listed
from .conversation import read_rows
from .labels import (
    KIND,
    Labels,
    Mistaken,
    class_names,
    kind_of,
    labels_of,
    namer,
    numbers,
    together,
    unseen,
    with_positive,
)
from .reading.table import Table, shown
from .sources import check_columns, read_tables
from .splits import Split, hash_of, split_up


@dataclass(frozen=True)
class Data:
    """The splits of one task.

    Attributes:
        kind: Classes or numbers.
        metrics: Metric names, the primary one first.
        classes: Names of the classes; empty for numbers.
        splits: ``train``, ``validation``, ``test`` and the task's further test sets.
        hash: sha256 over all texts, labels and the split they are in.
        left_out: Rows that lack text or label.
        said: What was recognised when the files were read, in plain sentences.
    """

    kind: Kind
    metrics: tuple[str, ...]
    classes: tuple[str, ...]
    splits: dict[str, Split]
    hash: str
    left_out: int
    said: tuple[str, ...] = ()

    @property
    def outputs(self) -> int | None:
        """Number of logits: one per class, one for numbers; ``None`` for a language model."""
        if self.kind in LANGUAGE_KINDS:
            return None
        return len(self.classes) if self.kind == "classification" else 1

    @property
    def majority(self) -> float | None:
        """Score on ``test`` of always answering the commonest training label (or the mean).

        ``None`` where the primary metric is undefined there.
        """
        return self.constant.get(f"test/{self.metrics[0]}")

    @property
    def commonest(self) -> str:
        """The commonest class of the training sentences; empty for numbers."""
        if not self.classes:
            return ""
        counts = np.bincount(self.splits["train"].labels.astype(np.int64))
        return self.classes[counts.argmax()]

    @property
    def constant(self) -> dict[str, float]:
        """What always answering the commonest training label scores: ``test/accuracy`` ...

        A metric that is undefined on a split is left out. Empty for a language model.
        """
        if self.kind in LANGUAGE_KINDS:
            return {}
        train = self.splits["train"].labels
        classes = len(self.classes) or None
        return {
            f"{name}/{metric}": value
            for name, split in self.splits.items()
            if name != "train"
            for metric, value in constant_scores(self.metrics, train, split.labels, classes).items()
        }


def load_data(config: RunConfig) -> Data:
    """Load and split the data of a run.

    ``clean``: ``validation`` is a seeded slice of train; ``test`` (GLUE: the dev set) is only
    reported. ``paper``: ``validation`` is ``test``, as in published GLUE results.

    Raises:
        ConfigError: Missing files or columns, too few rows, labels of the wrong kind.
        UserError: The hub or the package index cannot be reached.
    """
    tables = read_tables(config.task, config.data)
    if config.is_language:
        return _of_language(config, tables)
    task = _task(config, tables)
    own = config.task == "custom"
    kept = {name: _complete(table, task, own) for name, table in tables.items()}
    labels = {
        name: labels_of(table, task.label, kept[name], strip=own) for name, table in tables.items()
    }
    try:
        kind = task.kind or _kind(labels)
        if own:
            _check_test_file(labels, kind)
        encode = _encoder(together(list(labels.values())), kind, config.data.positive)
        encoded = {name: encode(part) for name, part in labels.items()}
    except Mistaken as error:
        raise ConfigError([Problem("data.label", str(error))]) from None
    splits = split_up(
        {
            name: Split(_texts(table, task, kept[name]), encoded[name], _places(table, kept[name]))
            for name, table in tables.items()
        },
        config,
    )
    rows = sum(map(len, tables.values()))
    return Data(
        kind=kind,
        metrics=task.metrics or CUSTOM_METRICS[kind],
        classes=encode.classes,
        splits=splits,
        hash=hash_of(splits),
        left_out=rows - sum(map(len, kept.values())),
        said=tuple(line for table in tables.values() for line in table.said),
    )


def _of_language(config: RunConfig, tables: dict[str, Table]) -> Data:
    rows = read_rows(tables, config)
    splits = split_up({name: part.split for name, part in rows.items()}, config)
    return Data(
        kind=config.kind or "generation",
        metrics=config.language_metrics,
        classes=(),
        splits=splits,
        hash=_with_template(hash_of(splits), config.language.chat_template),
        left_out=sum(part.left_out for part in rows.values()),
        said=tuple(line for table in tables.values() for line in table.said),
    )


def _with_template(digest: str, chat_template: str | None) -> str:
    """Return a hash over the examples and the file of a chat template, if one is named."""
    path = Path(chat_template).expanduser() if chat_template else None
    if path is None or not path.is_file():
        return digest
    return hashlib.sha256(digest.encode() + path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class _Wanted:
    """The columns of a task, and its kind and metrics where they are known beforehand."""

    text: tuple[str, ...]
    label: str
    kind: Kind | None
    metrics: tuple[str, ...] = ()


def _task(config: RunConfig, tables: dict[str, Table]) -> _Wanted:
    known, data = TASKS.get(config.task), config.data
    if known is not None:
        text, label = tuple(data.text or known.text), data.label or known.label
        wanted = _Wanted(text, label, known.kind, known.metrics)
    else:
        first = next(iter(tables.values()))
        missing = [key for key in ("text", "label") if getattr(data, key) is None]
        if missing:
            names = listed(map(shown, first.columns))
            raise ConfigError(
                [Problem(f"data.{key}", f"name the {key} column(s): {names}") for key in missing]
            )
        assert data.text is not None and data.label is not None
        wanted = _Wanted(tuple(data.text), data.label, data.kind)
    columns = {f"data.text.{index}": name for index, name in enumerate(wanted.text)}
    for name, table in tables.items():
        source = f"the {name} table" if known is not None else table.source
        check_columns(table, {**columns, "data.label": wanted.label}, source)
    check_distinct(wanted.text, wanted.label, ("data.text", "data.label"))
    return wanted


def check_distinct(text: Sequence[str], label: str, keys: tuple[str, str]) -> None:
    """Raise ``ConfigError`` where a column is named as both texts, or as text and label."""
    problems = []
    if len(set(text)) < len(text):
        problems.append(Problem(keys[0], f"names column {text[0]!r} twice; name another column"))
    if label in text:
        problems.append(Problem(keys[1], f"column {label!r} is also the text; name another column"))
    if problems:
        raise ConfigError(problems)


def _complete(table: Table, task: _Wanted, own: bool) -> list[int]:
    """Return the rows that have text and label; in a user's own file, blanks are missing."""
    columns = [table.columns[name].cells for name in (*task.text, task.label)]
    there = str.strip if own else lambda cell: "there"
    rows = [
        row
        for row, cells in enumerate(zip(*columns, strict=True))
        if all(cell is not None and there(cell) for cell in cells)
    ]
    if not rows:
        names = ", ".join(map(repr, (*task.text, task.label)))
        message = f"no row of {table.source} has a value in each of {names}"
        raise ConfigError([Problem("data.label", message)])
    return rows


def _kind(labels: dict[str, Labels]) -> Kind:
    """Decide between classes and numbers, over all files together."""
    kind = kind_of(together(list(labels.values())))
    first = kind_of(next(iter(labels.values())))
    if first != kind:
        words = {"classification": "classes", "regression": "numbers"}
        raise Mistaken(
            f"the training file's labels are {words[first]}, but together with the test file's "
            f"they are {words[kind]}: write them the same way, or set {KIND}"
        )
    return kind


def _check_test_file(labels: dict[str, Labels], kind: Kind) -> None:
    if kind == "regression" or "test" not in labels:
        return
    name = namer(together(list(labels.values())))
    if (problem := unseen(labels["train"], labels["test"], name)) is not None:
        raise ConfigError([Problem("data.test_path", problem)])


@dataclass(frozen=True)
class _Encoder:
    """Turns labels into class numbers or values."""

    name: Callable[[str], str]
    classes: tuple[str, ...]

    def __call__(self, labels: Labels) -> NDArray[np.float64]:
        if not self.classes:
            return np.array(numbers(labels), dtype=np.float64)
        number = {name: index for index, name in enumerate(self.classes)}
        return np.array([number[self.name(cell)] for cell in labels.cells], dtype=np.float64)


def _encoder(labels: Labels, kind: Kind, positive: str | None) -> _Encoder:
    classes = class_names(labels) if kind == "classification" else ()
    if positive is not None:
        classes = with_positive(classes, positive)
    return _Encoder(namer(labels), classes)


def _places(table: Table, rows: list[int]) -> tuple[str, ...]:
    return tuple(f"{table.place(row)} of {table.source}" for row in rows)


def _texts(table: Table, task: _Wanted, rows: list[int]) -> tuple[tuple[str, ...], ...]:
    columns = (table.columns[name].cells for name in task.text)
    return tuple(tuple(cells[row] or "" for row in rows) for cells in columns)
