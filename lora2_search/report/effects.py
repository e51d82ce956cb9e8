"""What a contrast of a design asks: a factor's main effect, or the interaction of two."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .contrasts import Weights
from .records import SuiteRuns

Cells = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class FactorEffect:
    """A main effect (one factor) or an interaction (two).

    Attributes:
        factors: The factors.
        levels: The level of each that is compared.
        bases: The base's level of each.
        others: Factors that it is averaged over.
    """

    factors: tuple[str, ...]
    levels: tuple[str, ...]
    bases: tuple[str, ...]
    others: tuple[str, ...]


def effect_of(weights: Weights, suite: SuiteRuns) -> FactorEffect | None:
    """Return what a contrast asks by its weights, whoever named it; ``None`` if it is no effect."""
    for cells in suite.cells.values():
        if all(arm in cells for arm in weights):
            for effect in _effects(cells):
                if _same(weights, _weights(effect, cells)):
                    return effect
    return None


def _weights(effect: FactorEffect, cells: Cells) -> Weights:
    """Return ±1 over the cells of the other factors for a level, the base's with the other sign."""
    remaining = math.prod(len({cell[other] for cell in cells.values()}) for other in effect.others)
    compared = list(zip(effect.factors, effect.levels, effect.bases, strict=True))
    found = {}
    for arm, cell in cells.items():
        signs = [(cell[name] == level) - (cell[name] == base) for name, level, base in compared]
        if math.prod(signs):
            found[arm] = math.prod(signs) / remaining
    return found


def _same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(
        math.isclose(one[arm], other[arm], rel_tol=1e-9) for arm in one
    )


def _effects(cells: Cells) -> Iterator[FactorEffect]:
    # The cell of the base's levels comes first in its block.
    bases = dict(next(iter(cells.values())))
    levels = {
        factor: list(dict.fromkeys(cell[factor] for cell in cells.values())) for factor in bases
    }
    for size in (1, 2):
        for factors in itertools.combinations(bases, size):
            others = tuple(factor for factor in bases if factor not in factors)
            for found in itertools.product(*(levels[factor] for factor in factors)):
                own = tuple(bases[factor] for factor in factors)
                if not set(zip(factors, found, strict=True)) & set(bases.items()):
                    yield FactorEffect(factors, found, own, others)
