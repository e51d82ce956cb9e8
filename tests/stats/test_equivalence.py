from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from lora2_search.stats.equivalence import tost, tost_crossed, tost_draws
from lora2_search.stats.significance import crossed


@pytest.mark.parametrize("seed", range(5))
def test_the_p_value_is_that_of_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.normal(0.7, 0.02, 6), rng.normal(0.7, 0.02, 6)
    expected = ttost_paired(one, other, -0.02, 0.02)[0]
    assert tost(one - other, 0.02).p == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_the_90_percent_interval_lies_within_the_margin_when_the_test_rejects(seed: int) -> None:
    d = np.random.default_rng(seed).normal(0.004, 0.01, 6)
    found = tost(d, 0.02)
    assert found.low is not None and found.high is not None and found.p is not None
    assert (found.p <= 0.05) == (found.low >= -0.02 and found.high <= 0.02)


@pytest.mark.parametrize(
    ("differences", "note"),
    [([], "0 seed(s)"), ([0.1], "1 seed(s)"), ([0.0, 0.0, 0.0], "no seed variation")],
)
def test_without_variation_there_is_no_test(differences: list[float], note: str) -> None:
    found = tost(differences, 0.02)
    assert found.p is None
    assert note in found.note


@pytest.mark.parametrize("seed", range(3))
def test_over_sentences_too_the_error_is_that_of_the_crossed_test(seed: int) -> None:
    d = np.random.default_rng(seed).integers(-1, 2, (6, 50)).astype(float)
    test = crossed(d)
    found = tost_crossed(test, 0.1)
    assert test.estimate is not None and test.error is not None and test.df is not None
    shifted = [stats.t.sf((0.1 + sign * test.estimate) / test.error, test.df) for sign in (1, -1)]
    assert found.p == pytest.approx(max(shifted), abs=1e-10)
    reach = stats.t.ppf(0.95, test.df) * test.error
    assert (found.low, found.high) == pytest.approx((test.estimate - reach, test.estimate + reach))


def test_where_only_seeds_vary_both_tests_are_one() -> None:
    d = np.repeat([[0.1], [0.3], [-0.1], [0.4]], 50, axis=1)
    both, seeds = tost_crossed(crossed(d), 0.3), tost(d.mean(axis=1).tolist(), 0.3)
    assert both.p == pytest.approx(seeds.p) and both.low == pytest.approx(seeds.low)


def test_identical_predictions_have_a_note_and_no_test() -> None:
    found = tost_crossed(crossed(np.zeros((5, 20))), 0.1)
    assert found.p is None and "same sentences" in found.note


def test_draws_show_equality_where_none_lies_beyond_the_margin() -> None:
    draws = np.random.default_rng(0).normal(0, 0.01, 999)
    within, outside = tost_draws(draws, 20, 0.05), tost_draws(draws + 0.05, 20, 0.05)
    assert within.p == pytest.approx(1 / 1000) and -0.05 < (within.low or 0) < 0
    assert outside.p == pytest.approx(0.5, abs=0.06)
    for found in (within, outside):
        assert (found.low, found.high) == pytest.approx(
            tuple(np.quantile(draws if found is within else draws + 0.05, [0.05, 0.95]))
        )
