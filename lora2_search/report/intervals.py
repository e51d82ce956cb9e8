"""The 95 % interval of a mean over seeds: by t below 20 pairs, by BCa bootstrap from there."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

T, BCA = "t", "BCa"
BOOTSTRAP_FROM = 20
_RESAMPLES = 9_999


@dataclass(frozen=True)
class Interval:
    """An interval of a mean.

    Attributes:
        low: Lower end.
        high: Upper end.
        method: ``t`` or ``BCa``.
    """

    low: float
    high: float
    method: str


def mean_interval(values: NDArray[np.float64], level: float) -> Interval:
    """Return the interval of a mean that covers 1 - ``level``.

    For normal differences BCa covers 0.81 instead of 0.95 at 5 pairs and 0.91 at 10, so below 20
    pairs the t interval stands; from 20 the bias-corrected and accelerated bootstrap (Efron 1987;
    9,999 resamples, fixed seed), which is not bound to normal differences.

    Args:
        values: At least two that are not all equal, ``[n]``.
        level: One minus the coverage.
    """
    if len(values) >= BOOTSTRAP_FROM:
        found = _bca(values, level)
        if found is not None:
            return found
    reach = t_reach(values, level)
    return Interval(float(values.mean()) - reach, float(values.mean()) + reach, T)


def t_reach(values: NDArray[np.float64], level: float) -> float:
    """Return half the width of the t interval of a mean; ``values`` are two or more."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(stats.t.ppf(1 - level / 2, len(values) - 1)) * error


def _bca(values: NDArray[np.float64], level: float) -> Interval | None:
    with warnings.catch_warnings():
        # Where BCa has no answer (resamples that are all equal) scipy warns and returns NaN.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        low, high = stats.bootstrap(
            (values,),
            np.mean,
            confidence_level=1 - level,
            n_resamples=_RESAMPLES,
            method="BCa",
            rng=np.random.default_rng(0),
        ).confidence_interval
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    return Interval(float(low), float(high), BCA)
