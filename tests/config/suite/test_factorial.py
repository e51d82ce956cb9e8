from __future__ import annotations

import itertools

import numpy as np
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas import DataFrame

from lora2_search.config.suite.cells import Cell, factorial_contrasts


def cells_of(factors: dict[str, list[str]]) -> dict[Cell, str]:
    return {cell: ".".join(cell) for cell in itertools.product(*factors.values())}


def value(weights: dict[str, float], scores: dict[str, float]) -> float:
    return sum(weight * scores[arm] for arm, weight in weights.items())


TWO = {"planes": ["two", "one"], "reg": ["on", "off"]}
THREE = {**TWO, "allocation": ["importance", "random"]}


def test_the_effects_of_a_published_two_by_two_come_out() -> None:
    # Montgomery, Design and Analysis of Experiments, chapter 6: a 2² in three replicates; means of
    # (1), a, b, ab are 80/3, 100/3, 60/3, 90/3; effects A = 8.33, B = -5.00, AB = 1.67. An
    # interaction there is half the difference of differences.
    arms = cells_of({"A": ["-", "+"], "B": ["-", "+"]})
    scores = {"-.-": 80 / 3, "+.-": 100 / 3, "-.+": 60 / 3, "+.+": 90 / 3}
    found = factorial_contrasts({"A": ["-", "+"], "B": ["-", "+"]}, arms)
    assert value(found["A: +"], scores) == pytest.approx(25 / 3)
    assert value(found["B: +"], scores) == pytest.approx(-5)
    assert value(found["A × B: +, +"], scores) / 2 == pytest.approx(5 / 3)


def test_names_say_what_is_compared_with_the_bases_level() -> None:
    assert list(factorial_contrasts(THREE, cells_of(THREE))) == [
        "planes: one",
        "reg: off",
        "allocation: random",
        "planes × reg: one, off",
        "planes × allocation: one, random",
        "reg × allocation: off, random",
    ]


def test_a_main_effect_weighs_every_cell_of_the_others_alike() -> None:
    found = factorial_contrasts(THREE, cells_of(THREE))
    assert sorted(found["planes: one"].values()) == [-0.25] * 4 + [0.25] * 4
    assert found["planes: one"]["one.off.random"] == 0.25
    assert sorted(found["planes × reg: one, off"].values()) == [-0.5] * 4 + [0.5] * 4
    assert found["planes × reg: one, off"]["two.on.random"] == 0.5


SHAPES = st.lists(st.integers(2, 4), min_size=1, max_size=3)


@settings(max_examples=30, deadline=None)
@given(SHAPES, st.integers(0, 99))
def test_contrasts_are_differences_of_means_over_the_other_factors(
    shape: list[int], seed: int
) -> None:
    factors = {f"f{i}": [f"l{i}{j}" for j in range(n)] for i, n in enumerate(shape)}
    arms = cells_of(factors)
    table = np.random.default_rng(seed).normal(size=shape)
    scores = dict(zip(arms.values(), table.ravel(), strict=True))
    found = factorial_contrasts(factors, arms)
    for weights in found.values():
        assert sum(weights.values()) == pytest.approx(0, abs=1e-12)
    for axis, levels in enumerate(factors.values()):
        means = table.mean(axis=tuple(other for other in range(len(shape)) if other != axis))
        for index, level in enumerate(levels[1:], 1):
            effect = value(found[f"f{axis}: {level}"], scores)
            assert effect == pytest.approx(means[index] - means[0])


def test_effects_are_those_of_a_saturated_regression() -> None:
    factors = {"a": ["a0", "a1", "a2"], "b": ["b0", "b1"]}
    arms = cells_of(factors)
    noise = np.random.default_rng(4).normal(size=len(arms))
    scores = dict(zip(arms.values(), noise, strict=True))
    frame = DataFrame([(*cell, scores[arm]) for cell, arm in arms.items()], columns=["a", "b", "y"])
    interactions = smf.ols("y ~ C(a) * C(b)", frame).fit().params
    main = smf.ols("y ~ C(a) + C(b)", frame).fit().params
    found = factorial_contrasts(factors, arms)
    for level in ("a1", "a2"):
        assert value(found[f"a: {level}"], scores) == pytest.approx(main[f"C(a)[T.{level}]"])
        expected = interactions[f"C(a)[T.{level}]:C(b)[T.b1]"]
        assert value(found[f"a × b: {level}, b1"], scores) == pytest.approx(expected)
