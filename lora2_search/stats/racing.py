"""Whether one of several settings, run seed by seed, is behind the best one already."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from .result import TestResult

RACE = "blocked t"


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
    test. Racing by paired tests: Birattari et al. 2002 (GECCO), there on instances.

    Args:
        theirs: Scores of the setting that is raced, one per seed.
        ours: Those of the other one on the same seeds.
        complete: Scores of every complete setting, ``[settings][seeds]``, those of the other one
            among them. Rows that are equal count once: a repetition tells nothing of the noise.
        level: Of the one-sided test.

    Returns:
        Theirs minus ours: ``p`` is one-sided, ``high`` the upper end of the one-sided interval. No
        ``p`` where the noise is not known: fewer than two rows that differ, or no noise in them.
    """
    gap = float(np.mean(theirs) - np.mean(ours))
    table = np.unique(np.asarray(complete, dtype=float), axis=0)
    rows, columns = table.shape
    if rows < 2 or columns < 2:
        return TestResult(estimate=gap, n=len(theirs), note="too few complete settings")
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    df = (rows - 1) * (columns - 1)
    error = math.sqrt(float((rest**2).sum()) / df * 2 / len(theirs))
    if error < 1e-12:
        return TestResult(estimate=gap, n=len(theirs), note="the complete settings show no noise")
    return TestResult(
        estimate=gap,
        high=gap + float(stats.t.ppf(1 - level, df)) * error,
        p=float(stats.t.cdf(gap / error, df)),
        n=len(theirs),
        method=RACE,
    )
