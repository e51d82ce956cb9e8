"""The standard error of a score, and the predictions of a run as a file."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from ..kinds.kind import Predictions


def write_predictions(path: Path, predictions: dict[str, Predictions]) -> None:
    """Write per-example predictions of several splits as one parquet file.

    Columns: ``split``, ``example`` (row within the split), then those of the kind of task
    (``Predictions.columns``).
    """
    import pandas as pd

    frames = [
        pd.DataFrame({"split": split, "example": np.arange(len(said)), **said.columns()})
        for split, said in predictions.items()
    ]
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    pd.concat(frames, ignore_index=True).to_parquet(temporary, index=False)
    os.replace(temporary, path)


_GROUPS = 20

# Means of what is right or wrong, example by example.
_SHARES = ("accuracy", "accuracy_norm", "exact_match")


def standard_error(said: Predictions, metric: str) -> float:
    """Return the standard error of a metric over the examples of a split.

    Accuracy and exact match: ``√(p (1 - p) / n)``. Any other metric: the jackknife that leaves out
    one of g = 20 groups of examples at a time (n where there are fewer), with θ₍ᵢ₎ the metric
    without group i:

        √((g - 1) / g · Σ (θ₍ᵢ₎ - mean θ)²)

    NaN below two examples and where a prediction is not finite. Infinite where the metric is
    undefined without one of the groups: it hangs on a few examples, so no difference is sure.
    """
    count = len(said)
    if count < 2:
        return math.nan
    if metric in _SHARES:
        share = said.scores((metric,))[metric]
        return math.sqrt(share * (1 - share) / count)
    groups = min(_GROUPS, count)
    number = np.arange(count) % groups
    left = [said.only(number != group) for group in range(groups)]
    values = np.array([part.scores((metric,)).get(metric, math.nan) for part in left])
    if np.isnan(values).any():
        return math.inf if said.is_finite else math.nan
    return float(np.sqrt((groups - 1) / groups * ((values - values.mean()) ** 2).sum()))
