"""How far a score would move on other sentences: the noise of one evaluation."""

from __future__ import annotations

import math

import numpy as np

from .evaluation import Predictions

_GROUPS = 20


def standard_error(said: Predictions, metric: str) -> float:
    """Return the standard error of a metric over the examples of a split.

    Accuracy: ``√(p (1 - p) / n)``. Any other metric: the jackknife that leaves out one of g = 20
    groups of examples at a time (n where there are fewer), with θ₍ᵢ₎ the metric without group i:

        √((g - 1) / g · Σ (θ₍ᵢ₎ - mean θ)²)

    NaN below two examples, and where a prediction is not finite.
    """
    count = len(said.labels)
    if count < 2:
        return math.nan
    if metric == "accuracy":
        share = said.scores((metric,))[metric]
        return math.sqrt(share * (1 - share) / count)
    groups = min(_GROUPS, count)
    number = np.arange(count) % groups
    left = [
        Predictions(said.labels[number != group], said.logits[number != group], said.kind)
        for group in range(groups)
    ]
    values = np.array([part.scores((metric,))[metric] for part in left])
    return float(np.sqrt((groups - 1) / groups * ((values - values.mean()) ** 2).sum()))
