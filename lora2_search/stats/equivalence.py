"""The test that can say "no difference": two one-sided tests against a margin named before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from .result import TestResult
from .significance import LEVEL, PIGEONHOLE, Crossed, few_seeds

TOST = "two one-sided tests"

_EPSILON = 1e-12


@dataclass(frozen=True, kw_only=True)
class Equivalence(TestResult):
    """Whether a mean difference lies within ± margin.

    ``p`` is the larger of both one-sided p values; the interval is that of 90 %, which lies within
    the margin when p ≤ 0.05.

    Attributes:
        margin: What counts as no difference.
    """

    margin: float = 0.0


def tost(differences: Sequence[float], margin: float) -> Equivalence:
    """Test whether the mean of paired differences lies within ± ``margin``.

    Two one-sided t tests (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15, 657).
    Edges: fewer than two pairs, or pairs that all differ by the same, give a note and no test.
    """
    d = np.asarray(differences, dtype=float)
    if len(d) < 2:
        note = f"{len(d)} seed(s): no test is possible"
        return Equivalence(n=len(d), margin=margin, method=TOST, note=note)
    mean = float(d.mean())
    if np.ptp(d) < _EPSILON:
        note = f"no seed variation: every seed differs by {mean:+.4f}"
        return Equivalence(estimate=mean, n=len(d), margin=margin, method=TOST, note=note)
    error = float(d.std(ddof=1)) / math.sqrt(len(d))
    return _two_sides(len(d), mean, error, len(d) - 1, margin)


def tost_crossed(test: Crossed, margin: float) -> Equivalence:
    """Test the same over new seeds and new sentences: error and degrees of freedom of ``test``.

    Edges: where ``test`` has no standard error (identical predictions, too few seeds) there is
    no test, and its note says why.
    """
    if test.estimate is None or test.error is None or test.df is None:
        return Equivalence(
            estimate=test.estimate, n=test.n, margin=margin, method=TOST, note=test.note
        )
    return _two_sides(test.n, test.estimate, test.error, test.df, margin)


def tost_draws(draws: NDArray[np.float64], seeds: int, margin: float) -> Equivalence:
    """Test the same by the two-way bootstrap, for metrics that are no means over sentences.

    Args:
        draws: The difference on seeds and sentences drawn anew, ``[repeats]``.
        seeds: How many seeds they were drawn from.
        margin: What counts as no difference.

    Returns:
        p as the larger share of draws on or beyond a margin, at least 1 / (repeats + 1), and the
        90 % percentile interval; no estimate, which the draws do not hold. Too narrow below 20
        seeds, as ``pigeonhole`` is; ``note`` says so.
    """
    beyond = max(int(np.sum(draws <= -margin)), int(np.sum(draws >= margin)))
    low, high = (float(value) for value in np.quantile(draws, [LEVEL, 1 - LEVEL]))
    return Equivalence(
        low=low,
        high=high,
        p=(beyond + 1) / (len(draws) + 1),
        n=seeds,
        margin=margin,
        method=PIGEONHOLE,
        note=few_seeds(seeds),
    )


def _two_sides(n: int, mean: float, error: float, df: float, margin: float) -> Equivalence:
    above = float(scipy.stats.t.sf((mean + margin) / error, df))
    below = float(scipy.stats.t.cdf((mean - margin) / error, df))
    reach = float(scipy.stats.t.ppf(1 - LEVEL, df)) * error
    low, high, p = mean - reach, mean + reach, max(above, below)
    return Equivalence(estimate=mean, low=low, high=high, p=p, n=n, margin=margin, method=TOST)
