"""The test that can say "no difference": two one-sided tests against a margin named before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .significance import LEVEL, Crossed, few_seeds

_EPSILON = 1e-12


@dataclass(frozen=True)
class Equivalence:
    """Whether a mean difference lies within ± margin.

    Attributes:
        n: Pairs.
        margin: What counts as no difference.
        p: The larger of both one-sided p values; ``None`` where no test is possible.
        low: Lower end of the 90 % interval, which lies within the margin when p ≤ 0.05.
        high: Upper end of it.
        note: Why there is no test, or what to bear in mind about it.
    """

    n: int
    margin: float
    p: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""


def tost(differences: Sequence[float], margin: float) -> Equivalence:
    """Test whether the mean of paired differences lies within ± ``margin`` (Schuirmann 1987).

    Edges: fewer than two pairs, or pairs that all differ by the same, give a note and no test.
    """
    d = np.asarray(differences, dtype=float)
    if len(d) < 2:
        return Equivalence(len(d), margin, note=f"{len(d)} seed(s): no test is possible")
    if np.ptp(d) < _EPSILON:
        note = f"no seed variation: every seed differs by {d.mean():+.4f}"
        return Equivalence(len(d), margin, note=note)
    error = float(d.std(ddof=1)) / math.sqrt(len(d))
    return _two_sides(len(d), float(d.mean()), error, len(d) - 1, margin)


def tost_crossed(test: Crossed, margin: float) -> Equivalence:
    """Test the same over new seeds and new sentences: error and degrees of freedom of ``test``.

    Edges: where ``test`` has no standard error (identical predictions, too few seeds) there is
    no test, and its note says why.
    """
    if test.mean is None or test.error is None or test.df is None:
        return Equivalence(test.seeds, margin, note=test.note)
    return _two_sides(test.seeds, test.mean, test.error, test.df, margin)


def tost_draws(draws: NDArray[np.float64], seeds: int, margin: float) -> Equivalence:
    """Test the same by the two-way bootstrap, for metrics that are no means over sentences.

    Args:
        draws: The difference on seeds and sentences drawn anew, ``[repeats]``.
        seeds: How many seeds they were drawn from.
        margin: What counts as no difference.

    Returns:
        p as the larger share of draws on or beyond a margin, at least 1 / (repeats + 1), and the
        90 % percentile interval. Too narrow below 20 seeds, as ``pigeonhole`` is; ``note`` says so.
    """
    beyond = max(int(np.sum(draws <= -margin)), int(np.sum(draws >= margin)))
    low, high = (float(value) for value in np.quantile(draws, [LEVEL, 1 - LEVEL]))
    note = few_seeds(seeds)
    return Equivalence(seeds, margin, (beyond + 1) / (len(draws) + 1), low, high, note)


def _two_sides(n: int, mean: float, error: float, df: float, margin: float) -> Equivalence:
    above = float(stats.t.sf((mean + margin) / error, df))
    below = float(stats.t.cdf((mean - margin) / error, df))
    reach = float(stats.t.ppf(1 - LEVEL, df)) * error
    return Equivalence(n, margin, max(above, below), mean - reach, mean + reach)
