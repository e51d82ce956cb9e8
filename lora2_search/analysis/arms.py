"""One arm of a suite: what it scored, what it cost, what became of its runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ..config import Settings
from ..store import RunRecord
from .contrasts import Scores
from .records import Run, SuiteRuns
from .scores import Scored

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
        constant: Mean score of always answering the commonest training class (or the mean);
            ``None`` where the records do not say.
        noise: Standard error of that score over the test sentences, 0 where it is not known.
        untuned: The base's learning rate, where the arm has another method and yet that rate.
    """

    name: str
    changes: Settings
    scores: Mapping[int, float]
    diverged: tuple[int, ...]
    failed: Mapping[int, str]
    unfinished: tuple[int, ...]
    counts: Mapping[str, float]
    seconds: float | None
    records: tuple[RunRecord, ...]
    constant: float | None = None
    noise: float = 0.0
    untuned: float | None = None

    @property
    def unlearnt(self) -> bool:
        """Whether its mean does not exceed the constant answer's by more than its noise."""
        if self.mean is None or self.constant is None:
            return False
        return self.mean <= self.constant + self.noise

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
    """Return an arm of a suite, its runs that went wrong kept apart."""
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
    constant = _constant_score(suite, runs.values())
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
        constant=constant,
        noise=_noise(suite, constant, counted.values()),
        untuned=_untuned_rate(suite, name),
    )


def _constant_score(suite: SuiteRuns, runs: Iterable[Run]) -> float | None:
    """Return the mean score of the constant answer, ``None`` where no record tells it."""
    scores = []
    for record in (run.record for run in runs):
        # Older records tell the primary metric's alone.
        older = record.majority if record.metric == suite.metric else None
        score = record.constant.get(f"test/{suite.metric}", older)
        scores += [] if score is None else [score]
    return float(np.mean(scores)) if scores else None


def _noise(suite: SuiteRuns, share: float | None, scored: Iterable[Scored]) -> float:
    """Return the standard error of a share of the test sentences, 0 of any other score."""
    sizes = [len(item.predictions.examples) for item in scored if item.predictions is not None]
    if suite.metric != "accuracy" or share is None or not sizes:
        return 0.0
    return math.sqrt(share * (1 - share) / max(sizes))


def _untuned_rate(suite: SuiteRuns, name: str) -> float | None:
    plan, changes = suite.plan, suite.arms[name]
    if changes.get("method", plan.method) in (plan.method, "head-only", "no-training"):
        return None
    rate = plan.training.lr
    tuned = plan.tuning.arms.get(name, {}) if plan.tuning else {}
    if "training.lr" in tuned or changes.get("training.lr", rate) != rate:
        return None
    return rate
