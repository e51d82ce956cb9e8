"""What a scoring is, and what it is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ...errors import UserError
from ..config import Lora2Config
from ..factors import Factors


class ScoringError(UserError, ValueError):
    """A scoring that an installed package brings is unknown, broken or gives wrong scores."""


@dataclass(frozen=True)
class ScoringContext:
    """What a scoring may know when it is made.

    Attributes:
        matrices: the factors of the n adapted matrices, in the order of all later calls.
        names: their modules' names.
        config: the adapter's settings (`beta1`, `beta2`, `seed`, …).
    """

    matrices: Sequence[Factors]
    names: Sequence[str]
    config: Lora2Config


class Scoring(Protocol):
    """Ranks singular values; `RankAllocator` keeps those with the highest scores.

    Its state decides the future, so it is saved and loaded with a checkpoint.
    """

    def update(self, matrices: Sequence[Factors]) -> None:
        """Take in one optimiser step: the weights after it, with the gradients in `.grad`.

        The gradients are synchronised, unscaled and, with `score_loss: task`, free of the
        regularisers. One may be None: its module took no part in the step.
        """

    def scores(self) -> Tensor:
        """One score per singular value, `[Σr]`: matrices in order, then rank."""

    def state(self) -> dict[str, Tensor]:
        """The tensors that decide all later scores; shapes stay the same, "mask" is no name."""

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` gave (and ignore other keys)."""
