from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lora2_search.stats.aggregate import (
    interquartile_difference,
    interquartile_mean,
    probability_of_improvement,
    share_of_wins,
    trimmed_mean,
)

scores = st.lists(st.integers(0, 12).map(lambda n: n / 12), min_size=1, max_size=30)


@given(scores)
def test_the_mean_of_the_middle_half_is_scipys_trimmed_mean(values: list[float]) -> None:
    theirs = stats.trim_mean(values, proportiontocut=0.25)
    assert trimmed_mean(np.array(values)) == pytest.approx(theirs, abs=1e-12)


@given(scores, scores)
def test_the_share_of_wins_is_mann_whitneys_u(a: list[float], b: list[float]) -> None:
    u = stats.mannwhitneyu(a, b, method="asymptotic").statistic
    found = share_of_wins(np.array(a), np.array(b))
    assert found == pytest.approx(u / (len(a) * len(b)), abs=1e-12)


def test_ties_count_half() -> None:
    assert share_of_wins(np.array([1.0, 1.0]), np.array([1.0])) == 0.5
    assert share_of_wins(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == 0.875


def test_the_middle_is_over_the_runs_of_all_tasks() -> None:
    low, high = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.6, 0.7, 0.8, 0.9])
    found = interquartile_mean([low, high])
    assert found is not None and found.estimate == pytest.approx(0.5)
    assert (found.tasks, found.n) == (2, 4)


def test_the_bootstrap_draws_seeds_within_each_task() -> None:
    # Between tasks the scores differ by far, within them hardly: stratified, so is the interval.
    tasks = [np.full(6, 0.2) + np.arange(6) / 1000, np.full(6, 0.8) + np.arange(6) / 1000]
    found = interquartile_mean(tasks)
    assert found is not None and found.low is not None and found.high is not None
    assert 0 < found.high - found.low < 0.01


def test_differences_keep_seeds_paired() -> None:
    # A seed moves both arms by far; they differ by 0.01 on each.
    seeds = np.random.default_rng(0).random(8)
    found = interquartile_difference([seeds + 0.01], [seeds])
    assert found is not None
    assert (found.estimate, found.low, found.high) == pytest.approx((0.01, 0.01, 0.01))


def test_improvement_is_the_mean_over_tasks() -> None:
    better, worse = np.array([2.0, 3.0]), np.array([0.0, 1.0])
    found = probability_of_improvement([better, worse, worse], [worse, better, worse])
    assert found is not None and found.estimate == pytest.approx(0.5)
    assert found.low is not None and 0 <= found.low <= 0.5 <= (found.high or 0) <= 1


@pytest.mark.slow
def test_the_interval_of_twenty_seeds_a_task_covers_about_95_percent() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(150):
        found = interquartile_mean([generator.normal(0, 1, 20) for _ in range(2)])
        assert found is not None and found.low is not None and found.high is not None
        covered += found.low <= 0 <= found.high
    assert covered / 150 == pytest.approx(0.93, abs=0.05)


NONE = np.array([])


@pytest.mark.parametrize(
    "answer",
    [
        interquartile_mean([]),
        interquartile_mean([NONE]),
        interquartile_difference([NONE], [NONE]),
        probability_of_improvement([NONE], [NONE]),
    ],
)
def test_without_runs_there_is_no_number(answer: object) -> None:
    assert answer is None


def test_one_seed_has_a_value_and_no_interval_and_a_task_without_runs_does_not_count() -> None:
    found = interquartile_mean([np.array([0.5]), NONE, np.array([0.7, 0.7])])
    assert found is not None and (found.low, found.tasks, found.n) == (None, 2, 1)
