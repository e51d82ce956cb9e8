"""What the folder of a suite or a study holds: its plan, its records, its predictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..config import LORAS, Settings, named_metric, read_yaml, stored_plan
from ..config.space import HEAD_ONLY, Space
from ..config.suite import Suite
from ..errors import UserError
from ..store import (
    PREDICTIONS_FILE,
    REFERENCES_FOLDER,
    RUNGS_FOLDER,
    RUNS_FOLDER,
    SEEDS_FOLDER,
    SPACE_FILE,
    SUITE_FILE,
    TRIALS_FOLDER,
    WINNER_FOLDER,
    Damaged,
    RunRecord,
    read_record,
    reading,
    stored_text,
)

TEST = "test"

_REMEDY = "restore it from a copy"

# What each is called, its file, and the keys that a whole one has.
_PLANS: dict[type, tuple[str, str, tuple[str, ...]]] = {
    Space: ("study", SPACE_FILE, ("name", "task", "search")),
    Suite: (
        "suite",
        SUITE_FILE,
        ("name", "task", "arms", "seeds", "comparisons", "floor", "metric"),
    ),
}

Plan = TypeVar("Plan", Space, Suite)

# How training (`Diverged:`) and the engine name, in `error`, a run whose numbers went astray.
_DIVERGED = "diverged:"

Values = NDArray[np.float64]


# Whose adapters stock PEFT can serve as B · A on the untouched base.
_LORA_LIKE = {"lora2", "adalora", *LORAS} - {"dora"}


def serves_plain_lora(record: RunRecord) -> bool:
    """Return whether a run's adapter is, or can be written as, a plain LoRA."""
    config = record.config
    if record.kept_norm is not None:  # it was cut
        return True
    method = config.get("method", "lora2")
    if method != "peft":
        return method in _LORA_LIKE
    own = config["peft"]
    return own.get("peft_type") in ("LORA", "ADALORA") and not own.get("use_dora")


@dataclass(frozen=True)
class Run:
    """One run's folder and its record."""

    folder: Path
    record: RunRecord

    @property
    def name(self) -> str:
        """Name of the folder: ``base-seed0``, ``00003``."""
        return self.folder.name

    @property
    def diverged(self) -> bool:
        """Whether the numbers of the run stopped being finite: it ended, and ended badly."""
        record = self.record
        if record.status == "failed":
            return bool(record.error) and str(record.error).lower().startswith(_DIVERGED)
        score = record.score("test")
        return record.status == "completed" and score is not None and not np.isfinite(score)


@dataclass(frozen=True)
class Predictions:
    """Per-example predictions of one run on one split.

    Attributes:
        examples: Numbers of the examples, ascending, ``[E]``.
        labels: Class numbers or values, ``[E]``.
        predictions: The same, as predicted, ``[E]``.
    """

    examples: NDArray[np.int64]
    labels: Values
    predictions: Values


@dataclass(frozen=True)
class SuiteRuns:
    """The plan of a suite and what its runs left behind, on one task.

    Attributes:
        folder: The suite's folder.
        plan: ``suite.yaml``, with the settings of this task.
        runs: Runs with a record, by (arm, seed).
        unreadable: Folders whose record is broken.
        troubles: Which of its records are damaged, and how.
        task: Which of the suite's ``tasks`` this is; ``""`` when it names none.
    """

    folder: Path
    plan: Suite
    runs: Mapping[tuple[str, int], Run]
    unreadable: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    task: str = ""

    @property
    def name(self) -> str:
        """The suite's name."""
        return self.plan.name

    @property
    def arms(self) -> Mapping[str, Settings]:
        """What each arm changes, the base first."""
        return self.plan.arms

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that every arm was to run."""
        return tuple(self.plan.seed_list)

    @property
    def comparisons(self) -> list[tuple[str, str]]:
        """(arm, reference) pairs named before the run: Holm's family."""
        return self.plan.pairs

    @property
    def floor(self) -> str | None:
        """The head-only arm, ``None`` when the suite has none."""
        return self.plan.floor

    @property
    def metric(self) -> str:
        """The metric that is compared."""
        if self.plan.metric:
            return self.plan.metric
        return next((r.record.metric for r in self.runs.values() if r.record.metric), "score")

    @property
    def classes(self) -> int | None:
        """Number of classes of the task; ``None`` for numbers, or where no record names them."""
        return max((len(run.record.classes) for run in self.runs.values()), default=0) or None

    @property
    def shown_metric(self) -> str:
        """The metric for people, F1 with the class that it is of."""
        return shown_metric(self.metric, self.runs.values())


