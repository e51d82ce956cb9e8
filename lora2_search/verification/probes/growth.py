"""What moves first, how far ΔW grows, and whether masked values come back."""

from __future__ import annotations

import torch
from torch import Tensor

from ...adapter import active_adapter, adapted_layers
from ..measurements import GrowthPoint, GrowthResult, Measurements
from .watch import Watch, evenly

# At the first step only what ΔW = 0 lets move has a gradient; by the twentieth all have one.
GRADIENT_STEPS = (1, 5, 20)


class GrowthProbe:
    """Measures gradients by factor at a few steps, ‖ΔW‖ at some, and follows every mask."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._at = evenly(0, watch.total, watch.plan.points)
        self._gradients: dict[int, dict[str, float]] = {}
        self._points: list[GrowthPoint] = []
        self._mask: Tensor | None = None
        self._masked = self._returned = 0

    def step(self, step: int) -> None:
        """Look when it is time."""
        self._follow()
        if step in GRADIENT_STEPS:
            self._gradients[step] = self._norms()
        if step in self._at:
            self._points.append(GrowthPoint(step, self._increment()))

    def result(self) -> Measurements:
        """Return what was seen; the last mask is drawn after the last look."""
        self._follow()
        return Measurements(
            growth=GrowthResult(
                gradients=self._gradients,
                points=tuple(self._points),
                masked=self._masked,
                returned=self._returned,
            )
        )

    def _follow(self) -> None:
        mask = self._watch.prepared.trainer.progress.adaptive.allocator_state().get("mask")
        if mask is None:
            return
        if self._mask is not None:
            self._masked += int((self._mask & ~mask).sum())
            self._returned += int((~self._mask & mask).sum())
        self._mask = mask

    def _norms(self) -> dict[str, float]:
        squares: dict[str, float] = {}
        for matrix in self._watch.matrices().values():
            named = {_name(plane, "u"): factor for plane, factor in enumerate(matrix.left)}
            named |= {"λ": matrix.values}
            named |= {_name(plane, "v"): factor for plane, factor in enumerate(matrix.right)}
            for name, factor in named.items():
                square = 0.0 if factor.grad is None else float(factor.grad.double().square().sum())
                squares[name] = squares.get(name, 0.0) + square
        return {name: square**0.5 for name, square in squares.items()}

    @torch.no_grad()
    def _increment(self) -> float:
        tuner, name = active_adapter(self._watch.model)
        layers = adapted_layers(tuner, name).values()
        squares = (layer.get_delta_weight(name).double().square().sum() for layer in layers)
        return float(sum(squares)) ** 0.5


def _name(plane: int, letter: str) -> str:
    """Return u of the outermost plane, U of the next, U2 of the one inside it."""
    if plane == 0:
        return letter
    return letter.upper() + (str(plane) if plane > 1 else "")
