"""``predict``: a trained run answers the rows of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas

from ..config import READING, TASKS, DataConfig, RunConfig, Source, validate, with_overrides
from ..errors import ConfigError, Problem, UserError
from .find_run import FoundRun, find_run

if TYPE_CHECKING:
    from ..training import Answers

PREDICTION = "prediction"

_PROBABILITY = "probability_"

# What a user may set of how the file is read.
_TAKEN = (*READING, "text", "label")


@dataclass(frozen=True)
class Predicted:
    """The answers of a run to the rows of a file.

    Attributes:
        run: The run.
        answers: Its answers.
    """

    run: FoundRun
    answers: Answers

    @property
    def scores(self) -> dict[str, float]:
        """The task's metrics over the rows that have a label; empty where none has."""
        return self.answers.scores

    @property
    def notes(self) -> tuple[str, ...]:
        """What was recognised in the file, and which rows were left out, in plain sentences."""
        return self.answers.notes

    def frame(self) -> pandas.DataFrame:
        """Return the rows of the file in their order, every column as it was written.

        Behind them ``prediction``, the class or number, and for classes one column
        ``probability_CLASS`` each. Rows without text have none of these.

        Raises:
            UserError: The file has a column of such a name itself.
        """
        answers = self.answers
        columns: dict[str, Any] = {n: list(c.cells) for n, c in answers.table.columns.items()}
        own = self._own_columns()
        if taken := [name for name in own if name in columns]:
            raise UserError(
                f"{answers.table.source} has a column {taken[0]!r} itself; rename it, so that the "
                "predictions can be told from it"
            )
        rows = list(answers.rows)
        for name, values in own.items():
            column: list[Any] = [None] * len(answers.table)
            for row, value in zip(rows, values, strict=True):
                column[row] = value
            columns[name] = column
        return pandas.DataFrame(columns)

    def _own_columns(self) -> dict[str, Sequence[Any]]:
        classes, values = self.answers.classes, self.answers.said.values
        if not classes:
            return {PREDICTION: values.tolist()}
        named = [None if value != value else classes[int(value)] for value in values.tolist()]
        probabilities = self.answers.probabilities.T.tolist()
        return {PREDICTION: named} | {
            f"{_PROBABILITY}{name}": column
            for name, column in zip(classes, probabilities, strict=True)
        }


def predict_file(
    run: str,
    data: str | Path,
    storage: Path | None = None,
    overrides: Sequence[str] = (),
) -> Predicted:
    """Let a trained run answer the rows of a file, which is read as the run's own data were.

    Args:
        run: See `find_run`.
        data: csv, tsv, jsonl, json or parquet; labels are optional.
        storage: Where ``studies/`` and ``suites/`` are.
        overrides: How the file is read, where otherwise than the run's own:
            ``data.separator=;``, ``data.text=[body]``.

    Raises:
        ConfigError: The file cannot be read, or lacks a text column.
        UserError: There is no such run, it is not complete, is of a language model, or has lost
            its adapter.
    """
    found = find_run(run, storage)
    found.check_complete()
    if found.config.is_language:
        raise UserError(f"{found.what} is of a language model; use generate or eval")
    config, file = found.config, Path(data).expanduser()
    reading = _reading(config, file, overrides)
    from ..training import answer

    return Predicted(found, answer(found.record, found.folder, file, reading))


def _reading(config: RunConfig, file: Path, overrides: Sequence[str]) -> DataConfig:
    """Return how a file is read: as the run's own, as far as it is of the same format."""
    own = config.data.model_dump(include={"text", "label"}, exclude_none=True)
    if config.data.path and Path(config.data.path).suffix.lower() == file.suffix.lower():
        own |= config.data.model_dump(include=set(READING), exclude_none=True)
    assigned = with_overrides(Source({"data": own}), overrides)
    known = {("data", name) for name in _TAKEN}
    others = [
        Problem(".".join(path), f"predict takes {', '.join(f'data.{n}' for n in _TAKEN)}", place)
        for path, place in assigned.where.items()
        if path[:2] not in known
    ]
    if others:
        raise ConfigError(others)
    # Any task that needs no file will do: only `data` is looked at.
    source = Source({**assigned.data, "task": "sentiment"}, assigned.where)
    data = validate(source, RunConfig).data
    expected = config.data.text or TASKS[config.task].text
    if data.text and len(expected) != len(data.text):
        message = f"the run reads {len(expected)} text column(s), but got {len(data.text)}"
        raise ConfigError([Problem("data.text", message)])
    return data
