"""The names that an adapter's settings may take; shared by PEFT's configuration and by YAML.

No torch: a configuration is checked before anything heavy is loaded.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

SCORING_GROUP = "lora2_search.scoring"


INITS = ("gaussian", "orthonormal", "svd", "lora")


LORA_INITS = ("default", "gaussian", "orthogonal", "orthonormal")


ORTHOGONALITIES = ("none", "soft", "hard")


SCALINGS = ("published", "balanced")


PENALTIES = ("frobenius", "squared")


BUDGETS = ("cubic", "linear", "constant")


ALLOCATIONS = ("global", "per-matrix")


SCORE_LOSSES = ("total", "task")


SCORINGS = ("reduced", "thinned", "full", "values", "sensitivity", "magnitude", "random", "none")


@cache
def scorings() -> tuple[str, ...]:
    """Return the built-in scorings and those that installed packages bring.

    A package brings one by an entry point of the group ``lora2_search.scoring``.
    """
    brought = (item.name for item in entry_points(group=SCORING_GROUP))
    return (*SCORINGS, *sorted(set(brought) - set(SCORINGS)))