@dataclass(frozen=True)
class StudyRuns:
    """What the trials of a study left behind.

    Attributes:
        folder: The study's folder.
        space: ``space.yaml``.
        trials: Runs with a record, by trial number.
        reference: The head-only run, when it was made.
        references: The other runs outside the search, by name, in the order of the space.
        unreadable: Folders whose record is broken.
        troubles: Which of its records are damaged, and how.
        fresh: Runs that confirm the winner on fresh seeds, by key.
        rungs: Runs of a halved study above its first rung, by key.
        seeds: Runs of its trials on other seeds than the first, by key.
    """

    folder: Path
    space: Space
    trials: Mapping[int, Run]
    reference: Run | None
    unreadable: tuple[str, ...] = field(default=())
    troubles: tuple[str, ...] = field(default=())
    references: Mapping[str, Run] = field(default_factory=dict)
    fresh: Mapping[str, Run] = field(default_factory=dict)
    rungs: Mapping[str, Run] = field(default_factory=dict)
    seeds: Mapping[str, Run] = field(default_factory=dict)


def shown_metric(metric: str, runs: Iterable[Run]) -> str:
    """Return a metric for people: F1 with the class that it is of, as the runs' records say."""
    classes = next((run.record.classes for run in runs if run.record.classes), [])
    return named_metric(metric, classes)


def read_suite(folder: Path) -> SuiteRuns:
    """Read the folder of a suite that runs on one task.

    Raises:
        UserError: The folder holds no suite, or one of several tasks (see ``read_tasks``).
    """
    read = read_tasks(folder)
    if len(read) > 1:
        raise UserError(
            f"suite {folder.name} runs on {len(read)} tasks ({', '.join(read)}), which cannot be "
            "read as one"
        )
    return next(iter(read.values()))


def read_tasks(folder: Path) -> dict[str, SuiteRuns]:
    """Read a suite's folder, one entry per task; ``{"": ...}`` when the suite names no tasks.

    Raises:
        UserError: The folder holds no suite.
    """
    suite = read_plan(folder, Suite)
    with reading(folder / SUITE_FILE, _REMEDY):
        return {task: _read_task(folder, suite.on_task(task), task) for task in suite.task_names}


def _read_task(folder: Path, plan: Suite, task: str) -> SuiteRuns:
    prefix = f"{task}." if task else ""
    runs: dict[tuple[str, int], Run] = {}
    unreadable: list[Damaged] = []
    for arm in plan.arms:
        for seed in plan.seed_list:
            run = _read_run(folder / RUNS_FOLDER / f"{prefix}{arm}-seed{seed}", unreadable)
            if run is not None:
                runs[arm, seed] = run
    return SuiteRuns(
        folder=folder,
        plan=plan,
        runs=runs,
        unreadable=tuple(damage.path.parent.name for damage in unreadable),
        troubles=tuple(map(str, unreadable)),
        task=task,
    )


def read_study(folder: Path, space: Space | None = None) -> StudyRuns:
    """Read the records of a study's folder; its Optuna storage is read apart.

    Args:
        folder: Of the study.
        space: Its ``space.yaml``, where that has been read already.

    Raises:
        UserError: The folder holds no study.
    """
    space = space or read_plan(folder, Space)
    unreadable: list[Damaged] = []
    trials = {}
    for path in sorted((folder / TRIALS_FOLDER).glob("*")):
        run = _read_run(path, unreadable) if path.name.isdigit() else None
        if run is not None:
            trials[int(path.name)] = run
    outside = {
        name: _read_run(folder / REFERENCES_FOLDER / name, unreadable)
        for name in (HEAD_ONLY, *space.references)
    }
    reference = outside.pop(HEAD_ONLY)
    readable = {name: run for name, run in outside.items() if run is not None}
    fresh = read_fresh_runs(folder, unreadable)
    more = read_rung_runs(folder, unreadable), read_seed_runs(folder, unreadable)
    names = tuple(damage.path.parent.name for damage in unreadable)
    troubles = tuple(map(str, unreadable))
    return StudyRuns(folder, space, trials, reference, names, troubles, readable, fresh, *more)


