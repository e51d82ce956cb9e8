"""Moving averages of an importance and of how far it strays."""

from __future__ import annotations

import torch
from torch import Tensor


class Averages:
    """Sensitivity Ī and uncertainty Ū of every element, both from 0:

        Ī ← β₁ Ī + (1−β₁) I    Ū ← β₂ Ū + (1−β₂) |I − Ī|    s = Ī · Ū

    Args:
        zeros: zeros of the shape, dtype and device to average in.
        beta1: decay of Ī.
        beta2: decay of Ū; None keeps no Ū: s = Ī.
    """  # noqa: D415 - the formula ends the sentence

    def __init__(self, zeros: Tensor, beta1: float, beta2: float | None) -> None:
        self._beta1, self._beta2 = beta1, beta2
        self._sensitivity = zeros
        self._uncertainty = None if beta2 is None else torch.zeros_like(zeros)

    def update(self, importance: Tensor) -> None:
        """Take in one step's I (its memory is used up)."""
        # The model may have moved to another device since the averages were made.
        self._sensitivity = self._sensitivity.to(importance.device)
        self._sensitivity.mul_(self._beta1).add_(importance, alpha=1 - self._beta1)
        if self._beta2 is None or self._uncertainty is None:
            return
        self._uncertainty = self._uncertainty.to(importance.device)
        deviation = importance.sub_(self._sensitivity).abs_()
        self._uncertainty.mul_(self._beta2).add_(deviation, alpha=1 - self._beta2)

    def score(self) -> Tensor:
        """The score s of every element."""
        if self._uncertainty is None:
            return self._sensitivity
        return self._sensitivity * self._uncertainty

    def state(self) -> dict[str, Tensor]:
        """Both averages; "sensitivity" alone where there is no Ū."""
        if self._uncertainty is None:
            return {"sensitivity": self._sensitivity}
        return {"sensitivity": self._sensitivity, "uncertainty": self._uncertainty}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over the averages."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
