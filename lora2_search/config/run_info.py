"""One run of a study or a suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .run import RunConfig


@dataclass(frozen=True)
class RunInfo:
    """One run of a study (a trial) or of a suite (an arm with a seed).

    Attributes:
        key: Unique in its study or suite, stable over resumes: ``00003``, ``base-seed0``.
        name: The same for people: ``trial 3``, ``base, seed 0``.
        config: Everything that decides its result.
        settings: The searched settings of a trial, or what an arm changes: dotted names.
        folder: Where its record, checkpoint and adapter lie.
        tags: ``arm`` and the like; task, model, method and seed are in ``config``.
        metric: What it is judged by: a study's objective, what a suite compares; ``None`` for the
            task's primary metric.
        split: Where it counts: a search chooses on ``validation``, a suite compares on ``test``.
            ``record.score(run.split, run.metric)`` is its score.
    """

    key: str
    name: str
    config: RunConfig
    settings: Mapping[str, Any]
    folder: Path
    tags: Mapping[str, str] = field(default_factory=dict)
    metric: str | None = None
    split: Literal["validation", "test"] = "validation"
