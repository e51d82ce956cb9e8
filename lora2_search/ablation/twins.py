"""Whether two runs are one by construction, and why."""

from __future__ import annotations

from collections.abc import Iterable

from ..config import RunConfig
from .decisive import decisive
from .reserved import BASE

_PRUNING = {"adapter.scoring", "adapter.t_init", "adapter.t_final", "adapter.delta_t"}


def identity(config: RunConfig) -> str:
    """Return a text that two runs share if, and only if, nothing that decides them differs."""
    return repr(sorted(decisive(config).items()))


def why_equal(twin: str, changed: Iterable[str], config: RunConfig) -> str:
    """Say that a run equals ``twin`` by construction, and why.

    Args:
        twin: The arm that is the same run; ``base`` where the change makes no difference.
        changed: The settings that were meant to make a difference.
        config: The run.
    """
    changed = list(changed)
    message = f"equals {twin} by construction"
    adapter = config.adapter
    if not changed:
        return f"{message}: it changes nothing"
    if _PRUNING & set(changed) and config.method == "lora2" and not config.prunes:
        if adapter.scoring == "none":
            return f"{message}: nothing is pruned with adapter.scoring: none"
        return (
            f"{message}: nothing is pruned while adapter.target_rank is unset or equals adapter.r "
            f"({adapter.r}); set adapter.target_rank below it"
        )
    if adapter.planes == 1 and {"adapter.scoring", "adapter.gamma_cross"} & set(changed):
        return (
            f"{message}: with one plane there is no outer plane to score and none to overlap, so "
            "full scoring is reduced scoring and adapter.gamma_cross weighs nothing"
        )
    if twin != BASE:
        return f"{message}: both run with the same settings; leave one out"
    return f"{message}: no run looks at what it changes ({', '.join(changed)})"
