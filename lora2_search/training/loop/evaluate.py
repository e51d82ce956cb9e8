"""Scores of a model on a split, and their standard error."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...config import OF_LOGITS, Kind, score, score_logits
from ..data.tokens import Encoded, eval_batches


@dataclass(frozen=True)
class Predictions:
    """A model's predictions for a split.

    Attributes:
        labels: ``[n]`` float64.
        logits: ``[n, classes]`` float32, or ``[n, 1]`` for numbers.
        kind: Classes or numbers.
    """

    labels: NDArray[np.float64]
    logits: NDArray[np.float32]
    kind: Kind

    @property
    def values(self) -> NDArray[np.float64]:
        """Predicted class numbers or values, ``[n]``; NaN where a logit is not finite."""
        finite = np.isfinite(self.logits).all(axis=1)
        if self.kind == "regression":
            chosen = self.logits[:, 0].astype(np.float64)
        else:
            chosen = self.logits.argmax(axis=1).astype(np.float64)
        return np.where(finite, chosen, np.nan)

    def scores(self, metrics: tuple[str, ...]) -> dict[str, float]:
        """Return the metrics by name, without those that are undefined on these labels."""
        classes = self.logits.shape[1] if self.kind == "classification" else None
        found = {
            name: score_logits(name, self.labels, self.logits)
            if name in OF_LOGITS
            else score(name, self.labels, self.values, classes)
            for name in metrics
        }
        return {name: value for name, value in found.items() if value is not None}


@torch.no_grad()
def predict(
    model: nn.Module, split: Encoded, collate: Any, batch_size: int, kind: Kind
) -> Predictions:
    """Return the predictions for a split, in its own order, dropout off.

    The model stays in the mode (training or evaluation) that it was in.
    """
    training = model.training
    model.eval()
    device = next(model.parameters()).device
    rows: list[int] = []
    parts = []
    for batch in eval_batches(split.lengths, batch_size):
        inputs = {name: value.to(device) for name, value in collate(split.rows(batch)).items()}
        parts.append(model(**inputs).logits.float().cpu())
        rows += batch
    model.train(training)
    logits = np.empty((len(split), parts[0].shape[1]), dtype=np.float32)
    logits[rows] = torch.cat(parts).numpy()
    return Predictions(split.labels, logits, kind)


def write_predictions(path: Path, predictions: dict[str, Predictions]) -> None:
    """Write per-example predictions of several splits as one parquet file.

    Columns: ``split``, ``example`` (row within the split), ``label``, ``prediction``,
    ``score_0`` ... (the logits).
    """
    import pandas as pd

    frames = []
    for split, said in predictions.items():
        columns: dict[str, str | NDArray[np.number]] = {
            "split": split,
            "example": np.arange(len(said.labels)),
            "label": said.labels,
            "prediction": said.values,
        }
        columns |= {f"score_{i}": said.logits[:, i] for i in range(said.logits.shape[1])}
        frames.append(pd.DataFrame(columns))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    pd.concat(frames, ignore_index=True).to_parquet(temporary, index=False)
    os.replace(temporary, path)


_GROUPS = 20


def standard_error(said: Predictions, metric: str) -> float:
    """Return the standard error of a metric over the examples of a split.

    Accuracy: ``√(p (1 - p) / n)``. Any other metric: the jackknife that leaves out one of g = 20
    groups of examples at a time (n where there are fewer), with θ₍ᵢ₎ the metric without group i:

        √((g - 1) / g · Σ (θ₍ᵢ₎ - mean θ)²)

    NaN below two examples and where a prediction is not finite. Infinite where the metric is
    undefined without one of the groups: it hangs on a few examples, so no difference is sure.
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
    values = np.array([part.scores((metric,)).get(metric, math.nan) for part in left])
    if np.isnan(values).any():
        return math.inf if np.isfinite(said.logits).all() else math.nan
    return float(np.sqrt((groups - 1) / groups * ((values - values.mean()) ** 2).sum()))
