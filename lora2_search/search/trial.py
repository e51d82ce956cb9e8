"""A trial of a study as it was stored, and which one is the best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..analysis import (
    GIVEN_BY,
    Climb,
    Confirmation,
    Outcome,
    outcome_of,
    pareto_front,
    score_of,
    scores_by_evaluation,
    scores_by_seed,
    seeds_line,
    winning_trial,
)
from ..config import RunInfo
from ..config.space import Space
from ..store import RECORD_FILE, TRIALS_FOLDER, Damaged, RunRecord, read_record
from .ask_tell import reason_of
from .storage import stored_trials
from .trial_runs import trial_key

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


# Runs what it is given, and returns whether that was interrupted.
RunAll = Callable[[Sequence[RunInfo]], bool]


@dataclass(frozen=True)
class StudyTrial:
    """One trial of a study.

    Attributes:
        number: From 0, in the order in which they were proposed.
        state: ``COMPLETE``, ``PRUNED``, ``FAIL``, or ``RUNNING`` for one to be taken up again.
        params: The searched settings, dotted.
        score: The (first) objective after the last evaluation; ``None`` unless complete.
        values: The same by evaluation, from 1.
        reason: Why it was pruned or failed.
        folder: Where record, predictions and adapter lie.
        outcome: What it came to in every objective and constraint; ``None`` unless complete.
        given_by: Who gave its settings; empty where the sampler proposed them.
        seed_scores: With several ``seeds``, the score of each that it has run; empty with one.
    """

    number: int
    state: str
    params: Mapping[str, Any]
    score: float | None
    values: Mapping[int, float]
    reason: str
    folder: Path
    outcome: Outcome | None = None
    given_by: str = ""
    seed_scores: Mapping[int, float] = field(default_factory=dict)

    @property
    def record(self) -> RunRecord | None:
        """The run's record, ``None`` if it never began, or where none can be read (`damage`)."""
        return self._read[0]

    @property
    def damage(self) -> str | None:
        """Why a trial that ended has no record, ``None`` where it has one or never began."""
        record, damage = self._read
        if record is None and damage is None and self.state in ("COMPLETE", "PRUNED"):
            return f"{self.folder / RECORD_FILE} is missing"
        return damage

    @cached_property
    def _read(self) -> tuple[RunRecord | None, str | None]:
        try:
            return read_record(self.folder), None
        except Damaged as damage:
            return None, str(damage)


def read_trials(folder: Path, name: str) -> tuple[StudyTrial, ...]:
    """Return the trials of a study, by number; none where it has not begun."""
    return tuple(_trial(item, folder) for item in stored_trials(folder, name))


def best_trial(
    trials: Sequence[StudyTrial],
    space: Space,
    winner: Confirmation | None = None,
    climb: Climb | None = None,
) -> StudyTrial | None:
    """Return the winner by the rule of the space, ``None`` if none; see `analysis.winning`.

    Where fresh seeds have chosen it (``winner``), it is the one that they chose, or none. In a
    halved study (``climb``) it stands with folder and score of its whole run.
    """
    number = winning_trial(outcomes_in(trials), space, winner, climb)
    found = next((trial for trial in trials if trial.number == number), None)
    run = climb.finals.get(found.number) if climb is not None and found is not None else None
    if climb is None or found is None or run is None:
        return found
    score = climb.rungs[-1].scores[found.number]
    outcome = Outcome(found.number, (score,), {})
    return replace(found, score=score, folder=run.folder, outcome=outcome)


def front_of(trials: Sequence[StudyTrial], space: Space) -> tuple[StudyTrial, ...]:
    """Return the feasible trials that none beats in every objective, the best score first."""
    by_number = {trial.number: trial for trial in trials}
    front = pareto_front(outcomes_in(trials), space.goals)
    return tuple(by_number[item.number] for item in front)


def ended_runs(trials: Iterable[StudyTrial]) -> int:
    """Return how many runs of trials have ended, which a resume does not make again."""
    return sum(
        max(len(trial.seed_scores), trial.state not in ("RUNNING", "WAITING")) for trial in trials
    )


def seeds_told(trials: Sequence[StudyTrial], space: Space) -> str:
    """Return what is said of the seeds of trials; empty where each has one."""
    return seeds_line([(trial.state, trial.seed_scores) for trial in trials], space)


def outcomes_in(trials: Iterable[StudyTrial]) -> list[Outcome]:
    """Return what the complete trials came to, in their order."""
    return [trial.outcome for trial in trials if trial.outcome is not None]


def _trial(trial: FrozenTrial, folder: Path) -> StudyTrial:
    return StudyTrial(
        number=trial.number,
        state=trial.state.name,
        params=trial.params,
        score=score_of(trial),
        values=scores_by_evaluation(trial),
        reason=reason_of(trial),
        folder=folder / TRIALS_FOLDER / trial_key(trial.number),
        outcome=outcome_of(trial),
        given_by=str(trial.user_attrs.get(GIVEN_BY, "")),
        seed_scores=scores_by_seed(trial),
    )
