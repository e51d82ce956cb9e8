"""Looking often: published bounds, and by simulation the error kept and the runs saved."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import ndtr, ndtri

from lora2_search.analysis.looks import Looks, equivalence_at, paired_at
from lora2_search.config.suite.terms import Sequential
from lora2_search.stats.equivalence import tost
from lora2_search.stats.power import paired_power
from lora2_search.stats.sequential import SPENT, nominal_levels, repeated_p
from lora2_search.stats.significance import Paired, holm, paired_p

PLAN = Sequential()


def obrien_fleming(level: float, share: float) -> float:
    return float(2 - 2 * ndtr(-ndtri(level / 2) / math.sqrt(share)))


def pocock(level: float, share: float) -> float:
    return level * math.log(1 + (math.e - 1) * share)


@pytest.mark.parametrize(
    ("spending", "published"),
    [
        # Five equal looks at two-sided 0.05: Lan & DeMets' functions as in the program ld98.
        (obrien_fleming, [4.8769, 3.3570, 2.6803, 2.2898, 2.0310]),
        (pocock, [2.4380, 2.4268, 2.4101, 2.3966, 2.3859]),
    ],
)
def test_the_bounds_are_those_published(spending, published: list[float]) -> None:
    levels = nominal_levels([0.2, 0.4, 0.6, 0.8, 1.0], 0.05, spending=spending)
    assert [-ndtri(level / 2) for level in levels] == pytest.approx(published, abs=1e-4)


@pytest.mark.parametrize("sides", [1, 2])
def test_two_looks_spend_what_the_bivariate_normal_distribution_says(sides: int) -> None:
    first, second = nominal_levels([0.4, 1.0], 0.05, sides)
    assert first == pytest.approx(0.05 * 0.4**2)
    one, two = -ndtri(first / sides), -ndtri(second / sides)
    joint = stats.multivariate_normal([0, 0], [[1, math.sqrt(0.4)], [math.sqrt(0.4), 1]])
    low = [-one, -two] if sides == 2 else [-np.inf, -np.inf]
    inside = joint.cdf([one, two], lower_limit=low)
    assert 1 - inside == pytest.approx(0.05, abs=2e-5)


def test_one_look_at_all_seeds_is_a_fixed_test() -> None:
    assert nominal_levels([1.0], 0.03) == [pytest.approx(0.03)]
    assert repeated_p([0.03], [10], 10) == pytest.approx(0.03 / SPENT, rel=2e-3)


@pytest.mark.parametrize("look", range(9))
def test_the_repeated_p_is_the_level_at_which_the_look_just_rejects(look: int) -> None:
    shares = [n / PLAN.most for n in PLAN.looks]
    p = nominal_levels(shares, SPENT * 0.05)[look]
    seen = [*[0.9] * look, p]
    assert repeated_p(seen, PLAN.looks[: look + 1], PLAN.most) == pytest.approx(0.05, rel=2e-3)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=9))
def test_a_repeated_p_is_never_below_the_smallest_p_nor_undone_by_more_looks(
    p_values: list[float | None],
) -> None:
    looks = PLAN.looks[: len(p_values)]
    found = repeated_p(p_values, looks, PLAN.most)
    known = [p for p in p_values if p is not None]
    if not known:
        assert found is None
        return
    assert found is not None and min(known) * 0.999 <= max(found, 1e-7) and found <= 1
    before = repeated_p(p_values[:-1], looks[:-1], PLAN.most)
    assert before is None or found <= before * 1.001


@pytest.mark.parametrize(
    ("p_values", "seeds"),
    [([], []), ([None, None], [4, 6]), ([0.001], [1]), ([0.001], [21])],
)
def test_without_a_look_that_counts_there_is_no_p(p_values: list, seeds: list[int]) -> None:
    assert repeated_p(p_values, seeds, 20) is None


def test_a_plan_ends_at_its_most_seeds() -> None:
    assert Sequential(first=4, every=2, most=20).looks == (4, 6, 8, 10, 12, 14, 16, 18, 20)
    assert Sequential(first=4, every=5, most=10).looks == (4, 9, 10)
    assert Sequential(first=5, every=1, most=5).looks == (5,)


def p_after(differences: np.ndarray, looks: Sequence[int], plan: Sequential) -> float | None:
    """Return the p value that a report has of one comparison after these looks."""
    taken = Looks(tuple(tuple(range(count)) for count in looks), plan.most)

    # Without a spread no interval is made, which would take most of the time.
    def test(seeds: Sequence[int]) -> Paired:
        return Paired(n=len(seeds), estimate=0.0, p=paired_p(differences[list(seeds)]))

    return paired_at(taken, test).p


def different(drawn: np.ndarray, looks: Sequence[int], plan: Sequential = PLAN) -> list[bool]:
    """Return which of a family's comparisons (columns) are called different after these looks."""
    corrected = holm([p_after(column, looks, plan) for column in drawn.T])
    return [p is not None and p <= 0.05 for p in corrected]


