"""What a study maximises, or a suite compares: a metric that its task measures."""

from __future__ import annotations

from ..config import RunConfig
from ..errors import did_you_mean
from ..training.tasks import CUSTOM_METRICS, LOWER_IS_BETTER, OF_LOGITS, TASKS


def measured(config: RunConfig) -> tuple[str, ...]:
    """Return the metrics that a run measures, the primary one first.

    Those of both kinds where a file of one's own does not say its ``kind``: it is told only when
    the file is read.
    """
    task, kind = TASKS.get(config.task), config.data.kind
    if task is not None:
        return task.metrics
    if kind is not None:
        return CUSTOM_METRICS[kind]
    return tuple(name for names in CUSTOM_METRICS.values() for name in names)


def uncompared(metric: str | None, config: RunConfig) -> str | None:
    """Say that a suite cannot compare runs by ``metric``; ``None`` where it can."""
    if metric in OF_LOGITS:
        others = [name for name in measured(config) if name not in OF_LOGITS]
        return (
            f"a suite compares answers, and {metric} is not made of them; {', '.join(others)} are"
        )
    return unmeasured(metric, config)


def unmeasured(metric: str | None, config: RunConfig) -> str | None:
    """Say that a run does not measure ``metric``; ``None`` where it does, or none is named."""
    known = [name for name in measured(config) if name not in LOWER_IS_BETTER]
    if metric is None or metric in known:
        return None
    if metric in LOWER_IS_BETTER:
        return f"{metric} is measured, but lower is better: choose by {', '.join(known)}"
    return f"{metric!r} is not measured on task {config.task}; {did_you_mean(metric, known)}"
