from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora2_search.analysis.landscape import SettingAxis
from lora2_search.report.figures.axes import score_axis
from lora2_search.report.figures.ranges import (
    range_ticks,
    score_range,
    setting_ticks,
    tick_texts,
    trial_axis,
)


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (1e-4, 2e-2, ["1e-4", "3e-4", "1e-3", "3e-3", "1e-2"]),
        (1e-3, 2e-2, ["1e-3", "2e-3", "5e-3", "1e-2", "2e-2"]),
        (0.01, 1.0, ["0.01", "0.03", "0.1", "0.3", "1"]),
        (1e-8, 1.0, ["1e-8", "1e-6", "1e-4", "1e-2", "1"]),
        (2e-3, 3e-3, ["2e-3", "3e-3"]),
        (16, 1024, ["20", "50", "100", "200", "500", "1000"]),
    ],
)
def test_ticks_of_a_logarithmic_axis_are_few_and_round(
    low: float, high: float, texts: list[str]
) -> None:
    assert tick_texts(range_ticks(low, high)) == texts


@given(st.floats(1e-9, 1e5), st.floats(1.01, 1e8), st.integers(3, 8))
def test_ticks_lie_within_their_range_and_fit(low: float, factor: float, most: int) -> None:
    ticks = range_ticks(low, low * factor, most)
    assert 2 <= len(ticks) <= most and ticks == sorted(set(ticks))
    assert low * (1 - 1e-6) <= ticks[0] and ticks[-1] <= low * factor * (1 + 1e-6)
    assert len(set(tick_texts(ticks))) == len(ticks)


def test_whole_numbers_have_whole_ticks_and_choices_their_names() -> None:
    assert setting_ticks(SettingAxis("adapter.k", 1, 16, whole=True))[1] == ["5", "10", "15"]
    assert setting_ticks(SettingAxis("adapter.r", 2, 4, whole=True))[1] == ["2", "3", "4"]
    axis = SettingAxis("method", 0, 1, choices=("lora", "lora2"))
    assert setting_ticks(axis) == ([0, 1], ["lora", "lora2"])


@given(st.lists(st.floats(0, 1), min_size=1))
def test_no_axis_goes_far_beyond_what_a_share_can_be(scores: list[float]) -> None:
    low, high = score_range(scores, "accuracy")
    assert low < min(scores) and high > max(scores)
    assert low >= -0.02 and high <= 1.02


def test_a_correlation_may_be_negative() -> None:
    assert score_range([-0.5, 0.5], "pearson")[0] < -0.5


@pytest.mark.parametrize(
    ("metric", "ends"),
    [
        ("accuracy", {"clipmin": 0.0, "clipmax": 100.0}),
        *((share, {"clipmin": 0.0, "clipmax": 1.0}) for share in ("macro_f1", "roc_auc", "f1")),
        ("matthews", {"clipmin": -1.0, "clipmax": 1.0}),
        ("perplexity", {"clipmin": 0.0}),
    ],
)
def test_an_axis_that_fits_itself_ends_where_the_metric_does(
    metric: str, ends: dict[str, float]
) -> None:
    assert score_axis(metric) == {"autorangeoptions": ends}


def test_a_metric_without_a_greatest_value_is_drawn_whole() -> None:
    assert score_range([3.0, 40.0], "perplexity")[1] > 40


def test_few_trials_have_a_tick_each_and_all_lie_within_the_axis() -> None:
    assert trial_axis(3) == {"title": "trial", "range": [-0.5, 3.5], "tickformat": "d", "dtick": 1}
    assert "dtick" not in trial_axis(40)
