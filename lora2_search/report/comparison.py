"""A suite's numbers: its arms one by one, and the comparisons named before the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..training.record import RunRecord
from ..training.tasks import score
from .records import SuiteRuns
from .scores import Scored, common_predictions, score_differences, test_scores
from .statistics import (
    LEVEL,
    Crossed,
    Paired,
    crossed,
    holm,
    paired,
    pigeonhole,
    seeds_for_sign_flip,
)

BASE = "base"
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


@dataclass(frozen=True)
class Comparison:
    """Arm minus reference.

    Attributes:
        arm: The arm.
        reference: What it is compared with.
        differences: Difference by seed.
        paired: "Does it differ on this test set, over new seeds?"
        paired_holm: p of ``paired`` after Holm's correction over the family.
        crossed: "Would it differ on new sentences too?"
        crossed_holm: p of ``crossed`` after Holm's correction over the family.
        sign_flip_holm: p of the sign-flip test after it, where that test has the seeds to reject.
        sign_flip_seeds: Fewest seeds with which the exact test could say "different".
    """

    arm: str
    reference: str
    differences: Mapping[int, float]
    paired: Paired
    crossed: Crossed
    paired_holm: float | None = None
    crossed_holm: float | None = None
    sign_flip_holm: float | None = None
    sign_flip_seeds: int = 2

    @property
    def sign_flip(self) -> float | None:
        """The exact sign-flip test's p, where it has the seeds to reject."""
        return self.paired.sign_flip if self.paired.n >= self.sign_flip_seeds else None


@dataclass(frozen=True)
class Analysis:
    """Everything that a report of a suite says, as numbers.

    Attributes:
        suite: What was read.
        arms: The arms in their order.
        family: The comparisons named before the run, corrected together.
        floor: Base minus head-only, tested before the family and outside it; ``None`` without one.
    """

    suite: SuiteRuns
    arms: tuple[Arm, ...]
    family: tuple[Comparison, ...]
    floor: Comparison | None

    @property
    def trained(self) -> bool | None:
        """Whether the base beats head-only by test; ``None`` without a head-only arm."""
        if self.suite.floor is None:
            return None
        if self.floor is None or self.floor.paired.p is None:
            return False
        return self.floor.paired.p <= LEVEL and (self.floor.paired.mean or 0.0) > 0


def analyse(suite: SuiteRuns) -> Analysis:
    """Compute a suite's numbers from its records and predictions."""
    scores = test_scores(suite)
    arms = tuple(_arm(suite, name, scores) for name in suite.arms)
    family = _corrected([_compare(suite, scores, *pair) for pair in suite.comparisons])
    floor = None
    if suite.floor is not None:
        alone = [_compare(suite, scores, BASE, suite.floor)]
        floor = _corrected(alone)[0]
    return Analysis(suite, arms, tuple(family), floor)


def _arm(suite: SuiteRuns, name: str, scores: Mapping[tuple[str, int], Scored]) -> Arm:
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
    seconds = [record.timings["total"] for record in ended if "total" in record.timings]
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


def _compare(
    suite: SuiteRuns, scores: Mapping[tuple[str, int], Scored], arm: str, reference: str
) -> Comparison:
    differences = score_differences(scores, arm, reference)
    return Comparison(
        arm=arm,
        reference=reference,
        differences=differences,
        paired=paired(list(differences.values())),
        crossed=_new_sentences(suite, scores, arm, reference),
    )


def _new_sentences(
    suite: SuiteRuns, scores: Mapping[tuple[str, int], Scored], arm: str, reference: str
) -> Crossed:
    common = common_predictions(scores, arm, reference)
    if isinstance(common, str):
        return Crossed(0, 0, note=common)
    labels, ours, theirs = common
    metric, classes = suite.metric, suite.classes
    if metric == "accuracy":
        right = (ours == labels).astype(float) - (theirs == labels).astype(float)
        return crossed(right)

    def difference(seeds: NDArray[np.int64], examples: NDArray[np.int64]) -> float:
        truth = labels[examples]
        return float(
            np.mean(
                [
                    score(metric, truth, ours[seed, examples], classes)
                    - score(metric, truth, theirs[seed, examples], classes)
                    for seed in seeds
                ]
            )
        )

    return pigeonhole(difference, *ours.shape)


def _corrected(family: Sequence[Comparison]) -> list[Comparison]:
    family = [replace(item, sign_flip_seeds=seeds_for_sign_flip(len(family))) for item in family]
    by_seeds = holm([item.paired.p for item in family])
    by_both = holm([item.crossed.p for item in family])
    by_signs = holm([item.sign_flip for item in family])
    return [
        replace(item, paired_holm=first, crossed_holm=second, sign_flip_holm=third)
        for item, first, second, third in zip(family, by_seeds, by_both, by_signs, strict=True)
    ]
