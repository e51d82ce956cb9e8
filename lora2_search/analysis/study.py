"""A study's trials as a report needs them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.space import Space
from ..errors import UserError
from ..store import RunRecord, stored_study, study_file
from .front import Outcome, outcomes_of, pareto_front
from .records import Run, StudyRuns, read_study, shown_metric
from .rungs import Climb, climb, electable
from .winner import Confirmation, confirmation, reported_runs, winning_trial

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial


# Where a study has several objectives: Optuna's TPE fails on a pruned trial that has reported
# intermediate values, since it would have to know which objective they are of.
EVALUATIONS = "evaluations"

# Who gave the settings of a trial that the sampler did not propose.
GIVEN_BY = "given by"


def open_study(folder: Path, name: str) -> Study:
    """Open a study's Optuna storage to read it, running or not.

    Raises:
        UserError: The folder has no storage, or it does not hold the study.
    """
    path = study_file(folder)
    if not path.exists():
        raise UserError(f"the study {name} has no {path.name} in {folder}: it never began")
    with quietly(), stored_study(path, name, "restore it from a copy") as study:
        if study is None:
            raise UserError(f"{path} holds no study named {name}")
        study.get_trials(deepcopy=False)  # what is damaged shows when it is read
        return study


def complete_trials(study: Study) -> list[FrozenTrial]:
    """Return the trials that ran to their end and have a score, by number."""
    return [t for t in own_trials(study) if score_of(t) is not None]


def score_of(trial: FrozenTrial) -> float | None:
    """Return a trial's score, its first objective; ``None`` of one that is not complete."""
    return trial.values[0] if trial.state.name == "COMPLETE" else None


def scores_by_evaluation(trial: FrozenTrial) -> dict[int, float]:
    """Return the score, the first objective, after each evaluation of a trial, from 1."""
    kept = trial.user_attrs.get(EVALUATIONS, {})
    return {int(at): float(value) for at, value in kept.items()} or dict(trial.intermediate_values)


# Of a trial that another study made and that only informs the sampler: which one it is.
PRIOR = "prior"

# Of a study: what it took over from an older one, in a sentence.
WARM_START = "warm start"


def own_trials(study: Study) -> list[FrozenTrial]:
    """Return the trials that a study made itself, by number; those of its prior come before."""
    return [trial for trial in study.get_trials(deepcopy=False) if PRIOR not in trial.user_attrs]


def givers(trials: Iterable[FrozenTrial]) -> dict[int, str]:
    """Return who gave the settings of the trials that were given some, by number."""
    attributes = {trial.number: trial.user_attrs for trial in trials}
    return {n: str(item[GIVEN_BY]) for n, item in attributes.items() if item.get(GIVEN_BY)}


def given_line(givers: Mapping[int, str]) -> str:
    """Return a sentence on the trials that were given settings, empty where none was."""
    if not givers:
        return ""
    listed = ", ".join(f"trial {number} ({by})" for number, by in sorted(givers.items()))
    return f"Settings were given, not proposed, to {listed}."


def searched(study: Study) -> list[str]:
    """Return the settings that at least one complete trial chose, in the order of the search."""
    names: dict[str, None] = {}
    for trial in complete_trials(study):
        names |= dict.fromkeys(trial.params)
    return list(names)


