"""Scores over tasks and seeds: interquartile means, expected best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .result import TestResult
from .significance import LEVEL


def expected_best(scores: Sequence[float]) -> list[float]:
    """Return the expected highest of n scores for n = 1 … N, from N scores that were seen.

    Dodge et al. 2019, "Show Your Work", EMNLP, 2185, equation 4: with the empirical distribution F
    of the validation scores, each trial drawn from it alone,

        E[max of n] = Σ v · (F(v)ⁿ − F(v⁻)ⁿ)      over the sorted scores v

    Ends below the highest score that was seen: N draws with replacement need not hold it.
    Empty without scores.

    Raises:
        ValueError: A score is not finite.
    """
    if not all(math.isfinite(score) for score in scores):
        raise ValueError(f"scores must be finite, got {list(scores)}")
    values = np.sort(np.asarray(scores, dtype=float))
    total = len(values)
    upper = np.arange(1, total + 1) / max(total, 1)  # F(v), [N]
    lower = upper - 1 / max(total, 1)  # F(v⁻), [N]
    return [float(values @ (upper**n - lower**n)) for n in range(1, total + 1)]


Array = NDArray[np.float64]

# Scores of the runs of each task, [tasks][seeds].
ByTask = Sequence[Array]

REPEATS = 2_000

STRATIFIED = "stratified bootstrap"


@dataclass(frozen=True, kw_only=True)
class OverTasks(TestResult):
    """A number over tasks × seeds; ``n`` is the fewest seeds that a task has.

    The interval is the percentile interval of a bootstrap that draws seeds within each task
    (Agarwal et al. 2021, NeurIPS 34); there is none below two seeds a task.

    Attributes:
        tasks: Tasks that it is over.
    """

    tasks: int = 0


def trimmed_mean(scores: Array) -> float:
    """Return the mean of the middle half: a quarter of the runs is cut off at either end.

    ``floor(n / 4)`` values are cut at each end, as scipy's ``trim_mean`` does.
    """
    ordered = np.sort(scores, axis=None)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def share_of_wins(ours: Array, theirs: Array) -> float:
    """Return how often a run of ours beats one of theirs, over all pairs; ties count half.

    This is U / (n m) of Mann & Whitney (1947, Ann. Math. Stat. 18, 50).
    """
    above = np.sign(ours[:, None] - theirs[None, :])
    return float((above + 1).mean() / 2)


def interquartile_mean(scores: ByTask) -> OverTasks | None:
    """Return the interquartile mean over the runs of all tasks; ``None`` without a run.

    Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
    NeurIPS 34.

    Args:
        scores: Scores by task, higher is better, ``[tasks][seeds]``.
    """
    there = [values for values in scores if len(values)]
    if not there:
        return None

    def once(draw: Callable[[int], NDArray[np.int64]]) -> float:
        return trimmed_mean(np.concatenate([values[draw(len(values))] for values in there]))

    return _estimated(once, [len(values) for values in there])


def interquartile_difference(ours: ByTask, theirs: ByTask) -> OverTasks | None:
    """Return the difference of two interquartile means; seeds stay paired in the bootstrap.

    Args:
        ours: Scores by task, of the seeds that both have, in the same order.
        theirs: The same of the other arm.
    """
    there = [(a, b) for a, b in zip(ours, theirs, strict=True) if len(a)]
    if not there:
        return None

    def once(draw: Callable[[int], NDArray[np.int64]]) -> float:
        rows = [draw(len(a)) for a, _ in there]
        first = np.concatenate([a[row] for (a, _), row in zip(there, rows, strict=True)])
        second = np.concatenate([b[row] for (_, b), row in zip(there, rows, strict=True)])
        return trimmed_mean(first) - trimmed_mean(second)

    return _estimated(once, [len(a) for a, _ in there])


def probability_of_improvement(ours: ByTask, theirs: ByTask) -> OverTasks | None:
    """Return the probability of improvement, averaged over tasks; ``None`` without a common task.

    Agarwal et al. 2021, NeurIPS 34, section 4.3.

    Args:
        ours: Scores by task.
        theirs: Scores of the other arm by task, in the same order of tasks.
    """
    there = [(a, b) for a, b in zip(ours, theirs, strict=True) if len(a) and len(b)]
    if not there:
        return None

    def once(draw: Callable[[int], NDArray[np.int64]]) -> float:
        return float(np.mean([share_of_wins(a[draw(len(a))], b[draw(len(b))]) for a, b in there]))

    return _estimated(once, [min(len(a), len(b)) for a, b in there])


def _estimated(
    once: Callable[[Callable[[int], NDArray[np.int64]]], float], counts: Sequence[int]
) -> OverTasks:
    value, seeds, tasks = once(np.arange), min(counts), len(counts)
    if seeds < 2:
        note = "fewer than two seeds: no interval"
        return OverTasks(estimate=value, n=seeds, tasks=tasks, method=STRATIFIED, note=note)
    generator = np.random.default_rng(0)
    drawn = [once(lambda n: generator.integers(n, size=n)) for _ in range(REPEATS)]
    low, high = (float(end) for end in np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2]))
    return OverTasks(estimate=value, low=low, high=high, n=seeds, tasks=tasks, method=STRATIFIED)
