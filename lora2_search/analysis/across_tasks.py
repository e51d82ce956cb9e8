"""A comparison over tasks, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..stats import (
    ByTask,
    OverTasks,
    interquartile_difference,
    interquartile_mean,
    probability_of_improvement,
    seeds_interval,
)
from .comparison import Analysis


@dataclass(frozen=True)
class Cost:
    """One arm.

    Attributes:
        arm: Its name.
        parameters: Mean number of parameters of the adapter compressed to a plain LoRA.
        mean: Mean test score.
        low: Lower end of its 95 % interval over seeds; ``None`` with one seed.
        high: Upper end of it.
    """

    arm: str
    parameters: float
    mean: float
    low: float | None
    high: float | None


def costs(analysis: Analysis) -> list[Cost]:
    """Return one point an arm that has a score and an adapter; head-only has none to compress."""
    points = []
    for arm in analysis.arms:
        parameters = arm.counts.get("compressed_adapter")
        if arm.mean is not None and parameters:
            over_seeds = seeds_interval(list(arm.scores.values()))
            points.append(Cost(arm.name, parameters, arm.mean, over_seeds.low, over_seeds.high))
    return points


@dataclass(frozen=True)
class Overall:
    """A suite of several tasks as a whole.

    Attributes:
        arms: Interquartile mean over tasks × seeds by arm; arms without a run are left out.
        differences: Difference of interquartile means by named pair, seeds paired.
        improvements: Probability of improvement by named pair; ties count half.
        metrics: Metric of each task that counts: means over different ones have no unit.
        left_out: Tasks whose base is not shown to beat head-only, so nothing can be concluded.
    """

    arms: Mapping[str, OverTasks]
    differences: Mapping[str, OverTasks]
    improvements: Mapping[str, OverTasks]
    metrics: Mapping[str, str]
    left_out: tuple[str, ...] = ()


def overall(analyses: Mapping[str, Analysis]) -> Overall:
    """Return the numbers over the tasks of a suite, those without runs or training left out."""
    left_out = tuple(task for task, item in analyses.items() if not item.gives_verdicts)
    every, analyses = analyses, {t: a for t, a in analyses.items() if t not in left_out}
    scores = {(task, arm.name): arm.scores for task, item in analyses.items() for arm in item.arms}
    names = [arm.name for arm in next(iter(every.values())).arms]

    def of(arm: str, other: str | None = None) -> ByTask:
        """Return the scores of an arm by task, of the seeds that ``other`` has too."""
        scores_by_task = []
        for task in analyses:
            ours = scores[task, arm]
            seeds = [seed for seed in ours if other is None or seed in scores[task, other]]
            scores_by_task.append(np.array([ours[seed] for seed in seeds], dtype=float))
        return scores_by_task

    arms = {name: interquartile_mean(of(name)) for name in names}
    pairs = {
        item.name: (item.arm, item.reference)
        for analysis in analyses.values()
        for item in analysis.family
        if item.arm
    }
    differences = {
        name: interquartile_difference(of(arm, other), of(other, arm))
        for name, (arm, other) in pairs.items()
    }
    improvements = {
        name: probability_of_improvement(of(*pair), of(*pair[::-1])) for name, pair in pairs.items()
    }
    metrics = {task: item.suite.metric for task, item in analyses.items()}
    return Overall(_known(arms), _known(differences), _known(improvements), metrics, left_out)


def _known(estimates: Mapping[str, OverTasks | None]) -> dict[str, OverTasks]:
    return {name: estimate for name, estimate in estimates.items() if estimate is not None}
