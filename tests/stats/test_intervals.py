from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from lora2_search.stats.significance import mean_interval, paired


@pytest.mark.parametrize("n", [2, 5, 19])
def test_below_twenty_pairs_the_interval_is_scipys_t_interval(n: int) -> None:
    d = np.random.default_rng(n).normal(0.1, 1.0, n)
    found = mean_interval(d, 0.05)
    theirs = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert found.method == "t"
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-10)


def by_hand(d: np.ndarray) -> tuple[float, float]:
    """Return the BCa interval of a mean written out (Efron & Tibshirani 1993, chapter 14)."""
    draws = np.random.default_rng(1).choice(d, (40_000, len(d))).mean(axis=1)
    bias = stats.norm.ppf((np.mean(draws < d.mean()) + np.mean(draws <= d.mean())) / 2)
    jack = np.array([np.delete(d, i).mean() for i in range(len(d))])
    gap = jack.mean() - jack
    skew = (gap**3).sum() / (6 * (gap**2).sum() ** 1.5)
    z = bias + stats.norm.ppf([0.025, 0.975])
    low, high = np.quantile(draws, stats.norm.cdf(bias + z / (1 - skew * z)))
    return float(low), float(high)


@pytest.mark.parametrize("n", [20, 35])
def test_from_twenty_pairs_the_interval_is_bca(n: int) -> None:
    d = np.random.default_rng(n).exponential(1.0, n)
    found = mean_interval(d, 0.05)
    assert found.method == "BCa"
    assert (found.low, found.high) == pytest.approx(by_hand(d), abs=0.02)
    assert found == mean_interval(d, 0.05)
    test = paired(d)
    assert (test.low, test.high, test.method) == (found.low, found.high, "BCa")
    assert test.p == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=1e-10)


@pytest.mark.parametrize("d", [[0.0] * 30 + [1.0], [-1.0] + [0.0] * 20, [1e-9] * 20 + [0.0]])
def test_an_interval_of_almost_equal_pairs_is_finite(d: list[float]) -> None:
    found = mean_interval(np.array(d), 0.05)
    assert math.isfinite(found.low) and math.isfinite(found.high) and found.low <= found.high


def test_t_intervals_of_few_pairs_cover_95_percent_where_bootstraps_do_not() -> None:
    d = np.random.default_rng(3).normal(0, 1, (1000, 5))
    covered = [found.low <= 0 <= found.high for found in (mean_interval(row, 0.05) for row in d)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.021)
