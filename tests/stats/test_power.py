from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.stats.power import TTestPower

from lora2_search.stats.equivalence import tost
from lora2_search.stats.power import (
    detectable,
    equivalence_power,
    paired_equivalence_power,
    paired_power,
    reach,
    seeds_for_difference,
    seeds_for_equivalence,
    seeds_for_margin,
)
from lora2_search.stats.significance import paired


@pytest.mark.parametrize("effect", [0.0, 0.1, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 50, 500])
@pytest.mark.parametrize("level", [0.05, 0.05 / 6])
def test_the_power_is_that_of_statsmodels(effect: float, seeds: int, level: float) -> None:
    theirs = TTestPower().power(effect, seeds, level)
    if math.isnan(theirs):  # where scipy's noncentral t underflows on the far side
        bound = stats.t.isf(level / 2, seeds - 1)
        theirs = stats.nct.sf(bound, seeds - 1, effect * math.sqrt(seeds))
    assert paired_power(effect, seeds, level) == pytest.approx(theirs, abs=1e-8)
    assert paired_power(-effect, seeds, level) == paired_power(effect, seeds, level)


@pytest.mark.parametrize(
    ("comparisons", "seeds"), [(1, [34, 10, 6, 5]), (3, [45, 14, 8, 6]), (6, [52, 16, 9, 7])]
)
def test_the_seeds_for_80_percent_are_those_of_the_table_that_was_simulated(
    comparisons: int, seeds: list[int]
) -> None:
    level = 0.05 / comparisons
    assert [seeds_for_difference(effect, level) for effect in (0.5, 1, 1.5, 2)] == seeds


def test_the_power_of_two_one_sided_tests_is_the_published_one() -> None:
    # Bioequivalence, 2×2 crossover, CV 0.3, ratio 0.95: 40 subjects, power 0.815845 (PowerTOST).
    error = math.sqrt(2 * math.log(1 + 0.3**2) / 40)
    power = equivalence_power(math.log(1.25), math.log(0.95), error, 38)
    assert power == pytest.approx(0.815845, abs=1e-6)


@pytest.mark.parametrize("seeds", [2, 3, 7, 60, 4000])
@pytest.mark.parametrize("true", [0.0, 0.01, 0.02])
def test_the_power_of_equality_is_the_integral_over_the_error_that_is_estimated(
    seeds: int, true: float
) -> None:
    error, df = 0.03 / math.sqrt(seeds), seeds - 1
    bound = stats.t.isf(0.05, df)

    def at(ratio: float) -> float:
        reach = max(0.02 - bound * error * ratio, 0.0) / error
        normal = stats.norm(true / error)
        density = stats.chi.pdf(ratio * math.sqrt(df), df) * math.sqrt(df)
        return float((normal.cdf(reach) - normal.cdf(-reach)) * density)

    ends = stats.chi.ppf([1e-13, 1 - 1e-13], df) / math.sqrt(df)
    points = [x for x in (1.0, 0.02 / bound / error) if ends[0] < x < ends[1]]
    whole, _ = integrate.quad(at, *ends, points=points, limit=400, epsabs=1e-12)
    assert paired_equivalence_power(0.02, 0.03, seeds, true) == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize(("seeds", "power"), [(5, 0.30), (10, 0.79)])
def test_the_power_of_equality_within_1_sd_is_the_one_that_was_simulated(
    seeds: int, power: float
) -> None:
    assert paired_equivalence_power(1.0, 1.0, seeds) == pytest.approx(power, abs=0.01)


def test_the_power_of_equality_is_how_often_the_test_shows_it() -> None:
    d = np.random.default_rng(0).normal(0.3, 1.0, (3000, 7))
    shown = np.mean([(tost(row, 1.2).p or 1) <= 0.05 for row in d])
    assert shown == pytest.approx(paired_equivalence_power(1.2, 1.0, 7, 0.3), abs=0.028)


@pytest.mark.parametrize("seeds", [2, 5, 20])
@pytest.mark.parametrize("comparisons", [1, 4])
def test_the_detectable_difference_is_found_in_80_percent(seeds: int, comparisons: int) -> None:
    level = 0.05 / comparisons
    found = detectable(0.02, seeds, level)
    assert found is not None
    assert paired_power(found / 0.02, seeds, level) == pytest.approx(0.8, abs=1e-9)


def test_seeds_are_the_fewest_that_are_enough() -> None:
    for effect in (0.1, 0.7, 3.0):
        n = seeds_for_difference(effect)
        assert n is not None and paired_power(effect, n) >= 0.8 > paired_power(effect, n - 1)
    n = seeds_for_equivalence(0.02, 0.03)
    assert n is not None
    before, after = (paired_equivalence_power(0.02, 0.03, k) for k in (n - 1, n))
    assert before < 0.8 <= after


@pytest.mark.parametrize(
    "answer",
    [
        seeds_for_difference(1e-4),
        seeds_for_equivalence(0.02, 0.01, true=0.02),
        seeds_for_equivalence(1e-6, 1.0),
        detectable(0.1, 1),
        reach(paired([0.1]), 1),
        reach(paired([0.0, 0.0]), 1),
        reach(paired([0.1, 0.1, 0.1]), 1),
        seeds_for_margin(paired([0.1]), tost([0.1], 0.02), 1),
    ],
)
def test_what_no_number_of_seeds_can_do_has_no_number(answer: object) -> None:
    assert answer is None


@pytest.mark.parametrize("seeds", [0, 1])
def test_without_two_seeds_nothing_is_found(seeds: int) -> None:
    assert paired_power(5.0, seeds) == 0.0
    assert paired_equivalence_power(5.0, 1.0, seeds) == 0.0


def test_without_chance_equality_is_certain_or_impossible() -> None:
    assert equivalence_power(0.1, 0.05, 0.0, 4) == 1.0
    assert equivalence_power(0.1, 0.2, 0.0, 4) == 0.0


def test_after_a_run_the_reach_is_that_of_the_spread_seen() -> None:
    test = paired([0.01, 0.03, -0.01, 0.02, 0.0])
    found = reach(test, 3)
    assert found is not None and test.sd is not None and test.estimate is not None
    assert found.detectable == detectable(test.sd, 5, 0.05 / 3)
    assert found.seeds == seeds_for_difference(test.estimate / test.sd, 0.05 / 3)
    assert reach(paired([-0.01, 0.01]), 1).seeds is None
    assert seeds_for_margin(test, tost([0.1, 0.2], 0.02), 2) == seeds_for_equivalence(
        0.02, test.sd, level=0.025
    )
