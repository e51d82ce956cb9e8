"""What each factor does in a factorial design: weights over its cells that sum to 0."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

Cell = tuple[str, ...]
Weights = dict[str, float]


def factorial_contrasts(
    factors: Mapping[str, Sequence[str]], arms: Mapping[Cell, str]
) -> dict[str, Weights]:
    """Return main effects and interactions of pairs of factors, by name, as weights over arms.

    The main effect of a level is its difference from the base's level, averaged over the cells of
    the other factors: weights ±1 / (number of those cells). The interaction of two levels is the
    difference of differences, averaged over the cells of the factors that remain. Interactions of
    three factors and more are left out.

    Args:
        factors: The levels of each factor, the base's first.
        arms: The arm of every cell, a level of each factor in their order.
    """
    found: dict[str, Weights] = {}
    for factor, levels in factors.items():
        for level in levels[1:]:
            signs = {factor: {level: 1, levels[0]: -1}}
            found[f"{factor}: {level}"] = _weights(factors, arms, signs)
    for one, other in itertools.combinations(factors, 2):
        for first, second in itertools.product(factors[one][1:], factors[other][1:]):
            signs = {
                one: {first: 1, factors[one][0]: -1},
                other: {second: 1, factors[other][0]: -1},
            }
            found[f"{one} × {other}: {first}, {second}"] = _weights(factors, arms, signs)
    return found


def _weights(
    factors: Mapping[str, Sequence[str]],
    arms: Mapping[Cell, str],
    signs: Mapping[str, Mapping[str, int]],
) -> Weights:
    remaining = 1
    for factor, levels in factors.items():
        remaining *= 1 if factor in signs else len(levels)
    weights: Weights = {}
    for cell, arm in arms.items():
        sign = 1
        for factor, level in zip(factors, cell, strict=True):
            sign *= signs[factor].get(level, 0) if factor in signs else 1
        if sign:
            weights[arm] = weights.get(arm, 0.0) + sign / remaining
    return weights