@pytest.mark.parametrize("differences", [[0.1] * 6, [0.0] * 6])
def test_where_nothing_can_be_tested_nothing_differs(differences: list[float]) -> None:
    assert different(np.array([differences]).T, [4, 6]) == [False]


def stopped(
    effect: float, suites: int, family: int = 1, plan: Sequential = PLAN, salt: int = 0
) -> tuple[int, float]:
    """Return in how many suites the first comparison was called different, and mean seeds."""
    generator = np.random.default_rng([suites, family, salt])
    found, seeds = 0, 0
    for _ in range(suites):
        drawn = generator.normal([effect, *[0.0] * (family - 1)], 1, (plan.most, family))
        for count in range(1, len(plan.looks) + 1):
            differs = different(drawn, plan.looks[:count], plan)[0]
            if differs:
                break
        found += differs
        seeds += plan.looks[count - 1]
    return found, seeds / suites


def fixed_seeds(effect: float, power: float) -> int:
    return next(n for n in range(2, 100) if paired_power(effect, n) >= power)


def test_peeking_at_400_suites_of_equal_arms_finds_few_differences() -> None:
    assert stopped(0.0, 400)[0] <= 29


def test_at_one_sd_a_third_of_the_runs_is_saved() -> None:
    found, seeds = stopped(1.0, 150)
    assert seeds <= 0.7 * fixed_seeds(1.0, found / 150)


def null_crossings(plan: Sequential, level: float, suites: int = 200_000) -> float:
    """Return how often the paired t test crosses its bounds at some look, vectorised."""
    d = np.random.default_rng(plan.most).standard_normal((suites, plan.most), dtype=np.float32)
    nominal = nominal_levels([n / plan.most for n in plan.looks], SPENT * level)
    crossed = np.zeros(suites, dtype=bool)
    for count, bound in zip(plan.looks, nominal, strict=True):
        part = d[:, :count].astype(float)
        t = part.mean(axis=1) / part.std(axis=1, ddof=1) * math.sqrt(count)
        crossed |= 2 * stats.t.sf(np.abs(t), count - 1) <= bound
    return float(crossed.mean())


@pytest.mark.slow
@pytest.mark.parametrize(
    "plan",
    [
        Sequential(),
        Sequential(first=4, every=1, most=20),
        Sequential(first=3, every=1, most=12),
        Sequential(first=6, every=6, most=30),
    ],
)
@pytest.mark.parametrize("family", [1, 3, 10])
def test_the_error_stays_below_its_level_in_every_plan(plan: Sequential, family: int) -> None:
    level = 0.05 / family
    # Three standard errors of the simulated share.
    assert null_crossings(plan, level) <= level + 3 * math.sqrt(level / 200_000)


@pytest.mark.slow
def test_a_family_of_three_with_one_effect_keeps_its_level() -> None:
    generator = np.random.default_rng(5)
    wrong = 0
    for _ in range(400):
        drawn = generator.normal([2.0, 0.0, 0.0], 1, (PLAN.most, 3))
        wrong += any(different(drawn, PLAN.looks)[1:])
    assert wrong <= 29


@pytest.mark.slow
@pytest.mark.parametrize("effect", [1.0, 1.5])
def test_three_in_ten_runs_are_saved_against_the_fixed_design_of_the_same_power(
    effect: float,
) -> None:
    found, seeds = stopped(effect, 3000)
    assert seeds <= 0.7 * fixed_seeds(effect, min(found / 3000, 0.999))


@pytest.mark.slow
def test_peeking_for_equality_at_its_margin_claims_it_in_at_most_5_of_100_suites() -> None:
    generator = np.random.default_rng(6)
    wrong = 0
    for _ in range(400):
        d = generator.normal(1.5, 1, PLAN.most)
        taken = Looks(tuple(tuple(range(count)) for count in PLAN.looks), PLAN.most)
        p = equivalence_at(taken, lambda seeds, d=d: tost(d[list(seeds)].tolist(), 1.5)).p
        wrong += p is not None and p <= 0.05
    assert 5 <= wrong <= 29
