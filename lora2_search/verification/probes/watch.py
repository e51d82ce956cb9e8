"""A training run that probes look into between an optimiser step and its mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn

from ...adapter import (
    BudgetSchedule,
    Factors,
    Lora2Config,
    active_adapter,
    adapted_layers,
    schedule_for,
)
from ...training import Adaptive, Prepared
from ..measurements import Measurements

if TYPE_CHECKING:
    from ..plan import Plan


class Probe(Protocol):
    """Measures something beside a run and changes nothing in it."""

    def step(self, step: int) -> None:
        """Look: weights are those after optimiser step ``step``, its gradients are still there.

        The mask of this step is not drawn yet. Step 0 is before the first one, without gradients.
        """

    def result(self) -> Measurements:
        """Return what this probe measured, after the last step."""


@dataclass(frozen=True)
class Watch:
    """What a probe may look at.

    Attributes:
        plan: The verification.
        seed: The run's seed.
        prepared: The run: data, model, loop.
    """

    plan: Plan
    seed: int
    prepared: Prepared

    @property
    def model(self) -> nn.Module:
        """The model that is trained."""
        return self.prepared.trainer.progress.model

    @property
    def total(self) -> int:
        """Optimiser steps of the run, T."""
        return self.prepared.trainer.plan.total

    @property
    def config(self) -> Lora2Config:
        """The plan's settings of the adapter."""
        return Lora2Config(**self.plan.config.adapter.lora2_settings())

    def matrices(self) -> dict[str, Factors]:
        """Return the trained factors by module name: the tensors themselves, no copies."""
        tuner, name = active_adapter(self.model)
        layers = adapted_layers(tuner, name)
        return {module: layer.factors(name) for module, layer in layers.items()}

    def schedule(self) -> BudgetSchedule:
        """Return the budget's schedule that the plan's settings give, also where nothing prunes."""
        ranks = [len(matrix.values) for matrix in self.matrices().values()]
        return schedule_for(self.config, ranks, self.total)


class ProbedMethod:
    """A method that lets probes look before it scores and masks; all else is the method's own."""

    def __init__(self, adaptive: Adaptive, probes: Sequence[Probe]) -> None:
        self._adaptive, self._probes = adaptive, probes

    def set_total_steps(self, total_steps: int) -> None:
        """Pass it on."""
        self._adaptive.set_total_steps(total_steps)

    def regularization(self) -> dict[str, Tensor]:
        """Pass it on."""
        return self._adaptive.regularization()

    def update_and_allocate(self, step: int, grad_scale: float | Tensor = 1.0) -> None:
        """Let the probes look, then pass it on."""
        for probe in self._probes:
            probe.step(step)
        self._adaptive.update_and_allocate(step, grad_scale)

    def kept_rank(self) -> int:
        """Pass it on."""
        return self._adaptive.kept_rank()

    def rank_pattern(self) -> dict[str, int]:
        """Pass it on."""
        return self._adaptive.rank_pattern()

    def allocator_state(self) -> dict[str, Tensor]:
        """Pass it on."""
        return self._adaptive.allocator_state()

    def load_allocator_state(self, state: dict[str, Tensor]) -> None:
        """Pass it on."""
        self._adaptive.load_allocator_state(state)


def evenly(first: int, last: int, count: int) -> list[int]:
    """Return at most ``count`` whole steps from ``first`` to ``last``, both among them."""
    if last <= first or count < 2:
        return [last]
    width = last - first
    return sorted({first + round(width * i / (count - 1)) for i in range(count)})
