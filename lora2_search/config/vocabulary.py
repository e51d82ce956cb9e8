"""The names that an adapter's settings may take; shared by PEFT's configuration and by YAML.

No torch: a configuration is checked before anything heavy is loaded.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Literal, get_args

SCORING_GROUP = "lora2_search.scoring"

Init = Literal["gaussian", "orthonormal", "svd", "lora"]
INITS: tuple[str, ...] = get_args(Init)

LoraInit = Literal["default", "gaussian", "orthogonal", "orthonormal"]

Orthogonality = Literal["none", "soft", "hard"]
ORTHOGONALITIES: tuple[str, ...] = get_args(Orthogonality)

Scaling = Literal["published", "balanced"]
SCALINGS: tuple[str, ...] = get_args(Scaling)

Penalty = Literal["frobenius", "squared"]
PENALTIES: tuple[str, ...] = get_args(Penalty)

Budget = Literal["cubic", "linear", "constant"]
BUDGETS: tuple[str, ...] = get_args(Budget)

Allocation = Literal["global", "per-matrix"]
ALLOCATIONS: tuple[str, ...] = get_args(Allocation)

ScoreLoss = Literal["total", "task"]
SCORE_LOSSES: tuple[str, ...] = get_args(ScoreLoss)

SCORINGS = ("reduced", "thinned", "full", "values", "sensitivity", "magnitude", "random", "none")


@cache
def scorings() -> tuple[str, ...]:
    """Return the built-in scorings and those that installed packages bring.

    A package brings one by an entry point of the group ``lora2_search.scoring``.
    """
    brought = (item.name for item in entry_points(group=SCORING_GROUP))
    return (*SCORINGS, *sorted(set(brought) - set(SCORINGS)))
