"""Classification and regression: a head on an encoder (or a decoder) gives logits or a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ...config import OF_LOGITS, score, score_logits
from ..data.tokens import Encoded, eval_batches
from .kind import Batch, Columns

LabelledKind = Literal["classification", "regression"]


def task_loss(logits: Tensor, labels: Tensor, kind: LabelledKind) -> Tensor:
    """Return cross-entropy over classes, or the mean squared error of numbers.

    Args:
        logits: ``[n, classes]`` or ``[n, 1]``.
        labels: ``[n]`` class numbers or values, as floating point.
        kind: Which of the two.
    """
    if kind == "regression":
        return F.mse_loss(logits.float().squeeze(-1), labels)
    return F.cross_entropy(logits.float(), labels.long())


@dataclass(frozen=True)
class LabelledPredictions:
    """A model's predictions for a split.

    Attributes:
        labels: ``[n]`` float64.
        logits: ``[n, classes]`` float32, or ``[n, 1]`` for numbers.
        kind: Classes or numbers.
    """

    labels: NDArray[np.float64]
    logits: NDArray[np.float32]
    kind: LabelledKind

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_finite(self) -> bool:
        """Whether every logit is finite."""
        return bool(np.isfinite(self.logits).all())

    @property
    def values(self) -> NDArray[np.float64]:
        """Predicted class numbers or values, ``[n]``; NaN where a logit is not finite."""
        finite = np.isfinite(self.logits).all(axis=1)
        if self.kind == "regression":
            chosen = self.logits[:, 0].astype(np.float64)
        else:
            chosen = self.logits.argmax(axis=1).astype(np.float64)
        return np.where(finite, chosen, np.nan)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each prediction is the label, ``[n]``."""
        return self.values == self.labels

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

    def only(self, rows: NDArray[np.bool_]) -> LabelledPredictions:
        """Return the predictions for some of the examples."""
        return LabelledPredictions(self.labels[rows], self.logits[rows], self.kind)

    def columns(self) -> Columns:
        """Return ``label``, ``prediction`` and the logits, ``score_0`` ..."""
        logits = {f"score_{i}": self.logits[:, i] for i in range(self.logits.shape[1])}
        return {"label": self.labels, "prediction": self.values, **logits}


@dataclass(frozen=True)
class Labelled:
    """Classes or numbers.

    Attributes:
        name: Which of the two.
        pad: Makes tensors of a list of examples (``Encoded.rows``).
    """

    name: LabelledKind
    pad: Any
    masking: None = None

    def collate(self, split: Encoded, rows: list[int]) -> Batch:
        """Return examples of a split as padded tensors on the CPU."""
        labels = torch.tensor(split.labels[rows], dtype=torch.float32)
        return Batch(dict(self.pad(split.rows(rows))), labels)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss of a batch; see ``task_loss``."""
        return task_loss(model(**batch.inputs).logits, batch.targets, self.name)

    def weight(self, split: Encoded, rows: list[int]) -> int:
        """Return the number of examples: the loss is their mean."""
        return len(rows)

    def shares(self, split: Encoded, batches: list[list[int]]) -> None:
        """Return nothing: batches count alike, an epoch's smaller last one too."""

    @torch.no_grad()
    def predict(self, model: nn.Module, split: Encoded, batch_size: int) -> LabelledPredictions:
        """Return the predictions for a split, in its own order, dropout off.

        The model stays in the mode (training or evaluation) that it was in.
        """
        training = model.training
        model.eval()
        device = next(model.parameters()).device
        rows: list[int] = []
        parts = []
        for batch in eval_batches(split.lengths, batch_size):
            inputs = self.collate(split, batch).to(device).inputs
            parts.append(model(**inputs).logits.float().cpu())
            rows += batch
        model.train(training)
        logits = np.empty((len(split), parts[0].shape[1]), dtype=np.float32)
        logits[rows] = torch.cat(parts).numpy()
        return LabelledPredictions(split.labels, logits, self.name)
