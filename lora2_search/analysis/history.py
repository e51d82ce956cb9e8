"""The numbers behind a study's figures of its trials: history, timeline, what was stopped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..config.space import named_key, rung_name
from ..store import RunRecord
from .front import outcome_of
from .seeds import mean_score, scores_by_seed
from .study import StudyTable, score_of, scores_by_evaluation

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class TrialPoint:
    """One trial of a study's history.

    Attributes:
        number: The trial.
        state: ``COMPLETE``, ``PRUNED``, ``FAIL``, ``RUNNING`` or ``WAITING``.
        score: The score by which it is chosen; of one that is not complete that of its last
            evaluation; ``None`` where it was never evaluated.
        best: The best score of the complete trials up to this one that meet the constraints,
            ``None`` before the first.
    """

    number: int
    state: str
    score: float | None
    best: float | None


def trial_history(trials: Sequence[FrozenTrial]) -> list[TrialPoint]:
    """Return one point per trial, by number."""
    points, best = [], None
    for trial in sorted(trials, key=lambda item: item.number):
        score = score_of(trial)
        outcome = outcome_of(trial)
        if score is not None and outcome is not None and outcome.is_feasible:
            best = score if best is None else max(best, score)
        shown = _last(trial)[1] if score is None else score
        points.append(TrialPoint(trial.number, trial.state.name, shown, best))
    return points


@dataclass(frozen=True)
class Span:
    """When one run of a study was trained, pauses included.

    Attributes:
        name: ``trial 3``, or the name of a run outside the search.
        state: As in `TrialPoint`.
        start: Seconds since the first run of the study began.
        end: Seconds since then at which it ended, or was last heard of.
        worker: From 0: the first one that was free. Which process it was is not recorded.
    """

    name: str
    state: str
    start: float
    end: float
    worker: int


def timeline(table: StudyTable) -> list[Span]:
    """Return one span per run that has begun, in the order in which they began.

    Runs that were taken over from elsewhere are left out: they took none of the study's time.
    """
    states = table.states
    runs = [(table.runs.space.floor_method, table.runs.reference)] if table.runs.reference else []
    runs += list(table.runs.references.items())
    named = [(name, _STATES[run.record.status], run.record) for name, run in runs if run]
    named += [
        (rung_name(key), _STATES[run.record.status], run.record)
        for key, run in table.runs.rungs.items()
    ]
    named += [
        (named_key(key), _STATES[run.record.status], run.record)
        for key, run in [*table.runs.seeds.items(), *table.runs.fresh.items()]
    ]
    named += [
        (f"trial {number}", states.get(number, "RUNNING"), run.record)
        for number, run in table.runs.trials.items()
    ]
    begun = [item for item in named if item[2].started_ms and not item[2].reused_from]
    begun.sort(key=lambda item: item[2].started_ms)
    free: list[float] = []
    spans = []
    for name, state, record in begun:
        start = (record.started_ms - begun[0][2].started_ms) / 1000
        end = max(start, (_heard_of_ms(record) - begun[0][2].started_ms) / 1000)
        worker = next((lane for lane, until in enumerate(free) if until <= start), len(free))
        free[worker : worker + 1] = [end]
        spans.append(Span(name, state, start, end, worker))
    return spans


_STATES = {"completed": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING"}


def _heard_of_ms(record: RunRecord) -> float:
    if record.ended_ms is not None:
        return record.ended_ms
    spent = record.started_ms + 1000 * (record.seconds or 0.0)
    return max([spent, *(point.time_ms for point in record.history)])


@dataclass(frozen=True)
class Stop:
    """A trial that ended before its last evaluation.

    Attributes:
        number: The trial.
        state: ``PRUNED`` or ``FAIL``.
        evaluation: Its last evaluation, from 1; 0 where there was none.
        score: Its score there, ``None`` where there is none.
        rank: Its place by score among the trials that came to that evaluation, from 1.
        among: How many came to it.
        best: The best score at that evaluation.
        reason: In the words of what stopped it.
    """

    number: int
    state: str
    evaluation: int
    score: float | None
    rank: int | None
    among: int
    best: float | None
    reason: str


def stopped_trials(table: StudyTable) -> list[Stop]:
    """Return the pruned and failed trials, by number."""
    at: dict[int, list[float]] = {}
    for trial in table.trials:
        for evaluation, value in scores_by_evaluation(trial).items():
            if math.isfinite(value):
                at.setdefault(evaluation, []).append(value)
    stopped = (trial for trial in table.trials if trial.state.name in ("PRUNED", "FAIL"))
    return [_stop(trial, table, at) for trial in stopped]


def _stop(trial: FrozenTrial, table: StudyTable, at: Mapping[int, Sequence[float]]) -> Stop:
    evaluation, score = _last(trial)
    there = at.get(evaluation, [])
    run = table.runs.trials.get(trial.number)
    error = run.record.error if run else None
    return Stop(
        number=trial.number,
        state=trial.state.name,
        evaluation=evaluation,
        score=score,
        rank=None if score is None or not there else 1 + sum(value > score for value in there),
        among=len(there),
        best=max(there, default=None),
        reason=str(trial.user_attrs.get("reason") or error or ""),
    )


def _last(trial: FrozenTrial) -> tuple[int, float | None]:
    """Return the last evaluation with a finite score, and that score.

    A trial of several seeds is between two runs, at no evaluation, with the mean of those it has.
    """
    if by_seed := scores_by_seed(trial):
        return 0, mean_score(by_seed).estimate
    values = {at: v for at, v in scores_by_evaluation(trial).items() if math.isfinite(v)}
    if not values:
        return 0, None
    at = max(values)
    return at, values[at]
