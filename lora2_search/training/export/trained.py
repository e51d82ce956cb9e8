"""A trained run, applied to the rows of a file that it has never seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...config import TASKS, DataConfig, RunConfig
from ...errors import ConfigError, Problem, UserError
from ...store import ADAPTER_FOLDER, RunRecord
from ..data.labels import is_number, labels_of, namer
from ..data.reading.file import read_file
from ..data.reading.table import Table, rows_lacking, shown
from ..data.sources import check_columns
from ..data.tokens import Encoded
from ..kinds.labelled import Labelled, LabelledKind, LabelledPredictions
from ..models.accelerator import possible_precision
from ..models.load import load_base, load_tokenizer
from .reload import reload_model

_MOST_NAMED = 3


@dataclass(frozen=True)
class Answers:
    """What a run answers to the rows of a file.

    Attributes:
        table: The file, as it was read.
        rows: The rows of it that have text, ``[n]``; the others have no answer.
        said: The answers to these rows; a label that the file does not hold is NaN.
        classes: Names of the classes, in order of the logits; empty for numbers.
        scores: The task's metrics over the rows that have a label; empty where none has.
        notes: What was recognised, and which rows are left out of what, in plain sentences.
    """

    table: Table
    rows: tuple[int, ...]
    said: LabelledPredictions
    classes: tuple[str, ...]
    scores: dict[str, float]
    notes: tuple[str, ...]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The softmax of the logits, ``[n, classes]``; ``[n, 0]`` for numbers."""
        if not self.classes:
            return np.empty((len(self.rows), 0))
        logits = self.said.logits.astype(np.float64)  # [n, classes]
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


class TrainedModel:
    """The model of a run, loaded once, which answers texts as the run itself did.

    Args:
        record: Of the run, which is complete.
        folder: The run's folder.

    Raises:
        ConfigError: The pretrained model is missing.
        Damaged: The run's adapter is missing or cannot be loaded.
        UserError: The hub cannot be reached, or the run is of a language model.
    """

    def __init__(self, record: RunRecord, folder: Path) -> None:
        self._config = config = RunConfig.model_validate(record.config)
        _refuse_language(config)
        self._kind: LabelledKind = "classification" if record.classes else "regression"
        self._outputs = max(1, len(record.classes))
        accelerator = possible_precision(config.training)
        base = load_base(config.model, self._outputs, not record.classes)
        model = reload_model(base, config, folder / ADAPTER_FOLDER).to(accelerator.device)
        self._model = accelerator.prepare(model)
        self._tokenizer = load_tokenizer(config.model)

    def predict(self, texts: Sequence[Sequence[str]]) -> LabelledPredictions:
        """Return the answers to one or two columns of ``n`` texts; the labels are NaN."""
        from transformers import DataCollatorWithPadding

        labels = np.full(len(texts[0]), np.nan)
        if not len(labels):
            empty = np.empty((0, self._outputs), np.float32)
            return LabelledPredictions(labels, empty, self._kind)
        length, size = self._config.data.max_length, self._config.training.eval_batch_size
        output = self._tokenizer(*map(list, texts), truncation=True, max_length=length)
        features = {name: [list(row) for row in rows] for name, rows in output.items()}
        lengths = np.array([len(row) for row in features["input_ids"]], dtype=np.int64)
        split = Encoded(features, labels, lengths)
        labelled = Labelled(self._kind, DataCollatorWithPadding(self._tokenizer))
        return labelled.predict(self._model, split, size)


def answer(record: RunRecord, folder: Path, file: Path, data: DataConfig) -> Answers:
    """Let a run answer the rows of a file, read as its own data were.

    Args:
        record: Of the run, which is complete.
        folder: The run's folder.
        file: csv, tsv, jsonl, json or parquet. Labels are optional.
        data: The run's own settings of ``data``, or what a user set over them.

    Raises:
        ConfigError: The file cannot be read, lacks a text column or any text, or the model is
            missing.
        Damaged: The run's adapter is missing or cannot be loaded.
        UserError: The hub cannot be reached, or the run is of a language model.
    """
    config = RunConfig.model_validate(record.config)
    _refuse_language(config)
    own = TASKS.get(config.task)
    text = tuple(data.text or (own.text if own else ()))
    label = data.label or (own.label if own else "")
    table = read_file(file, "data", data)
    check_columns(table, {f"data.text.{i}": name for i, name in enumerate(text)}, table.source)
    rows = _with_text(table, text)
    classes = tuple(record.classes)
    labels, notes = _labels(table, label, rows, classes)
    texts = [[table.columns[c].cells[r] or "" for r in rows] for c in text]
    said = replace(TrainedModel(record, folder).predict(texts), labels=labels)
    if left := len(table) - len(rows):
        notes += (rows_lacking(left, "text", "gets no prediction", "get no prediction"),)
    return Answers(table, rows, said, classes, _scores(said, record), (*table.said, *notes))


def _refuse_language(config: RunConfig) -> None:
    if config.is_language:
        raise UserError(
            "this run is of a language model, and only classes and numbers are predicted here; "
            "use generate for a prompt, eval for a file"
        )


def _with_text(table: Table, text: Sequence[str]) -> tuple[int, ...]:
    columns = [table.columns[name].cells for name in text]
    rows = tuple(
        row
        for row, cells in enumerate(zip(*columns, strict=True))
        if all(cell is not None and cell.strip() for cell in cells)
    )
    if not rows:
        names = ", ".join(map(repr, text))
        raise ConfigError(
            [Problem("data", f"no row of {table.source} has a text in each of {names}")]
        )
    return rows


def _labels(
    table: Table, column: str, rows: Sequence[int], classes: Sequence[str]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the labels of rows, NaN where there is none that the run knows, and what to say."""
    values = np.full(len(rows), np.nan)
    if column not in table.columns:
        return values, ()
    cells = table.columns[column].cells
    held = [index for index, row in enumerate(rows) if (cells[row] or "").strip()]
    if not held:
        return values, ()
    labels = labels_of(table, column, [rows[index] for index in held])
    value = _reader_of(namer(labels), classes)
    found = [value(item.cell) for item in labels.items]
    values[held] = [np.nan if number is None else number for number in found]
    unknown = [item for item, number in zip(labels.items, found, strict=True) if number is None]
    if not unknown:
        return values, ()
    names = list(dict.fromkeys(shown(item.cell) for item in unknown))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    wanted = f"a class of the run ({', '.join(classes)})" if classes else "a number"
    return values, (
        f"{len(unknown):,} labels are not {wanted} and are not scored: "
        f"{', '.join(names[:_MOST_NAMED])}{more}, first in {unknown[0].place}",
    )


def _reader_of(name: Callable[[str], str], classes: Sequence[str]) -> Callable[[str], float | None]:
    if not classes:
        return lambda cell: float(cell) if is_number(cell) else None
    number = {known: float(index) for index, known in enumerate(classes)}
    return lambda cell: number.get(cell, number.get(name(cell)))


def _scores(said: LabelledPredictions, record: RunRecord) -> dict[str, float]:
    known = np.isfinite(said.labels)
    if not known.any():
        return {}
    metrics = tuple(
        name.partition("/")[2] for name in record.scores if name.startswith("validation/")
    )
    return said.only(known).scores(metrics)
