"""Scores by size alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..factors import Factors


class MagnitudeScoring:
    """|λᵢ| after the latest step: no gradient, no average.

    Args:
        matrices: the factors to score, in order.
    """

    def __init__(self, matrices: Sequence[Factors]) -> None:
        self._magnitude = torch.zeros(0)
        self.update(matrices)

    @torch.no_grad()
    def update(self, matrices: Sequence[Factors]) -> None:
        """Take over the sizes of all singular values."""
        values = torch.cat([matrix.values for matrix in matrices])
        self._magnitude = values.to(torch.promote_types(values.dtype, torch.float32)).abs_()

    def scores(self) -> Tensor:
        """The sizes, `[Σr]`."""
        return self._magnitude

    def state(self) -> dict[str, Tensor]:
        """The sizes."""
        return {"magnitude": self._magnitude}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over the sizes."""
        self._magnitude.copy_(state["magnitude"])
