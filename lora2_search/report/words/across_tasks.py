"""What a suite of several tasks says as a whole, in words."""

from __future__ import annotations

from ...analysis import Overall
from ...stats import LEVEL, OverTasks
from ..tables.markdown import escaped
from ..tables.text import interval, level, signed


def overall_words(result: Overall) -> list[str]:
    """Return what holds over all tasks, one paragraph each; the named pairs after the arms."""
    if not result.arms:
        return [
            "Nothing can be said over all tasks: no task has runs that count and a base that is "
            "shown to be trained enough."
        ]
    metrics = set(result.metrics.values())
    unit = metrics.pop() if len(metrics) == 1 else "mixed"
    lines = [_about(result, unit)]
    for arm, estimate in result.arms.items():
        lines.append(f"{arm}: {_level(estimate, unit)}{_of_tasks(estimate, result)}.")
    for name, estimate in result.differences.items():
        named = f"*{escaped(name)}*{_of_tasks(estimate, result)}"
        lines.append(_pair(named, estimate, result.improvements[name], unit))
    return lines


def _of_tasks(estimate: OverTasks, result: Overall) -> str:
    """Return on how few tasks a number rests, where others rest on more."""
    total = len(result.metrics)
    return "" if estimate.tasks == total else f", {estimate.tasks} of {total} tasks alone"


def _about(result: Overall, unit: str) -> str:
    seeds = min(estimate.n for estimate in result.arms.values())
    text = (
        f"Over {', '.join(result.metrics)}: interquartile mean of the test scores of all tasks × "
        "seeds (a quarter of the runs is cut off at either end, whichever task they are of), with "
        "the 95 % interval of a bootstrap of seeds within each task (Agarwal et al. 2021). The "
        "tasks themselves are taken as given: nothing is told of other tasks, nor of new sentences."
    )
    if unit == "mixed":
        text += " Tasks have different metrics, so the mean has no unit."
    if seeds < 20:
        text += f" With {seeds} seeds the intervals are too narrow (bootstraps cover 0.81 at 5)."
    if result.left_out:
        text += f" Left out, not shown to be trained enough: {', '.join(result.left_out)}."
    return text


def _level(estimate: OverTasks, unit: str) -> str:
    value = level(estimate.estimate, unit)
    if estimate.low is None or estimate.high is None:
        return f"{value} (fewer than two seeds: no interval)"
    return f"{value} ({level(estimate.low, unit)} to {level(estimate.high, unit)})"


def _pair(name: str, difference: OverTasks, chance: OverTasks, unit: str) -> str:
    text = f"{name}: {signed(difference.estimate, unit)}"
    better = f"a run of the arm beats one of the reference in {chance.estimate:.0%} of pairs"
    if difference.low is None or chance.low is None or chance.high is None:
        return f"{text}; {better} (fewer than two seeds: no interval)."
    text += f" ({interval(difference.low, difference.high, unit)}); {better}"
    text += f" ({chance.low:.0%} to {chance.high:.0%}, ties counted half)"
    if difference.low <= 0 <= (difference.high or 0.0):
        return f"{text}: not shown to differ over all tasks."
    return f"{text}: the interval of {1 - LEVEL:.0%} leaves out 0; it is corrected for nothing."
