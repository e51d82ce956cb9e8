"""Whether one of several settings, run seed by seed, is behind the best one already."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from .result import TestResult

RACE = "blocked t"

# Two settings do the same, and their difference is no measure of the noise between settings that
# differ, when it varies over seeds by less than these shares: of what differences usually vary by,
# and of what scores do.
_OF_DIFFERENCES, _OF_SCORES = 0.1, 0.01

# Of fewer settings the noise is not known well enough.
_FEWEST = 3


def behind(
    theirs: Sequence[float],
    ours: Sequence[float],
    complete: Sequence[Sequence[float]],
    level: float,
) -> TestResult:
    """Test whether a setting scores lower than another one on the seeds that both have run.

    A randomised block design with seeds as blocks: the noise of a single run is what is left of the
    complete settings' scores without the means of settings and of seeds, pooled over all of them
    (Montgomery, Design and Analysis of Experiments, ch. 4). So one common seed is enough for a
    test, as far as all settings are equally noisy. Racing by paired tests: Birattari et al. 2002
    (GECCO), there on instances.

    The other one is the best of the complete settings on the very scores it is compared by, so p is
    multiplied by how many they are: a setting as good as all of them is told behind no more often
    than the level says (union bound; no p against any of them is below that against the best).

    Args:
        theirs: Scores of the setting that is raced, one per seed.
        ours: Those of the other one on the same seeds.
        complete: Scores of every complete setting, ``[settings][seeds]``, those of the other one
            among them. Of rows that are alike one counts: a repetition tells nothing of the noise.
        level: Of the one-sided test.

    Returns:
        Theirs minus ours: ``p`` is one-sided, ``high`` the upper end of the one-sided interval. No
        ``p`` where the noise is not known: fewer than three rows that differ.
    """
    gap = float(np.mean(theirs) - np.mean(ours))
    table = _distinct(np.asarray(complete, dtype=float))
    rows, columns = table.shape
    if rows < _FEWEST or columns < 2:
        return TestResult(estimate=gap, n=len(theirs), note="too few complete settings")
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    df = (rows - 1) * (columns - 1)
    error = math.sqrt(float((rest**2).sum()) / df * 2 / len(theirs))
    return TestResult(
        estimate=gap,
        high=gap + float(scipy.stats.t.ppf(1 - level / rows, df)) * error,
        p=min(1.0, rows * float(scipy.stats.t.cdf(gap / error, df))),
        n=len(theirs),
        method=RACE,
    )


def _distinct(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rows without those that are like an earlier one."""
    apart = np.array([[float((row - other).std()) for other in table] for row in table])
    pairs = apart[np.triu_indices(len(table), 1)]
    usual = float(np.median(pairs)) if pairs.size else 0.0
    least = max(_OF_DIFFERENCES * usual, _OF_SCORES * float(table.std(axis=1).mean()))
    kept: list[int] = []
    for place in range(len(table)):
        if all(apart[place, other] > least for other in kept):
            kept.append(place)
    return table[kept]
