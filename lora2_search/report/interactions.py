"""Scores in the cells of two factors: what one factor does at each level of the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from .comparison import Analysis
from .statistics import Paired, paired

Levels = Mapping[str, str]


@dataclass(frozen=True)
class Interaction:
    """Two factors of one block, averaged over its other factors.

    Attributes:
        block: The block of the design.
        first: The factor along the axis.
        second: The factor told apart by lines.
        cells: Mean score by (level of ``first``, level of ``second``); its interval is over
            seeds, of the score itself and not of a difference. A cell in which no seed has every
            run is left out.
    """

    block: str
    first: str
    second: str
    cells: Mapping[tuple[str, str], Paired]

    def levels(self, position: int) -> list[str]:
        """Return the levels of the first (0) or second (1) factor, in the order of the cells."""
        return list(dict.fromkeys(key[position] for key in self.cells))


def interactions(analysis: Analysis) -> list[Interaction]:
    """Return one table of cells for every two factors of every block that has two or more."""
    found = []
    for block, arms in analysis.suite.cells.items():
        cells = {arm: {str(k): str(v) for k, v in levels.items()} for arm, levels in arms.items()}
        factors = list(dict.fromkeys(name for levels in cells.values() for name in levels))
        for first, second in combinations(factors, 2):
            means = _means(analysis, cells, first, second)
            if means:
                found.append(Interaction(block, first, second, means))
    return found


def reaches(test: Paired) -> tuple[float, float]:
    """Return how far an interval reaches below and above its mean; 0 where there is none."""
    if test.mean is None or test.low is None or test.high is None:
        return 0.0, 0.0
    return test.mean - test.low, test.high - test.mean


def _means(
    analysis: Analysis, cells: Mapping[str, Levels], first: str, second: str
) -> dict[tuple[str, str], Paired]:
    scores = {arm.name: arm.scores for arm in analysis.arms}
    groups: dict[tuple[str, str], list[str]] = {}
    for arm, levels in cells.items():
        if first in levels and second in levels:
            groups.setdefault((levels[first], levels[second]), []).append(arm)
    means = {}
    for key, arms in groups.items():
        seeds = [s for s in analysis.suite.seeds if all(s in scores.get(arm, {}) for arm in arms)]
        if seeds:
            means[key] = paired([float(np.mean([scores[a][s] for a in arms])) for s in seeds])
    return means
