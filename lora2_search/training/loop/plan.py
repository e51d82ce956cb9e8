"""How many steps a run takes and when it is evaluated; no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...config import RunConfig, TrainingConfig
from ...errors import ConfigError, Problem

# A run leaves about this many points of its training loss.
_POINTS = 60


@dataclass(frozen=True)
class Plan:
    """How many steps a run takes and when it is evaluated.

    Attributes:
        total: Optimiser steps (T).
        per_epoch: Optimiser steps of one epoch.
        stops: Steps after which an evaluation takes place, the last one being ``total``.
    """

    total: int
    per_epoch: int
    stops: tuple[int, ...]

    @property
    def log_every(self) -> int:
        """Steps between two points of the training loss."""
        return max(1, self.total // _POINTS)


def plan(training: TrainingConfig, examples: int) -> Plan:
    """Return the plan for ``examples`` training sentences.

    An epoch has ceil(ceil(examples / batch_size) / accumulation) steps. There are never more
    evaluations than steps.
    """
    batches = math.ceil(examples / training.batch_size)
    per_epoch = math.ceil(batches / training.accumulation)
    total = training.steps or max(1, math.ceil(training.epochs * per_epoch))
    count = min(training.evaluations, total)
    stops = tuple(round(total * (i + 1) / count) for i in range(count))
    return Plan(total, per_epoch, stops)


def plan_of(config: RunConfig, examples: int) -> Plan:
    """Return the plan of a run; without training it takes no step and is evaluated once."""
    made = plan(config.training, examples)
    return Plan(0, made.per_epoch, (0,)) if config.method == "no-training" else made


def check_schedule(config: RunConfig, examples: int) -> None:
    """Make sure that the rank budget's schedule fits the steps that the data gives.

    Raises:
        ConfigError: ``t_init + t_final`` is not less than the total steps.
    """
    total = plan(config.training, examples).total
    message = config.adapter.schedule_problem(total)
    if config.allocates and message:
        raise ConfigError([Problem("adapter.t_final", message)])
