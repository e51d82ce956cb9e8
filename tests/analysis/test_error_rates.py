"""The tests keep their 5 % when nothing differs, and find what does: by simulation.

400 suites at 0.05: an exact test is right when 12 to 29 reject, a conservative one when at most 29
do and a power row beside it finds what is there.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest

from lora2_search.analysis.comparison import Analysis
from lora2_search.config.suite.schema import Suite
from lora2_search.stats.power import paired_equivalence_power, paired_power
from lora2_search.stats.significance import crossed, paired_p
from tests.support.simulated import RATE, SIGMA, analysis_of_simulated
from tests.support.suites import suite

SUITES = 400
MAIN, INTERACTION = "planes: one-plane", "planes × regularisation: one-plane, unregularised"
CELLS = ("base", "one-plane", "unregularised", "one-plane.unregularised")


def factorial(seeds: int) -> Suite:
    """Four cells, two main effects and their interaction; no floor."""
    return suite(
        arms={},
        floor=None,
        seeds=seeds,
        adapter={"target_rank": 4, "k": [4, 4]},
        design="crossed",
        factors={
            "planes": {"one-plane": {"adapter.k": [8]}, "two-planes": {}},
            "regularisation": {"unregularised": {"adapter.gamma": 0.0}, "regularised": {}},
        },
    )


def pairs(seeds: int, margin: float = 0.02) -> Suite:
    """Three arms against the base, one of them claimed to equal it; no floor."""
    arms = {f"gamma-{gamma}": {"adapter.gamma": gamma} for gamma in (0.2, 0.3, 0.4)}
    claim = {"arm": "gamma-0.2", "reference": "base", "margin": margin}
    return suite(arms=arms, floor=None, seeds=seeds, equivalence=[claim])


def drawn(plan: Suite, rates: Mapping[str, float], count: int, **more: float) -> list[Analysis]:
    with analysis_of_simulated(plan, {**dict.fromkeys(plan.arms, RATE), **rates}, **more) as found:
        return list(itertools.islice(found, count))


def rejections(analyses: list[Analysis], name: str) -> int:
    items = [item for analysis in analyses for item in analysis.family if item.name == name]
    assert len(items) == len(analyses)
    return sum((item.paired.p or 0) <= 0.05 for item in items)


def test_contrasts_of_400_aa_suites_reject_as_often_as_an_exact_test_should() -> None:
    analyses = drawn(factorial(5), {}, SUITES)
    for name in analyses[0].suite.plan.contrasts:
        assert 12 <= rejections(analyses, name) <= 29, name
    for question in ("paired_holm", "crossed_holm"):
        wrong = [any(getattr(item, question) <= 0.05 for item in a.family) for a in analyses]
        assert sum(wrong) <= 29, question
    alone = [sum((a.family[i].crossed.p or 1) <= 0.05 for a in analyses) for i in range(3)]
    assert max(alone) <= 29


@pytest.mark.parametrize(
    ("name", "rates", "effect"),
    [
        # Both cells of one plane lower by 1 sd of the contrast: (4 × ¼)^½ σ = σ.
        (MAIN, {"one-plane": -1.0, "one-plane.unregularised": -1.0}, 1.0),
        # One cell alone lower by 2 sd of the interaction, which is 2 σ.
        (INTERACTION, {"one-plane.unregularised": -4.0}, 2.0),
    ],
)
def test_a_planted_effect_is_found_as_often_as_theory_says(
    name: str, rates: Mapping[str, float], effect: float
) -> None:
    rates = {arm: RATE + steps * SIGMA for arm, steps in rates.items()}
    found = rejections(drawn(factorial(6), rates, 150), name) / 150
    # Three standard errors of a share over 150 suites are at most 0.12.
    assert found == pytest.approx(paired_power(effect, 6), abs=0.12)


@pytest.mark.slow
def test_three_pairs_of_400_aa_suites_keep_their_level_one_by_one_and_as_a_family() -> None:
    analyses = drawn(pairs(6), {}, SUITES)
    for item in analyses[0].family:
        assert 12 <= rejections(analyses, item.name) <= 29, item.name
    for question in ("paired_holm", "crossed_holm"):
        wrong = [any(getattr(item, question) <= 0.05 for item in a.family) for a in analyses]
        assert sum(wrong) <= 29, question


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0.1, 0.4])
def test_on_new_sentences_the_level_holds_where_sentences_are_a_source_of_chance(
    shared: float,
) -> None:
    analyses = drawn(pairs(10), {}, SUITES, shared=shared)
    alone = [a.family[0].crossed.p or 0 for a in analyses]
    assert sum(p <= 0.05 for p in alone) <= 29
    if shared > 0.1:
        assert rejections(analyses, analyses[0].family[0].name) > 40


@pytest.mark.slow
@pytest.mark.parametrize("seeds, effect", [(5, 0.5), (5, 1), (5, 2), (10, 0.5), (10, 1), (10, 2)])
def test_the_power_row_of_pairs_is_that_of_theory(seeds: int, effect: float) -> None:
    rates = {"gamma-0.3": RATE - effect * SIGMA * np.sqrt(2)}
    analyses = drawn(pairs(seeds), rates, SUITES)
    found = rejections(analyses, "gamma-0.3 − base") / SUITES
    assert found == pytest.approx(paired_power(effect, seeds), abs=0.075)
    # The crossed test is conservative, and still finds what is there.
    both = [item.crossed.p or 1 for a in analyses for item in a.family if item.arm == "gamma-0.3"]
    assert sum(p <= 0.05 for p in both) / SUITES > found - 0.2


@pytest.mark.slow
def test_equality_is_claimed_wrongly_in_5_of_100_at_the_margin_and_found_where_it_is_true() -> None:
    margin = 1.5 * SIGMA * np.sqrt(2)
    at_margin = drawn(pairs(8, margin), {"gamma-0.2": RATE - margin}, SUITES)
    assert 12 <= sum(a.equivalence[0].shown for a in at_margin) <= 29
    equal = drawn(pairs(8, margin), {}, SUITES)
    power = paired_equivalence_power(1.5, 1.0, 8)
    assert sum(a.equivalence[0].shown for a in equal) / SUITES == pytest.approx(power, abs=0.075)
    both = [a.equivalence[0].on_new_sentences_holm or 1 for a in at_margin]
    assert sum(p <= 0.05 for p in both) <= 29


def flips(seeds: int, examples: int, share: float, spread: float, generator) -> np.ndarray:
    """Draw D for arms that are equal in the population but differ on ``share`` of sentences.

    Each such sentence goes either way on every seed; each seed adds chance of its own.
    """
    fixed = generator.choice([-1, 0, 1], size=examples, p=[share / 2, 1 - share, share / 2])
    right = 0.75 + spread * generator.standard_normal((2, seeds, 1))
    noise = (generator.random((2, seeds, examples)) < right).astype(float)
    return np.where(fixed != 0, fixed, noise[0] - noise[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "share, examples, seeds, spread", [(0.1, 277, 5, 0.0), (0.3, 1000, 10, 0.02)]
)
def test_the_crossed_test_keeps_its_level_where_seeds_alone_do_not(
    share: float, examples: int, seeds: int, spread: float
) -> None:
    generator = np.random.default_rng(7)
    both = alone = 0
    for _ in range(SUITES):
        d = flips(seeds, examples, share, spread, generator)
        both += (crossed(d).p or 1) <= 0.05
        alone += (paired_p(d.mean(axis=1)) or 1) <= 0.05
    assert both <= 29
    assert alone > 40
