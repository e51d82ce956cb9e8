"""Rank correlations, and their mean over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy

from .result import TestResult

# A correlation of exactly 1 has no Fisher z.
_MOST = 1 - 1e-12

FISHER_Z = "t of Fisher's z"


def mean_correlation(values: Sequence[float | None]) -> TestResult:
    """Average correlations of several seeds by Fisher's z; undefined ones are left out.

    z = artanh r (Fisher 1921, Metron 1, 3) is averaged and turned back, and so are the ends of its
    95 % t interval over seeds. No estimate without a defined one, no interval of a single one.
    """
    defined = [value for value in values if value is not None and math.isfinite(value)]
    if not defined:
        return TestResult(method=FISHER_Z, note="no seed has a correlation")
    z = np.arctanh(np.clip(defined, -_MOST, _MOST))
    mean = float(np.tanh(z.mean()))
    if len(z) < 2:
        return TestResult(estimate=mean, n=1, method=FISHER_Z, note="one seed: no interval")
    reach = float(scipy.stats.t.ppf(0.975, len(z) - 1)) * float(z.std(ddof=1)) / math.sqrt(len(z))
    low, high = float(np.tanh(z.mean() - reach)), float(np.tanh(z.mean() + reach))
    return TestResult(estimate=mean, low=low, high=high, n=len(z), method=FISHER_Z)


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation; ``None`` where one side is constant.

    Spearman 1904, Am. J. Psychol. 15, 72.
    """
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(scipy.stats.spearmanr(one, other).statistic)


def kendall(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Kendall's rank correlation; ``None`` where one side is constant.

    The pairs in the same order minus those in the other, as a share of all, ties allowed for (τ-b,
    Kendall 1945, Biometrika 33, 239).
    """
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(scipy.stats.kendalltau(one, other).statistic)


def spearman_brown(half: float | None) -> float | None:
    """Return how reliable a whole is whose halves correlate by ``half``.

    The prophecy formula of Spearman (1910, Br. J. Psychol. 3, 271) and Brown (1910, ibid., 296).
    A negative value counts as 0: halves that contradict each other repeat nothing.
    """
    if half is None:
        return None
    return max(0.0, 2 * half / (1 + half)) if half > -1 else 0.0
