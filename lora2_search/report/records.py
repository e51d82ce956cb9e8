"""What the folder of a suite or a study holds: its plan, its records, its predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from ..errors import UserError
from ..training.record import PREDICTIONS_FILE, RunRecord, read_record

SUITE_FILE = "suite.yaml"
SPACE_FILE = "space.yaml"
RUNS_FOLDER = "runs"
TRIALS_FOLDER = "trials"
# How training (`Diverged:`) and the engine name, in `error`, a run whose numbers went astray.
_DIVERGED = "diverged:"
REFERENCE_FOLDER = "reference/head-only"

Values = NDArray[np.float64]


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
    """The plan of a suite and what its runs left behind.

    Attributes:
        folder: The suite's folder.
        name: Its name.
        plan: ``suite.yaml`` as plain values: every setting of the base, and the suite's own keys.
        arms: What each arm changes, the base first.
        seeds: Seeds that every arm was to run.
        comparisons: (arm, reference) pairs named before the run: Holm's family.
        floor: The head-only arm, ``None`` when the suite has none.
        metric: The metric that is compared.
        runs: Runs with a record, by (arm, seed).
        unreadable: Folders whose record is broken.
    """

    folder: Path
    name: str
    plan: Mapping[str, Any]
    arms: Mapping[str, Mapping[str, Any]]
    seeds: tuple[int, ...]
    comparisons: tuple[tuple[str, str], ...]
    floor: str | None
    metric: str
    runs: Mapping[tuple[str, int], Run]
    unreadable: tuple[str, ...] = ()

    @property
    def classes(self) -> int | None:
        """Number of classes of the task; ``None`` for numbers, or where no record names them."""
        return max((len(run.record.classes) for run in self.runs.values()), default=0) or None


@dataclass(frozen=True)
class StudyRuns:
    """What the trials of a study left behind.

    Attributes:
        folder: The study's folder.
        space: ``space.yaml`` as plain values.
        trials: Runs with a record, by trial number.
        reference: The head-only run, when it was made.
        unreadable: Folders whose record is broken.
    """

    folder: Path
    space: Mapping[str, Any]
    trials: Mapping[int, Run]
    reference: Run | None
    unreadable: tuple[str, ...] = field(default=())


def read_suite(folder: Path) -> SuiteRuns:
    """Read a suite's folder.

    Raises:
        UserError: The folder holds no suite.
    """
    plan = _read_plan(folder / SUITE_FILE, "suite")
    arms = {str(name): dict(changes) for name, changes in plan["arms"].items()}
    seeds = tuple(int(seed) for seed in plan["seeds"])
    runs: dict[tuple[str, int], Run] = {}
    unreadable: list[str] = []
    for arm in arms:
        for seed in seeds:
            run = _read_run(folder / RUNS_FOLDER / f"{arm}-seed{seed}", unreadable)
            if run is not None:
                runs[arm, seed] = run
    return SuiteRuns(
        folder=folder,
        name=str(plan["name"]),
        plan=plan,
        arms=arms,
        seeds=seeds,
        comparisons=tuple((str(arm), str(other)) for arm, other in plan["comparisons"]),
        floor=plan["floor"],
        metric=plan["metric"] or _metric(runs.values()),
        runs=runs,
        unreadable=tuple(unreadable),
    )


def read_study(folder: Path) -> StudyRuns:
    """Read the records of a study's folder; its Optuna storage is read apart.

    Raises:
        UserError: The folder holds no study.
    """
    space = _read_plan(folder / SPACE_FILE, "study")
    unreadable: list[str] = []
    trials = {}
    for path in sorted((folder / TRIALS_FOLDER).glob("*")):
        run = _read_run(path, unreadable) if path.name.isdigit() else None
        if run is not None:
            trials[int(path.name)] = run
    reference = _read_run(folder / REFERENCE_FOLDER, unreadable)
    return StudyRuns(folder, space, trials, reference, tuple(unreadable))


def read_predictions(run: Run, split: str) -> Predictions | None:
    """Return the predictions of a run on a split, ``None`` when it left none."""
    import pyarrow.parquet as parquet

    path = run.folder / PREDICTIONS_FILE
    if not path.is_file():
        return None
    table = parquet.read_table(path, columns=["split", "example", "label", "prediction"])
    chosen = np.asarray(table["split"].to_pylist(), dtype=object) == split
    examples = table["example"].to_numpy()[chosen].astype(np.int64)
    order = np.argsort(examples, kind="stable")
    labels = table["label"].to_numpy()[chosen].astype(np.float64)
    predictions = table["prediction"].to_numpy()[chosen].astype(np.float64)
    return Predictions(examples[order], labels[order], predictions[order])


def _read_plan(path: Path, kind: str) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path.parent} holds no {kind}: it has no {path.name}")
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def _read_run(folder: Path, unreadable: list[str]) -> Run | None:
    try:
        record = read_record(folder)
    except ValueError:
        unreadable.append(folder.name)
        return None
    return None if record is None else Run(folder, record)


def _metric(runs: Any) -> str:
    return next((run.record.metric for run in runs if run.record.metric), "score")
