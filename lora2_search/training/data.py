"""Split the sentences of a task: what is trained on, chosen on, and only reported."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..config import DataConfig, RunConfig
from ..errors import ConfigError, Problem
from .seeds import named_seed
from .tables import check_columns, read_tables
from .tasks import CUSTOM_METRICS, TASKS, Kind, Task

if TYPE_CHECKING:
    import pandas as pd

# Whole numbers of more different values than this are taken for numbers, not classes.
MOST_CLASSES = 20


@dataclass(frozen=True)
class Split:
    """Sentences and labels.

    Attributes:
        texts: One or two columns of ``n`` strings.
        labels: Class numbers or values, ``[n]`` float64.
    """

    texts: tuple[tuple[str, ...], ...]
    labels: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels)


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
    """

    kind: Kind
    metrics: tuple[str, ...]
    classes: tuple[str, ...]
    splits: dict[str, Split]
    hash: str
    left_out: int

    @property
    def outputs(self) -> int:
        """Number of logits: one per class, one for numbers."""
        return len(self.classes) if self.kind == "classification" else 1

    @property
    def majority(self) -> float:
        """Score on ``test`` of always answering the commonest training label (or the mean)."""
        if self.kind == "regression" or self.metrics[0] == "matthews":
            return 0.0
        values, counts = np.unique(self.splits["train"].labels, return_counts=True)
        return float(np.mean(self.splits["test"].labels == values[counts.argmax()]))


def load_data(config: RunConfig) -> Data:
    """Load and split the data of a run.

    ``clean``: ``validation`` is a seeded slice of train; ``test`` (GLUE: the dev set) is only
    reported. ``paper``: ``validation`` is ``test``, as in published GLUE results.

    Raises:
        ConfigError: Missing files or columns, too few rows, labels of the wrong kind.
        UserError: The hub or the package index cannot be reached.
    """
    tables = read_tables(config.task, config.data)
    first = next(iter(tables.values()))
    task = _task(config, first)
    columns = {f"data.text.{index}": name for index, name in enumerate(task.text)}
    for name, table in tables.items():
        check_columns(table, {**columns, "data.label": task.label}, f"the {name} table")
    rows = sum(map(len, tables.values()))
    tables = {name: _complete(table, task) for name, table in tables.items()}
    left_out = rows - sum(map(len, tables.values()))
    classes = _classes(tables, task)
    splits = _split({name: _encode(t, task, classes) for name, t in tables.items()}, config)
    return Data(task.kind, task.metrics, classes, splits, _hash(splits), left_out)


def guess_kind(labels: pd.Series) -> Kind:
    """Tell classes from numbers: numbers are fractions, or of many different values."""
    if labels.dtype.kind not in "iuf":
        return "classification"
    whole = bool((labels % 1 == 0).all())
    return "classification" if whole and labels.nunique() <= MOST_CLASSES else "regression"


def _task(config: RunConfig, table: pd.DataFrame) -> Task:
    known = TASKS.get(config.task)
    data = config.data
    if known is not None:
        text, label = tuple(data.text or known.text), data.label or known.label
        return Task(text, label, known.kind, known.metrics, known.extra_test)
    missing = [key for key in ("text", "label") if getattr(data, key) is None]
    if missing:
        raise ConfigError(
            [
                Problem(f"data.{key}", f"name the {key} column(s): {', '.join(map(str, table))}")
                for key in missing
            ]
        )
    assert data.text is not None and data.label is not None
    columns = {f"data.text.{index}": name for index, name in enumerate(data.text)}
    check_columns(table, {**columns, "data.label": data.label}, str(data.path))
    kind = data.kind or guess_kind(table[data.label].dropna())
    return Task(tuple(data.text), data.label, kind, CUSTOM_METRICS[kind])


def _complete(table: pd.DataFrame, task: Task) -> pd.DataFrame:
    return table.dropna(subset=[*task.text, task.label]).reset_index(drop=True)


def _classes(tables: dict[str, pd.DataFrame], task: Task) -> tuple[str, ...]:
    if task.kind == "regression":
        return ()
    seen = sorted({_class_name(v) for table in tables.values() for v in table[task.label].unique()})
    if all(name.lstrip("-").isdigit() for name in seen):
        seen.sort(key=int)
    if len(seen) < 2:
        message = f"needs at least two classes, but column {task.label!r} holds only {seen}"
        raise ConfigError([Problem("data.label", message)])
    if len(seen) > 200:
        message = (
            f"column {task.label!r} holds {len(seen)} different values: too many for classes; "
            "set data.kind: regression if they are numbers"
        )
        raise ConfigError([Problem("data.label", message)])
    return tuple(seen)


def _class_name(value: object) -> str:
    # pandas reads a whole-number column with a gap as floats: class 1.0 is class 1.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _encode(table: pd.DataFrame, task: Task, classes: tuple[str, ...]) -> Split:
    texts = tuple(tuple(str(value) for value in table[name]) for name in task.text)
    if task.kind == "classification":
        number = {name: index for index, name in enumerate(classes)}
        labels = np.array([number[_class_name(v)] for v in table[task.label]], dtype=np.float64)
        return Split(texts, labels)
    try:
        return Split(texts, table[task.label].to_numpy(dtype=np.float64))
    except (TypeError, ValueError) as error:
        message = f"column {task.label!r} must hold numbers for regression: {error}"
        raise ConfigError([Problem("data.label", message)]) from None


def _split(tables: dict[str, Split], config: RunConfig) -> dict[str, Split]:
    data = config.data
    if "all" in tables:
        test, train = _cut(tables["all"], data.test_size, data.split_seed, "test", "data.test_size")
        splits = {"train": train, "test": test}
    else:
        splits = dict(tables)
    if config.protocol == "clean":
        chosen, train = _cut(
            splits["train"],
            data.validation_size,
            data.split_seed,
            "validation",
            "data.validation_size",
        )
        splits |= {"train": train, "validation": chosen}
    else:
        splits["validation"] = splits["test"]
    splits["train"] = _head(splits["train"], data)
    return splits


def _cut(split: Split, size: int | float, seed: int, name: str, key: str) -> tuple[Split, Split]:
    count = size if isinstance(size, int) else max(1, round(size * len(split)))
    if count >= len(split) - 1:
        message = f"leaves nothing to train on: {count} of {len(split)} rows; make it smaller"
        raise ConfigError([Problem(key, message)])
    order = np.random.default_rng(named_seed(seed, "split", name)).permutation(len(split))
    return _take(split, np.sort(order[:count])), _take(split, np.sort(order[count:]))


def _head(train: Split, data: DataConfig) -> Split:
    if data.train_size is None or data.train_size >= len(train):
        return train
    order = np.random.default_rng(named_seed(data.split_seed, "split", "train"))
    return _take(train, np.sort(order.permutation(len(train))[: data.train_size]))


def _take(split: Split, rows: NDArray[np.int64]) -> Split:
    texts = tuple(tuple(column[row] for row in rows) for column in split.texts)
    return Split(texts, split.labels[rows])


def _hash(splits: dict[str, Split]) -> str:
    digest = hashlib.sha256()
    for name in sorted(splits):
        split = splits[name]
        digest.update(name.encode() + len(split).to_bytes(8, "big"))
        for column in split.texts:
            digest.update("\x1f".join(column).encode() + b"\x1e")
        digest.update(split.labels.tobytes())
    return digest.hexdigest()
