"""Scores drawn by lot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ..factors import Factors, named_generator


class RandomScoring:
    """A fixed random priority per singular value: the control for "does the ranking matter?".

    Drawn once, so that the masks of a schedule are nested and a run differs from an importance
    run in nothing but the ranking. Each matrix has its own named generator.

    Args:
        names: names of the adapted matrices, in order.
        ranks: their numbers of singular values.
        seed: the adapter's seed.
    """

    def __init__(self, names: Iterable[str], ranks: Iterable[int], seed: int) -> None:
        draws = [
            torch.rand(rank, generator=named_generator(seed, name, "priority"))
            for name, rank in zip(names, ranks, strict=True)
        ]
        self._priority = torch.cat(draws)

    def update(self, matrices: Sequence[Factors]) -> None:
        """Nothing to learn from a step."""

    def scores(self) -> Tensor:
        """The priorities, `[Σr]`."""
        return self._priority

    def state(self) -> dict[str, Tensor]:
        """The priorities."""
        return {"priority": self._priority}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over the priorities."""
        self._priority.copy_(state["priority"])
