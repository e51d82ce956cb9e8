"""The reduced score at less than half its cost: most steps are passed over."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..factors import Factors
from .importance import ImportanceScoring


class ThinnedScoring:
    """Reduced scoring that looks at one step in `interval`, the first among them.

    The decays are raised to that power, so the averages reach as far back in time. Between two
    looks nothing is computed at all, and the scores stay.

    Args:
        matrices: the factors to score, in order; only their shapes are used here.
        beta1: decay of the sensitivity per optimiser step.
        beta2: decay of the uncertainty per optimiser step.
        interval: mean number of steps from one look to the next; the default looks at four of
            nine steps, a little less than half of them.
    """

    def __init__(
        self, matrices: Sequence[Factors], beta1: float, beta2: float, interval: float = 2.25
    ) -> None:
        self._interval = interval
        self._steps = 0
        self._reduced = ImportanceScoring(matrices, beta1**interval, beta2**interval)
        self._scores: Tensor | None = None

    def update(self, matrices: Sequence[Factors]) -> None:
        """Average the step's sensitivity, or pass over it.

        Raises:
            RuntimeError: no weight has a gradient.
        """
        if self._steps // self._interval != (self._steps - 1) // self._interval:
            self._reduced.update(matrices)
            self._scores = None
        self._steps += 1

    def scores(self) -> Tensor:
        """The reduced score of every singular value at the latest look, `[Σr]`."""
        if self._scores is None:
            self._scores = self._reduced.scores()
        return self._scores

    def state(self) -> dict[str, Tensor]:
        """The averages, and how many steps there were."""
        return {**self._reduced.state(), "steps": torch.tensor(self._steps)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over averages and count."""
        self._reduced.load_state(state)
        self._steps = int(state["steps"])
        self._scores = None
