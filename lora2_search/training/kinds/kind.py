"""What the loop asks of a kind of task; all else is the same for every kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...config import Kind
from ..data.prompts import Masking
from ..data.tokens import Encoded

# One value per example, by the name of a column.
Columns = Mapping[str, Sequence[str] | NDArray[np.number]]


@dataclass(frozen=True)
class Batch:
    """Examples as tensors.

    Attributes:
        inputs: What the model takes, by name.
        targets: What it should answer: ``[b]`` class numbers or values as floating point, or
            ``[b, t]`` token numbers with -100 where nothing is learnt.
    """

    inputs: dict[str, Tensor]
    targets: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the same on a device."""
        inputs = {name: value.to(device) for name, value in self.inputs.items()}
        return Batch(inputs, self.targets.to(device))


class Predictions(Protocol):
    """What a model says of a split, in the split's own order."""

    def __len__(self) -> int:
        """Return the number of examples."""

    @property
    def is_finite(self) -> bool:
        """Whether every number that the model gave is finite."""

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer is right, ``[n]``."""

    def scores(self, metrics: tuple[str, ...]) -> dict[str, float]:
        """Return the metrics by name, without those that are undefined on these examples."""

    def only(self, rows: NDArray[np.bool_]) -> Predictions:
        """Return the predictions for some of the examples; ``rows`` is ``[n]``."""

    def columns(self) -> Columns:
        """Return what is kept of each example: ``label``, ``prediction`` and more."""


class TaskKind(Protocol):
    """A kind of task."""

    @property
    def name(self) -> Kind:
        """How ``data.kind`` calls it."""

    @property
    def masking(self) -> Masking | None:
        """Which tokens a language model learns; ``None`` where labels are learnt."""

    def collate(self, split: Encoded, rows: list[int]) -> Batch:
        """Return examples of a split as padded tensors on the CPU."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss of a batch, without regularisers: a scalar, float32."""

    def weight(self, split: Encoded, rows: list[int]) -> int:
        """Return how many terms the mean loss of a batch has: examples, or tokens."""

    def shares(self, split: Encoded, batches: list[list[int]]) -> list[float] | None:
        """Return what each accumulated batch counts for; their mean is 1.

        ``None`` where all count alike.
        """

    def predict(self, model: nn.Module, split: Encoded, batch_size: int) -> Predictions:
        """Return the predictions for a split, dropout off; the model's mode is as it was."""
