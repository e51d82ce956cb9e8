"""Why a comparison carries no verdict although its test was made."""

from __future__ import annotations

from .comparison import Analysis, Comparison
from .tables import level, signed


def no_verdict(item: Comparison, analysis: Analysis) -> str:
    """Return that a comparison carries no verdict, because an arm of it has learnt nothing."""
    metric, arms = analysis.suite.metric, {arm.name: arm for arm in analysis.arms}
    told = " and ".join(
        f"{name} ({level(arms[name].mean, metric)}) does no better than the constant answer "
        f"({level(arms[name].constant, metric)})"
        for name in item.unlearnt
    )
    return (
        f"No verdict on {item.name}: {told}, so its difference of "
        f"{signed(item.paired.mean, metric)} tells of its settings, not of what it changes."
    )
