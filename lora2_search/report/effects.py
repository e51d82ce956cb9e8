"""What a contrast of a design asks: a factor's main effect, or the interaction of two."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .records import SuiteRuns


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


def effect_of(name: str, suite: SuiteRuns) -> FactorEffect | None:
    """Return what the contrast of that name asks, ``None`` for one that a user wrote.

    Names are ``planes: one-plane`` and ``planes × regularisation: one-plane, unregularised``, in
    front of them the block's name where two blocks would have the same.
    """
    for cells in suite.cells.values():
        # A contrast is of the block that holds every arm with a weight.
        if all(arm in cells for arm in suite.contrasts.get(name, {})):
            for told, effect in _effects(cells):
                if name == told or name.endswith((f": {told}", f".{told}", f", {told}")):
                    return effect
    return None


def _effects(cells: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, FactorEffect]]:
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
                    told = f"{' × '.join(factors)}: {', '.join(found)}"
                    yield told, FactorEffect(factors, found, own, others)
