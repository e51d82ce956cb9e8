"""One arm of a suite: what it scored, what it cost, what became of its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..training.record import RunRecord
from .contrasts import Scores
from .records import SuiteRuns

COUNTS = ("trained_adapter", "trained_head", "kept_adapter", "compressed_adapter")


@dataclass(frozen=True)
class Arm:
    """One arm over its seeds.

    Attributes:
        name: Its name.
        changes: What it changes from the base.
        scores: Test score by seed, diverged runs among them.
        diverged: Seeds that diverged.
        failed: Seeds whose run failed otherwise, with the reason.
        unfinished: Seeds with no record, or one that is still running.
        counts: Mean numbers of parameters.
        seconds: Mean seconds a run, set-up and evaluation included.
        records: The records of all its runs, whatever became of them.
    """

    name: str
    changes: Mapping[str, Any]
    scores: Mapping[int, float]
    diverged: tuple[int, ...]
    failed: Mapping[int, str]
    unfinished: tuple[int, ...]
    counts: Mapping[str, float]
    seconds: float | None
    records: tuple[RunRecord, ...]

    @property
    def mean(self) -> float | None:
        """Mean test score, ``None`` when no run counts."""
        return float(np.mean(list(self.scores.values()))) if self.scores else None

    @property
    def sd(self) -> float | None:
        """Standard deviation over seeds, ``None`` below two runs."""
        values = list(self.scores.values())
        return float(np.std(values, ddof=1)) if len(values) > 1 else None


def arm_of(suite: SuiteRuns, name: str, scores: Scores) -> Arm:
    """Return an arm of a suite, its runs that went wrong told apart."""
    counted = {seed: scores[name, seed] for seed in suite.seeds if (name, seed) in scores}
    runs = {seed: suite.runs[name, seed] for seed in suite.seeds if (name, seed) in suite.runs}
    failed = {
        seed: run.record.error or "no reason was recorded"
        for seed, run in runs.items()
        if run.record.status == "failed" and seed not in counted
    }
    ended = [run.record for seed, run in runs.items() if seed in counted and not run.diverged]
    counts = {
        key: float(np.mean([record.counts[key] for record in ended]))
        for key in COUNTS
        if ended and all(key in record.counts for record in ended)
    }
    seconds = [record.seconds for record in ended if record.seconds is not None]
    return Arm(
        name=name,
        changes=suite.arms[name],
        scores={seed: item.value for seed, item in counted.items()},
        diverged=tuple(seed for seed, item in counted.items() if item.diverged),
        failed=failed,
        unfinished=tuple(s for s in suite.seeds if s not in counted and s not in failed),
        counts=counts,
        seconds=float(np.mean(seconds)) if seconds else None,
        records=tuple(run.record for run in runs.values()),
    )
