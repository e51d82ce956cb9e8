from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from lora2_search.stats.correlation import kendall, mean_correlation, spearman, spearman_brown


def test_the_mean_is_taken_in_fishers_z_with_a_t_interval() -> None:
    found = mean_correlation([0.2, 0.5, 0.4])
    z = [math.atanh(value) for value in (0.2, 0.5, 0.4)]
    low, high = stats.t.interval(0.95, 2, loc=sum(z) / 3, scale=stats.sem(z))
    assert found.estimate == pytest.approx(math.tanh(sum(z) / 3))
    assert (found.low, found.high) == pytest.approx((math.tanh(low), math.tanh(high)))


def test_undefined_correlations_are_left_out_and_one_seed_has_no_interval() -> None:
    found = mean_correlation([None, 0.3, float("nan")])
    assert (found.n, found.low, found.high) == (1, None, None)
    assert found.estimate == pytest.approx(0.3)
    assert mean_correlation([None]).estimate is None
    assert mean_correlation([]).note == "no seed has a correlation"


def test_spearman_sees_ranks_alone_and_nothing_in_a_constant() -> None:
    assert spearman([1, 2, 3, 4], [1, 10, 100, 1000]) == pytest.approx(1)
    assert spearman([1, 2, 3], [5, 5, 5]) is None


def test_two_halves_that_agree_by_half_make_a_whole_of_two_thirds() -> None:
    assert spearman_brown(0.5) == pytest.approx(2 / 3)
    assert spearman_brown(-0.2) == 0
    assert spearman_brown(None) is None


def test_kendall_counts_pairs_in_the_same_order_against_the_others() -> None:
    one, other = [0.1, 0.4, 0.2, 0.3, 0.5], [1.0, 3.0, 2.0, 5.0, 4.0]
    signs = [
        np.sign(a - b) * np.sign(c - d)
        for (a, c), (b, d) in itertools.combinations(zip(one, other, strict=True), 2)
    ]
    assert kendall(one, other) == pytest.approx(sum(signs) / 10)
    assert kendall(one, [-value for value in one]) == pytest.approx(-1)
    assert kendall([1.0], [2.0]) is None
    assert kendall([1.0, 1.0], [1.0, 2.0]) is None