@contextmanager
def quietly() -> Iterator[None]:
    """Keep warnings of Optuna about experimental features to itself."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


_LISTED = 8


def caveats(
    scores: Mapping[int, float | None],
    head_only: RunRecord | None,
    metric: str | None,
    references: Mapping[str, RunRecord] | None = None,
) -> list[str]:
    """Return what must be stated beside a winner, one sentence each; empty when all is well.

    Args:
        scores: What the trials scored on the validation split, by number; ``None`` for those that
            are not complete.
        head_only: The record of the head-only run; ``None`` where there is none.
        metric: The objective; ``None`` for the primary metric.
        references: The records of the other runs outside the search, by name.
    """
    complete = {number: score for number, score in scores.items() if score is not None}
    if not complete:
        return []
    best = max(complete.values())
    floor = head_only.config.get("method", "head-only") if head_only else "head-only"
    others = {floor: head_only, **(references or {})}
    sentences = [
        f"The winner is no better than {name} on the validation split."
        for name, record in others.items()
        if (floor := _reached(record, metric)) is not None and best <= floor
    ]
    tied = sorted(number for number, score in complete.items() if score == best)
    if len(tied) > 1:
        sentences.append(f"Trials {_listed(tied)} tie; the first is shown.")
    return sentences


def _reached(record: RunRecord | None, metric: str | None) -> float | None:
    if record is None or record.status != "completed":
        return None
    return record.score("validation", metric)


def _listed(numbers: list[int]) -> str:
    more = len(numbers) - _LISTED
    shown = ", ".join(map(str, numbers[:_LISTED]))
    return f"{shown} and {more} more" if more > 0 else shown


@dataclass(frozen=True)
class StudyTable:
    """Trials, their records and the winner.

    Attributes:
        runs: The study's records.
        study: Optuna's study.
        trials: All its trials, by number.
        winner: The best complete trial, by the rule of the space.
        metric: What was maximised, on the validation split.
        outcomes: What the complete trials came to, by number.
        front: The feasible ones that no other beats in every objective, the best score first.
        confirmed: What fresh seeds say of the winner; ``None`` where they are not asked.
        climb: How the trials of a halved study climbed; ``None`` of others.
    """

    runs: StudyRuns
    study: Study
    trials: tuple[FrozenTrial, ...]
    winner: FrozenTrial | None
    metric: str
    outcomes: tuple[Outcome, ...]
    front: tuple[Outcome, ...]
    confirmed: Confirmation | None = None
    climb: Climb | None = None

    @property
    def standing_outcomes(self) -> list[Outcome]:
        """What the winner was chosen from: of a halved study its whole runs, else the trials."""
        return electable(self.outcomes, self.climb, self.space)

    @property
    def space(self) -> Space:
        """The study's space."""
        return self.runs.space

    @property
    def states(self) -> dict[int, str]:
        """State by trial number."""
        return {trial.number: trial.state.name for trial in self.trials}

    @property
    def warm_start(self) -> str:
        """What it took over from an older study, in a sentence; empty for most."""
        return str(self.study.user_attrs.get(WARM_START, ""))

    @property
    def shown_metric(self) -> str:
        """The metric for people, F1 with the class that it is of."""
        return shown_metric(self.metric, self.runs.trials.values())

    @property
    def winner_run(self) -> Run | None:
        """The run that stands for the winner, ``None`` without one.

        Where fresh seeds confirm it, it is the first of those that are reported; of a halved study
        it is the trial's whole run.
        """
        if self.confirmed is not None and self.confirmed.standing is not None:
            return self.confirmed.standing[1]
        if self.winner is None:
            return None
        runs = self.runs.trials if self.climb is None else self.climb.finals
        return runs.get(self.winner.number)

    @property
    def winner_runs(self) -> Mapping[int, Run]:
        """The runs whose scores are the winner's, by seed.

        Where fresh seeds confirm it they are those that are reported, none before it is chosen;
        else those of all its seeds, of most studies one.
        """
        run = self.winner_run
        ran = (self.winner.number, run) if self.winner and run else None
        return reported_runs(self.confirmed, ran, self.runs.seeds, self.space)


def read_study_table(folder: Path) -> StudyTable:
    """Read trials and records of a study's folder.

    Raises:
        UserError: The folder holds no study.
    """
    runs = read_study(folder)
    study = open_study(folder, runs.space.name)
    known = [run.record.metric for run in runs.trials.values() if run.record.metric]
    metric = runs.space.objective.metric or (known[0] if known else "score")
    trials = tuple(own_trials(study))
    outcomes = outcomes_of(trials)
    settings = {trial.number: trial.params for trial in trials}
    climbed = climb(runs.space, outcomes, runs.rungs)
    standing = electable(outcomes, climbed, runs.space)
    confirmed = confirmation(runs.space, standing, settings, runs.fresh)
    number = winning_trial(outcomes, runs.space, confirmed, climbed)
    winner = next((trial for trial in trials if trial.number == number), None)
    front = pareto_front(outcomes, runs.space.goals)
    found = tuple(outcomes), tuple(front)
    return StudyTable(runs, study, trials, winner, metric, *found, confirmed, climbed)


def value_of(record: RunRecord | None, split: str, metric: str) -> float | None:
    """Return a score of a record, ``None`` where there is no record or no such score."""
    return None if record is None else record.scores.get(f"{split}/{metric}")


def setting(value: Any, *, exact: bool = False) -> str:
    """Return a setting's value in words: what is not set is ``unset``.

    Args:
        value: As it was chosen or planned.
        exact: Whether a number keeps all its digits.
    """
    if value is None:
        return "unset"
    return f"{value:.3g}" if isinstance(value, float) and not exact else str(value)


def chosen(settings: Mapping[str, Any], name: str) -> Any:
    """Return a setting for a table: ``None`` where there is no such one, ``unset`` where it is."""
    return setting(None) if name in settings and settings[name] is None else settings.get(name)
