"""One run of a study or a suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .run import RunConfig
    from .settings import Settings


@dataclass(frozen=True)
class RunInfo:
    """One run of a study (a trial) or of a suite (an arm with a seed).

    Attributes:
        key: Unique in its study or suite, stable over resumes: ``00003``, ``base-seed0``.
        name: The same for people: ``trial 3``, ``base, seed 0``.
        config: Everything that decides its result.
        settings: The searched settings of a trial, or what an arm changes: dotted names.
        folder: Where its record, checkpoint and adapter lie.
        arm: Of a suite; ``""`` of other runs.
        task: Which of the suite's ``tasks``; ``""`` where it names none.
        factors: The level of every factor, of a suite with a design.
        trial: Of the arm's tuning, for a run that tunes it; ``None`` for others.
        is_reference: Whether a study has it outside its search, only to be compared with.
        role: Of a run that confirms a study's winner: ``choice`` where it decides which trial wins,
            ``report`` where its score is what is reported. ``rung`` of a halved study's run above
            the first rung. ``seed`` of a trial's run on another seed than its first.
        metric: What it is judged by: a study's objective, what a suite compares; ``None`` for the
            task's primary metric.
        outcomes: What else counts: objectives and constraints beside the score, by name.
        given_by: Who gave the settings of a trial; ``""`` where the sampler proposed them all.
        split: Where it counts: a search chooses on ``validation``, a suite compares on ``test``.
            ``record.score(run.split, run.metric)`` is its score.
    """

    key: str
    name: str
    config: RunConfig
    settings: Settings
    folder: Path
    arm: str = ""
    task: str = ""
    factors: Mapping[str, str] = field(default_factory=dict)
    trial: int | None = None
    is_reference: bool = False
    role: Literal["", "choice", "report", "rung", "seed"] = ""
    metric: str | None = None
    outcomes: tuple[str, ...] = ()
    given_by: str = ""
    split: Literal["validation", "test"] = "validation"

    @property
    def phase(self) -> Literal["tuning", "comparison"]:
        """Whether it tunes an arm of a suite, or is compared."""
        return "comparison" if self.trial is None else "tuning"

    @property
    def competes(self) -> bool:
        """Whether it is a candidate of its search, compared with the others as they run."""
        return not self.is_reference and not self.role

    @property
    def tags(self) -> dict[str, str]:
        """What a tracker groups and filters runs by, beside what is in ``config``."""
        values = {"arm": self.arm, "task": self.task}
        values |= {f"factor.{factor}": level for factor, level in self.factors.items()}
        if self.trial is not None:
            values |= {"trial": str(self.trial), "phase": self.phase}
        if self.is_reference:
            values["role"] = "reference"
        if self.role:
            values["role"] = self.role
        values["given_by"] = self.given_by
        return {name: value for name, value in values.items() if value}
