"""Scores over tasks and seeds: interquartile means, expected best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .significance import LEVEL


def expected_best(scores: Sequence[float]) -> list[float]:
    """Return the expected highest of n scores for n = 1 … N, from N scores that were seen.

    Dodge et al. 2019, "Show Your Work", equation 4: with the empirical distribution F of the
    validation scores, each trial drawn from it alone,

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


@dataclass(frozen=True)
class Estimate:
    """A number over tasks × seeds.

    Attributes:
        value: The number.
        low: Lower end of its 95 % stratified bootstrap interval; ``None`` below two seeds a task.
        high: Upper end of it.
        tasks: Tasks that it is over.
        seeds: Fewest seeds that a task has.
    """

    value: float
    low: float | None
    high: float | None
    tasks: int
    seeds: int


def interquartile_mean(scores: Array) -> float:
    """Return the mean of the middle half: a quarter of the runs is cut off at either end.

    ``floor(n / 4)`` values are cut at each end, as scipy's ``trim_mean`` does.
    """
    ordered = np.sort(scores, axis=None)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def probability_of_improvement(ours: Array, theirs: Array) -> float:
    """Return how often a run of ours beats one of theirs, over all pairs; ties count half."""
    above = np.sign(ours[:, None] - theirs[None, :])
    return float((above + 1).mean() / 2)


def middle(scores: ByTask) -> Estimate | None:
    """Return the interquartile mean over the runs of all tasks; ``None`` without a run.

    Args:
        scores: Scores by task, higher is better, ``[tasks][seeds]``.
    """
    there = [values for values in scores if len(values)]
    if not there:
        return None

    def once(draw: Callable[[int], NDArray[np.int64]]) -> float:
        return interquartile_mean(np.concatenate([values[draw(len(values))] for values in there]))

    return _estimated(once, [len(values) for values in there])


def middle_difference(ours: ByTask, theirs: ByTask) -> Estimate | None:
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
        return interquartile_mean(first) - interquartile_mean(second)

    return _estimated(once, [len(a) for a, _ in there])


def improvement(ours: ByTask, theirs: ByTask) -> Estimate | None:
    """Return the probability of improvement, averaged over tasks; ``None`` without a common task.

    Args:
        ours: Scores by task.
        theirs: Scores of the other arm by task, in the same order of tasks.
    """
    there = [(a, b) for a, b in zip(ours, theirs, strict=True) if len(a) and len(b)]
    if not there:
        return None

    def once(draw: Callable[[int], NDArray[np.int64]]) -> float:
        found = [probability_of_improvement(a[draw(len(a))], b[draw(len(b))]) for a, b in there]
        return float(np.mean(found))

    return _estimated(once, [min(len(a), len(b)) for a, b in there])


def _estimated(
    once: Callable[[Callable[[int], NDArray[np.int64]]], float], counts: Sequence[int]
) -> Estimate:
    value = once(np.arange)
    if min(counts) < 2:
        return Estimate(value, None, None, len(counts), min(counts))
    generator = np.random.default_rng(0)
    drawn = [once(lambda n: generator.integers(n, size=n)) for _ in range(REPEATS)]
    low, high = np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2])
    return Estimate(value, float(low), float(high), len(counts), min(counts))
