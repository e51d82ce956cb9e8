"""Rank correlations, and their mean over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

# A correlation of exactly 1 has no Fisher z.
_MOST = 1 - 1e-12


@dataclass(frozen=True)
class Correlation:
    """A mean correlation over seeds.

    Attributes:
        n: Seeds.
        mean: Mean by Fisher's z; ``None`` where there is none.
        low: Lower end of the 95 % t interval of z over seeds, turned back; ``None`` for one seed.
        high: Upper end of it.
    """

    n: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def words(self) -> str:
        """``+0.31 (+0.20 to +0.41)``."""
        if self.mean is None:
            return "undefined"
        if self.low is None or self.high is None:
            return f"{self.mean:+.2f}"
        return f"{self.mean:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def mean_correlation(values: Sequence[float | None]) -> Correlation:
    """Average correlations of several seeds; undefined ones are left out."""
    defined = [value for value in values if value is not None and math.isfinite(value)]
    if not defined:
        return Correlation(0)
    z = np.arctanh(np.clip(defined, -_MOST, _MOST))
    mean = float(np.tanh(z.mean()))
    if len(z) < 2:
        return Correlation(1, mean)
    reach = float(stats.t.ppf(0.975, len(z) - 1)) * float(z.std(ddof=1)) / math.sqrt(len(z))
    return Correlation(
        len(z), mean, float(np.tanh(z.mean() - reach)), float(np.tanh(z.mean() + reach))
    )


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Spearman's correlation; ``None`` where one side is constant."""
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(stats.spearmanr(one, other).statistic)


def full_length(half: float | None) -> float | None:
    """Return how reliable a whole is whose halves correlate by ``half`` (Spearman-Brown).

    A negative value counts as 0: halves that contradict each other repeat nothing.
    """
    if half is None:
        return None
    return max(0.0, 2 * half / (1 + half)) if half > -1 else 0.0
