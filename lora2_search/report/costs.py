"""What a score costs: mean score against the parameters that would be served."""

from __future__ import annotations

from dataclasses import dataclass

from .comparison import Analysis
from .statistics import paired


@dataclass(frozen=True)
class Cost:
    """One arm.

    Attributes:
        arm: Its name.
        parameters: Mean number of parameters of the adapter compressed to a plain LoRA.
        mean: Mean test score.
        low: Lower end of its 95 % interval over seeds; ``None`` with one seed.
        high: Upper end of it.
    """

    arm: str
    parameters: float
    mean: float
    low: float | None
    high: float | None


def costs(analysis: Analysis) -> list[Cost]:
    """Return one point an arm that has a score and an adapter; head-only has none to compress."""
    found = []
    for arm in analysis.arms:
        parameters = arm.counts.get("compressed_adapter")
        if arm.mean is not None and parameters:
            over_seeds = paired(list(arm.scores.values()))
            found.append(Cost(arm.name, parameters, arm.mean, over_seeds.low, over_seeds.high))
    return found
