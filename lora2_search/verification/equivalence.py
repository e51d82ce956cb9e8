"""The test that can say "no difference": two one-sided t tests against a margin named before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

_EPSILON = 1e-12


@dataclass(frozen=True)
class Equivalence:
    """Whether a mean difference lies within ± margin.

    Attributes:
        n: Pairs.
        margin: What counts as no difference.
        p: The larger of both one-sided p values; ``None`` where no test is possible.
        low: Lower end of the 90 % t interval, which lies within the margin when p ≤ 0.05.
        high: Upper end of it.
        note: Why there is no test.
    """

    n: int
    margin: float
    p: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""


def tost(differences: Sequence[float], margin: float) -> Equivalence:
    """Test whether the mean of paired differences lies within ± ``margin`` (Schuirmann 1987).

    Edges: fewer than two pairs, or pairs that all differ by the same, give a note and no test.
    """
    d = np.asarray(differences, dtype=float)
    if len(d) < 2:
        return Equivalence(len(d), margin, note=f"{len(d)} seed(s): no test is possible")
    if np.ptp(d) < _EPSILON:
        note = f"no seed variation: every seed differs by {d.mean():+.4f}"
        return Equivalence(len(d), margin, note=note)
    error, df = float(d.std(ddof=1)) / math.sqrt(len(d)), len(d) - 1
    above = float(stats.t.sf((d.mean() + margin) / error, df))
    below = float(stats.t.cdf((d.mean() - margin) / error, df))
    reach = float(stats.t.ppf(0.95, df)) * error
    return Equivalence(
        len(d), margin, max(above, below), float(d.mean()) - reach, float(d.mean()) + reach
    )