def read_fresh_runs(folder: Path, unreadable: list[Damaged] | None = None) -> dict[str, Run]:
    """Return the runs of a study's folder on fresh seeds that have a record, by key."""
    return _read_inside(folder / WINNER_FOLDER, unreadable)


def read_rung_runs(folder: Path, unreadable: list[Damaged] | None = None) -> dict[str, Run]:
    """Return the runs of a halved study above its first rung that have a record, by key."""
    return _read_inside(folder / RUNGS_FOLDER, unreadable)


def read_seed_runs(folder: Path, unreadable: list[Damaged] | None = None) -> dict[str, Run]:
    """Return the runs of a study's trials on other seeds than the first with a record, by key."""
    return _read_inside(folder / SEEDS_FOLDER, unreadable)


def _read_inside(folder: Path, unreadable: list[Damaged] | None) -> dict[str, Run]:
    damages: list[Damaged] = [] if unreadable is None else unreadable
    read = {path.name: _read_run(path, damages) for path in sorted(folder.glob("*/"))}
    return {key: run for key, run in read.items() if run is not None}


def read_predictions(run: Run, split: str) -> Predictions | None:
    """Return the predictions of a run on a split, ``None`` when it left none that can be read.

    What is damaged is reported by `damaged_predictions`.
    """
    try:
        return _predictions(run, split)
    except Damaged:
        return None


def _predictions(run: Run, split: str) -> Predictions | None:
    path = run.folder / PREDICTIONS_FILE
    if not path.exists():
        return None
    with reading(path):
        return _parsed_predictions(path, split)


def _parsed_predictions(path: Path, split: str) -> Predictions:
    import pyarrow.compute as compute
    import pyarrow.parquet as parquet

    table = parquet.read_table(path, columns=["split", "example", "label", "prediction"])
    table = table.filter(compute.equal(table["split"], split))
    examples = table["example"].to_numpy().astype(np.int64)
    order = np.argsort(examples, kind="stable")
    labels = table["label"].to_numpy().astype(np.float64)
    predictions = table["prediction"].to_numpy().astype(np.float64)
    return Predictions(examples[order], labels[order], predictions[order])


def damaged_predictions(runs: Iterable[Run]) -> Iterator[Damaged]:
    """Yield what is wrong with the predictions of complete runs; their scores still stand."""
    for run in runs:
        path = run.folder / PREDICTIONS_FILE
        try:
            predictions = _predictions(run, TEST)
            if predictions is not None and not len(predictions.examples):
                yield Damaged(path, f"it holds no predictions of {TEST}")
            if predictions is None and run.record.status == "completed":
                yield Damaged(path, "it is missing")
        except Damaged as damage:
            yield damage


def read_plan(folder: Path, kind: type[Plan]) -> Plan:
    """Return what a study (``Space``) or a suite (``Suite``) was begun from.

    Raises:
        UserError: There is none, or it is damaged.
    """
    what, name, needed = _PLANS[kind]
    path = folder / name
    if not path.exists():
        raise UserError(f"{folder} holds no {what}: it has no {name}")
    stored_text(path, _REMEDY)
    data = read_yaml(path).data
    # Half a YAML file is a whole one with less in it.
    if missing := [key for key in needed if key not in data]:
        raise Damaged(path, f"it holds no {missing[0]}", _REMEDY)
    with reading(path, _REMEDY):
        return stored_plan(kind, data)


def _read_run(folder: Path, unreadable: list[Damaged]) -> Run | None:
    try:
        record = read_record(folder)
    except Damaged as damage:
        unreadable.append(damage)
        return None
    return None if record is None else Run(folder, record)
