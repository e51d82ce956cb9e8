"""What a test says that has been taken at several looks of a sequential suite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import scipy

from ..config.suite import Sequential
from ..stats import (
    LEVEL,
    SPENT,
    Crossed,
    Equivalence,
    Paired,
    nominal_levels,
    repeated_p,
)
from .records import SuiteRuns

REPEATED = "repeated"

_ENDED = ("completed", "failed")


@dataclass(frozen=True)
class Looks:
    """The looks that have been taken.

    Attributes:
        seeds: The seeds that each look had, ascending.
        most: Seeds at the last look of the plan.
    """

    seeds: tuple[tuple[int, ...], ...]
    most: int


def looks_of(suite: SuiteRuns) -> Looks | None:
    """Return the looks that have been taken; ``None`` for a suite whose seeds are fixed.

    A look is taken when every run of its seeds has ended; seeds beyond the last look of the plan
    are in none.
    """
    if not suite.plan.until_decided:
        return None
    plan = suite.plan.sequential
    ended = {key for key, run in suite.runs.items() if run.record.status in _ENDED}
    looks = []
    for count in plan.looks:
        seeds = suite.seeds[:count]
        if len(seeds) == count and all(
            (arm, seed) in ended for arm in suite.arms for seed in seeds
        ):
            looks.append(seeds)
    return Looks(tuple(looks), plan.most)


def levels_at(plan: Sequential, tests: int, sides: int = 2) -> list[float]:
    """Return the p value at or below which each look rejects one of so many tests (Bonferroni)."""
    shares = [count / plan.most for count in plan.looks]
    return nominal_levels(shares, SPENT * LEVEL / max(tests, 1), sides)


def seeds_for_sign_flip_at(plan: Sequential, comparisons: int) -> int:
    """Return the seeds of the first look at which the exact sign-flip test can reject under Holm.

    Its smallest p is 2^(1-n), to be compared with the nominal level of that look. One more than
    the plan has where it never can.
    """
    nominal = levels_at(plan, comparisons)
    able = [n for n, bound in zip(plan.looks, nominal, strict=True) if 2 ** (1 - n) <= bound]
    return able[0] if able else plan.most + 1


def paired_at(looks: Looks, test: Callable[[Sequence[int]], Paired]) -> Paired:
    """Return the paired test at the last look, its p values and interval holding for them all.

    Args:
        looks: The looks.
        test: The test of the seeds that a look had.
    """
    tests = [test(seeds) for seeds in looks.seeds]
    if not tests:
        return Paired(note=_NO_LOOK)
    last, counts = tests[-1], [item.n for item in tests]
    if last.p is None:
        return last
    low, high = last.low, last.high
    if last.estimate is not None and last.sd:
        half = _reach(counts, looks.most, last.n - 1, 2) * last.sd / last.n**0.5
        low, high = last.estimate - half, last.estimate + half
    return replace(
        last,
        low=low,
        high=high,
        p=repeated_p([item.p for item in tests], counts, looks.most),
        sign_flip=repeated_p([item.sign_flip for item in tests], counts, looks.most),
        method=f"{REPEATED} t",
    )


def crossed_at(looks: Looks, test: Callable[[Sequence[int]], Crossed]) -> Crossed:
    """Return the test over seeds and sentences at the last look, holding for all looks.

    All looks share their sentences, so this statistic wanders less between looks than one of
    seeds alone: the same nominal levels are on the safe side. The two-way bootstrap has no
    interval that holds for several looks, so its interval is that of the last look alone.
    """
    tests = [test(seeds) for seeds in looks.seeds]
    if not tests:
        return Crossed(note=_NO_LOOK)
    last, counts = tests[-1], [item.n for item in tests]
    p = None if last.p is None else repeated_p([item.p for item in tests], counts, looks.most)
    if last.estimate is None or last.error is None or last.df is None:
        return replace(last, p=p)
    half = _reach(counts, looks.most, last.df, 2) * last.error
    return replace(last, low=last.estimate - half, high=last.estimate + half, p=p)


def equivalence_at(looks: Looks, test: Callable[[Sequence[int]], Equivalence]) -> Equivalence:
    """Return the test of equality at the last look, its p value holding for all of them.

    No interval goes with it: the 90 % interval of the last look alone says too much.
    """
    tests = [test(seeds) for seeds in looks.seeds]
    if not tests:
        return Equivalence(note=_NO_LOOK)
    last = tests[-1]
    if last.p is None:
        return last
    p_values, counts = [item.p for item in tests], [item.n for item in tests]
    return replace(last, p=repeated_p(p_values, counts, looks.most, sides=1), low=None, high=None)


def _reach(counts: Sequence[int], most: int, df: float, sides: int) -> float:
    """Return the standard errors on each side of a repeated confidence interval."""
    shares = [n / most for n in dict.fromkeys(counts) if n > 1]
    nominal = nominal_levels(shares, SPENT * LEVEL, sides)[-1]
    return float(scipy.stats.t.isf(nominal / 2, df))


_NO_LOOK = "the runs for the first interim analysis have not all ended"
