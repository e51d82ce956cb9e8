"""What a smaller budget of trials would have found: the expected best score against trials."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def expected_best(scores: Sequence[float]) -> list[float]:
    """Return the expected highest of n scores for n = 1 … N, from N scores that were seen.

    Dodge et al. 2019, "Show Your Work", equation 4: with the empirical distribution F of the
    validation scores, each trial drawn from it alone,

        E[max of n] = Σ v · (F(v)ⁿ − F(v⁻)ⁿ)      over the sorted scores v

    Ends below the highest score that was seen: N draws with replacement need not hold it.
    Empty without scores.

    Raises:
        ValueError: A score is not finite.
    """
    if not all(math.isfinite(score) for score in scores):
        raise ValueError(f"scores must be finite, got {list(scores)}")
    values = np.sort(np.asarray(scores, dtype=float))
    total = len(values)
    upper = np.arange(1, total + 1) / max(total, 1)  # F(v), [N]
    lower = upper - 1 / max(total, 1)  # F(v⁻), [N]
    return [float(values @ (upper**n - lower**n)) for n in range(1, total + 1)]
