"""Effects of factors and of their interactions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from ..stats import Paired, TestResult, rejects, seeds_interval
from .comparison import Analysis
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
    for cells in suite.plan.cells.values():
        if all(arm in cells for arm in weights):
            for effect in _effects(cells):
                if _same(weights, _weights(effect, cells)):
                    return effect
    return None


def _weights(effect: FactorEffect, cells: Cells) -> Weights:
    """Return ±1 over the cells of the other factors for a level, the base's with the other sign."""
    remaining = math.prod(len({cell[other] for cell in cells.values()}) for other in effect.others)
    compared = list(zip(effect.factors, effect.levels, effect.bases, strict=True))
    weights = {}
    for arm, cell in cells.items():
        signs = [(cell[name] == level) - (cell[name] == base) for name, level, base in compared]
        if math.prod(signs):
            weights[arm] = math.prod(signs) / remaining
    return weights


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
            for changed in itertools.product(*(levels[factor] for factor in factors)):
                own = tuple(bases[factor] for factor in factors)
                if not set(zip(factors, changed, strict=True)) & set(bases.items()):
                    yield FactorEffect(factors, changed, own, others)


Kind = Literal["named", "equality", "floor"]


@dataclass(frozen=True)
class Effect:
    """A mean difference over seeds on this test set.

    Attributes:
        name: The comparison or contrast.
        kind: Named before the run and corrected; a claim of equality alone; or the floor check.
        mean: Mean difference, in units of the metric.
        low: Lower end of its 95 % interval, not corrected for the size of the family.
        high: Upper end of it.
        differs: Whether the test says so, after correction over the family; never, but for the
            floor check, in a suite that is not known to be trained enough.
        margin: The margin of equality that was named for it.
        n: Seeds.
    """

    name: str
    kind: Kind
    mean: float
    low: float
    high: float
    differs: bool
    margin: float | None
    n: int


def effects(analysis: Analysis) -> list[Effect]:
    """Return the effects in the order of the suite, the floor check last.

    What has no interval (one seed, no variation, nothing finished) is left out.
    """
    margins = {item.name: item.claim.margin for item in analysis.equivalence}
    shown: dict[str, Effect] = {}
    for item in analysis.family:
        p = item.paired_holm if analysis.gives_verdicts and not item.unlearnt else None
        shown |= _effect(item.name, "named", item.paired, p, margins)
    for claim in analysis.equivalence:
        if claim.name not in shown:
            shown |= _effect(claim.name, "equality", claim.paired, None, margins)
    floor = analysis.floor
    if floor is not None:
        shown |= _effect(floor.name, "floor", floor.paired, floor.paired.p, {})
    return list(shown.values())


def _effect(
    name: str, kind: Kind, test: Paired, p: float | None, margins: Mapping[str, float]
) -> dict[str, Effect]:
    if test.estimate is None or test.low is None or test.high is None:
        return {}
    margin = margins.get(name)
    return {
        name: Effect(name, kind, test.estimate, test.low, test.high, rejects(p), margin, test.n)
    }


Levels = Mapping[str, str]


@dataclass(frozen=True)
class Interaction:
    """Two factors of one block, averaged over its other factors.

    Attributes:
        block: The block of the design.
        first: The factor along the axis.
        second: The factor that each line is a level of.
        cells: Mean score by (level of ``first``, level of ``second``); its interval is over
            seeds, of the score itself and not of a difference. A cell in which no seed has every
            run is left out.
    """

    block: str
    first: str
    second: str
    cells: Mapping[tuple[str, str], TestResult]

    def levels(self, position: int) -> list[str]:
        """Return the levels of the first (0) or second (1) factor, in the order of the cells."""
        return list(dict.fromkeys(key[position] for key in self.cells))


def interactions(analysis: Analysis) -> list[Interaction]:
    """Return one table of cells for every two factors of every block that has two or more."""
    tables = []
    for block, arms in analysis.suite.plan.cells.items():
        cells = {arm: {str(k): str(v) for k, v in levels.items()} for arm, levels in arms.items()}
        factors = list(dict.fromkeys(name for levels in cells.values() for name in levels))
        for first, second in combinations(factors, 2):
            means = _means(analysis, cells, first, second)
            if means:
                tables.append(Interaction(block, first, second, means))
    return tables


def reaches(test: TestResult) -> tuple[float, float]:
    """Return how far an interval reaches below and above its mean; 0 where there is none."""
    if test.estimate is None or test.low is None or test.high is None:
        return 0.0, 0.0
    return test.estimate - test.low, test.high - test.estimate


def _means(
    analysis: Analysis, cells: Mapping[str, Levels], first: str, second: str
) -> dict[tuple[str, str], TestResult]:
    scores = {arm.name: arm.scores for arm in analysis.arms}
    groups: dict[tuple[str, str], list[str]] = {}
    for arm, levels in cells.items():
        if first in levels and second in levels:
            groups.setdefault((levels[first], levels[second]), []).append(arm)
    means = {}
    for key, arms in groups.items():
        seeds = [s for s in analysis.suite.seeds if all(s in scores.get(arm, {}) for arm in arms)]
        if seeds:
            means[key] = seeds_interval(
                [float(np.mean([scores[a][s] for a in arms])) for s in seeds]
            )
    return means
