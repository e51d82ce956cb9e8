"""What a complete trial came to: the values of its objectives, and how it stands to constraints."""

from __future__ import annotations

import math
from pathlib import Path

from ..analysis import excesses
from ..config.space import Space
from ..errors import UserError
from ..store import RunRecord, outcome_value


def objective_values(space: Space, score: float, record: RunRecord, folder: Path) -> list[float]:
    """Return the values of a space's objectives, the score first.

    Raises:
        UserError: The run has no such result.
    """
    others = [str(goal.metric) for goal in space.goals[1:]]
    return [score, *(_value(name, "objectives", record, folder) for name in others)]


def constraint_excesses(space: Space, record: RunRecord, folder: Path) -> dict[str, float]:
    """Return by how much a run is beyond each bound; see `analysis.excesses`.

    Raises:
        UserError: The run has no such result.
    """
    return excesses(space, lambda name: _value(name, "constraints", record, folder))


def _value(name: str, section: str, record: RunRecord, folder: Path) -> float:
    value = outcome_value(name, record, folder)
    if value is None or not math.isfinite(value):
        raise UserError(f"{section}: the run has no {name}, but got {value}")
    return value
