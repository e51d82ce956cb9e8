"""What Optuna's own tools show of a study besides its settings: names and numbers for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..analysis import quietly
from ..config import CUSTOM_METRICS, TASKS
from ..config.space import Space
from ..store import RunRecord

if TYPE_CHECKING:
    from optuna.study import Study as OptunaStudy

_COUNTS = {
    "trained_adapter": "parameters trained",
    "kept_adapter": "parameters kept",
    "compressed_adapter": "parameters as a plain LoRA",
}


def describe_study(study: OptunaStudy, space: Space) -> None:
    """Name a study's value, and say what it was searched on, for whoever opens it.

    A study of several values has named them when it was made.
    """
    about = {"task": space.task, "model": space.model.name_or_path, "method": space.method}
    for name, value in about.items():
        if study.user_attrs.get(name) != value:
            study.set_user_attr(name, value)
    metric = metric_name(space)
    if len(study.directions) == 1 and study.metric_names != [metric]:
        with quietly():
            study.set_metric_names([metric])


def trial_attributes(record: RunRecord) -> dict[str, Any]:
    """Return what a trial's record says in a few words, by names for people."""
    flags = ", ".join(flag.name for flag in record.flags)
    found: dict[str, Any] = {words: record.counts.get(name) for name, words in _COUNTS.items()}
    found |= {"kept rank": record.kept_rank, "peak MB": record.peak_memory_mb}
    found |= {"device": record.device, "health": flags}
    return {name: value for name, value in found.items() if value not in (None, "")}


def metric_name(space: Space) -> str:
    """Return the objective's name; of a file whose labels nobody has looked at yet, ``score``."""
    if space.objective.metric is not None:
        return space.objective.metric
    if space.is_language:
        return space.language_metrics[0]
    if space.task in TASKS:
        return TASKS[space.task].metrics[0]
    return CUSTOM_METRICS[space.data.kind][0] if space.data.kind else "score"
