from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from benchmarks.early_stopping import RULES, simulate
from lora2_search.config.space.grace import rungs
from lora2_search.execution.schedulers import promoted


@pytest.mark.parametrize(
    ("last", "grace", "factor", "expected"),
    [(9, 1, 3, [1, 3, 9]), (4, 2, 3, [2]), (8, 1, 2, [1, 2, 4, 8]), (5, 5, 3, [5])],
)
def test_rungs_are_the_grace_period_times_the_reduction_factor(
    last: int, grace: int, factor: int, expected: list[int]
) -> None:
    assert rungs(last, grace, factor) == expected


@pytest.mark.parametrize(
    ("score", "error", "others", "on"),
    [
        (0.1, 0.0, [], True),
        (0.8, 0.0, [0.8], True),  # a tie with the bar
        (0.79, 0.0, [0.8], False),
        (0.79, 0.01, [0.8], True),  # within one standard error
        (0.78, 0.01, [0.8], False),
        (0.79, math.nan, [0.8], False),
        (0.6, 0.0, [0.9, 0.5, 0.4], True),  # of four, two go on
        (0.45, 0.0, [0.9, 0.5, 0.4], False),
        # 0.80 is the bar; those that went on within noise do not lower it for the next one.
        (0.77, 0.02, [0.80, 0.79], False),
        (0.75, 0.02, [0.80, 0.79, 0.77], False),
    ],
)
def test_a_trial_is_stopped_when_it_is_below_the_bar_by_more_than_its_noise(
    score: float, error: float, others: Sequence[float], on: bool
) -> None:
    assert promoted(score, error, others, 3) == on


def test_a_trial_that_equals_one_that_went_on_goes_on() -> None:
    assert not promoted(0.70, 0.0, [0.70, 0.80], 3)
    assert promoted(0.70, 0.0, [0.70, 0.80], 3, went_on=[0.70, 0.80])


@pytest.mark.parametrize(("trials", "spread"), [(8, 0.01), (8, 0.03), (30, 0.03)])
def test_the_best_trial_is_hardly_ever_stopped_and_the_price_has_a_bound(
    trials: int, spread: float
) -> None:
    ours, plain, none = (
        simulate(RULES[name], trials, 500, spread, repeats=300)
        for name in ("rank, one standard error", "Ray's percentile", "nobody is stopped")
    )
    assert ours.lost <= 0.08 and ours.lost <= plain.lost / 2 + 0.01
    assert plain.spent < ours.spent < none.spent == 1
    assert ours.regret <= none.regret + 0.001


def test_with_many_sentences_nearly_as_many_are_stopped_as_by_rank() -> None:
    ours, rank = (
        simulate(RULES[name], 30, 20_000, 0.03, repeats=100)
        for name in ("rank, one standard error", "rank alone")
    )
    assert ours.stopped > 0.9 * rank.stopped
