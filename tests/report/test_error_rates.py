"""The tests keep their 5 % when nothing differs, and find what does: by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from lora2_search.report.statistics import crossed, holm, paired


def rejections(seeds: int, effect: float, suites: int, salt: int = 0) -> int:
    generator = np.random.default_rng([seeds, suites, salt])
    d = generator.normal(effect, 1.0, size=(suites, seeds))
    return sum((paired(row).p or 1) <= 0.05 for row in d)


def test_one_hundred_aa_suites_reject_about_five_times() -> None:
    assert 1 <= rejections(6, 0.0, 100) <= 11


def flips(seeds: int, examples: int, share: float, spread: float, generator) -> np.ndarray:
    """Draw D for arms that are equal in the population but differ on ``share`` of sentences.

    Each such sentence goes either way on every seed; each seed adds chance of its own.
    """
    fixed = generator.choice([-1, 0, 1], size=examples, p=[share / 2, 1 - share, share / 2])
    right = 0.75 + spread * generator.standard_normal((2, seeds, 1))
    noise = (generator.random((2, seeds, examples)) < right).astype(float)
    return np.where(fixed != 0, fixed, noise[0] - noise[1])


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 10])
def test_the_paired_t_test_keeps_its_level_over_400_aa_suites(seeds: int) -> None:
    assert 12 <= rejections(seeds, 0.0, 400) <= 29


@pytest.mark.slow
@pytest.mark.parametrize(
    "seeds, effect, power",
    [(5, 0.5, 0.14), (5, 1, 0.40), (5, 2, 0.91), (10, 0.5, 0.29), (10, 1, 0.80), (10, 2, 1.0)],
)
def test_planted_effects_are_found_as_often_as_theory_says(
    seeds: int, effect: float, power: float
) -> None:
    assert rejections(seeds, effect, 1000) / 1000 == pytest.approx(power, abs=0.045)


@pytest.mark.slow
def test_a_family_of_three_true_nulls_is_wrong_in_at_most_five_of_a_hundred_suites() -> None:
    generator = np.random.default_rng(1)
    wrong = 0
    for _ in range(400):
        base = generator.normal(size=6)
        family = [paired(generator.normal(size=6) - base).p for _ in range(3)]
        wrong += any(p is not None and p <= 0.05 for p in holm(family))
    assert 2 <= wrong <= 29


@pytest.mark.slow
@pytest.mark.parametrize(
    "share, examples, seeds, spread", [(0.1, 277, 5, 0.0), (0.3, 1000, 10, 0.02)]
)
def test_the_crossed_test_keeps_its_level_where_seeds_alone_do_not(
    share: float, examples: int, seeds: int, spread: float
) -> None:
    generator = np.random.default_rng(7)
    both = alone = 0
    for _ in range(400):
        d = flips(seeds, examples, share, spread, generator)
        both += (crossed(d).p or 1) <= 0.05
        alone += (paired(d.mean(axis=1)).p or 1) <= 0.05
    assert both <= 29
    assert alone > 40
