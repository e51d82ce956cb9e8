"""Other scorings, run beside the real one."""

from __future__ import annotations

import time
from statistics import fmean

from torch import Tensor

from ...adapter import ScoringContext, active_adapter, new_scoring
from ...config import scorings
from .watch import Watch


class Shadows:
    """Scorings that watch a run and decide nothing in it.

    Their updates are timed in turn, a different one first at every step, so that none has the
    warm caches always.

    Attributes:
        names: Names of the scorings, in the order of all results.
    """

    def __init__(self, watch: Watch) -> None:
        self._matrices = watch.matrices()
        tuner, adapter = active_adapter(watch.model)
        context = ScoringContext(
            list(self._matrices.values()), list(self._matrices), tuner.peft_config[adapter]
        )
        self.names = [name for name in scorings() if name != "none"]
        self._scorings = {name: new_scoring(name, context) for name in self.names}
        self._seconds: dict[str, list[float]] = {name: [] for name in self.names}
        self._done = 0

    def update(self, step: int) -> None:
        """Show a step to all; a step that was shown already is passed over."""
        if step <= self._done:
            return
        self._done = step
        matrices = list(self._matrices.values())
        first = step % len(self.names)
        for name in self.names[first:] + self.names[:first]:
            begun = time.perf_counter()
            self._scorings[name].update(matrices)
            self._seconds[name].append(time.perf_counter() - begun)

    def scores(self) -> dict[str, Tensor]:
        """Return the score of every singular value, ``[Σr]``, by scoring."""
        return {name: scoring.scores().detach() for name, scoring in self._scorings.items()}

    def microseconds(self) -> dict[str, float]:
        """Return the mean time of an update by scoring; the first, cold ones are left out."""
        return {
            name: 1e6 * fmean(seconds[len(seconds) // 10 :])
            for name, seconds in self._seconds.items()
            if seconds
        }

    def averaged(self) -> dict[str, int]:
        """Return how many numbers each scoring takes in per step: its largest average's size."""
        return {
            name: max(tensor.numel() for tensor in scoring.state().values())
            for name, scoring in self._scorings.items()
        }
