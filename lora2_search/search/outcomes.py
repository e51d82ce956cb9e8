"""What a complete trial came to: the values of its objectives, and how it stands to constraints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from ..analysis import excesses
from ..config.space import Space
from ..errors import UserError
from ..store import RunRecord, outcome_value

# The complete runs of a trial, one per seed: each record and its folder.
Runs = Sequence[tuple[RunRecord, Path]]


def objective_values(space: Space, score: float, runs: Runs) -> list[float]:
    """Return the values of a space's objectives, the score first; means over a trial's runs.

    Raises:
        UserError: The run has no such result.
    """
    others = [str(goal.metric) for goal in space.goals[1:]]
    return [score, *(_mean(name, "objectives", runs) for name in others)]


def constraint_excesses(space: Space, runs: Runs) -> dict[str, float]:
    """Return by how much a trial's mean is beyond each bound; see `analysis.excesses`.

    Raises:
        UserError: The run has no such result.
    """
    return excesses(space, lambda name: _mean(name, "constraints", runs))


def _mean(name: str, section: str, runs: Runs) -> float:
    return fmean(_value(name, section, record, folder) for record, folder in runs)


def _value(name: str, section: str, record: RunRecord, folder: Path) -> float:
    value = outcome_value(name, record, folder)
    if value is None or not math.isfinite(value):
        raise UserError(f"{section}: the run has no {name}, but got {value}")
    return value
