"""A setting behind the best one on common seeds: against a linear model, and by simulation."""

from __future__ import annotations

import numpy as np
import pandas
import pytest
import statsmodels.formula.api as smf
from scipy import stats as scipy_stats

from lora2_search.stats.racing import behind


def test_the_noise_is_the_residual_of_a_two_way_model_without_interaction() -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(5, 4)) + np.arange(5)[:, None] + np.arange(4) ** 2
    long = pandas.DataFrame(
        [(row, column, table[row, column]) for row in range(5) for column in range(4)],
        columns=["setting", "seed", "score"],
    )
    model = smf.ols("score ~ C(setting) + C(seed)", long).fit()
    theirs, ours = [1.0, 2.5], [2.0, 3.0]
    found = behind(theirs, ours, table.tolist(), 0.05)
    error = np.sqrt(model.mse_resid * 2 / 2)
    assert found.estimate == pytest.approx(-0.75)
    one = scipy_stats.t.cdf(-0.75 / error, model.df_resid)
    assert found.p == pytest.approx(min(1.0, 5 * one))
    assert found.high == pytest.approx(
        -0.75 + scipy_stats.t.ppf(1 - 0.05 / 5, model.df_resid) * error
    )


@pytest.mark.parametrize(
    "table",
    [
        [[1.0, 2.0], [2.0, 1.0]],
        [[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]],
        [[1.0, 2.0], [2.0, 1.0], [3.00001, 4.0]],
        [[1.0], [2.0], [3.0]],
    ],
)
def test_the_noise_of_fewer_than_three_settings_that_differ_is_not_known(
    table: list[list[float]],
) -> None:
    found = behind([0.0], [9.0], table, 0.05)
    assert found.p is None and "too few" in found.note and found.estimate == -9


@pytest.mark.parametrize(("settings", "most"), [(4, 0.06), (15, 0.06)])
def test_a_setting_as_good_as_all_others_is_told_behind_the_best_as_seldom_as_the_level_says(
    settings: int, most: float
) -> None:
    rng = np.random.default_rng(1)
    told, studies = 0, 2000
    for _ in range(studies):
        seeds = rng.normal(size=3)
        table = rng.normal(size=(settings, 3)) + seeds
        best = table[np.argmax(table.mean(axis=1))]
        theirs = rng.normal(size=1) + seeds[:1]
        found = behind(theirs.tolist(), best[:1].tolist(), table.tolist(), 0.05)
        told += found.p is not None and found.p < 0.05
    assert 0.0 < told / studies < most
