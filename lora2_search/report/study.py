"""A study as a report tells it: its trials and records side by side, as rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..training.record import RunRecord
from .curves import STATES
from .figures import best_trial, open_study, searched
from .health import flag_names
from .records import Run, StudyRuns, read_study, shown_metric
from .tables import NONE, Row, count, level

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class StudyTable:
    """Trials, their records and the winner.

    Attributes:
        runs: The study's records.
        study: Optuna's study.
        trials: All its trials, by number.
        winner: The best complete trial.
        metric: What was maximised, on the validation split.
    """

    runs: StudyRuns
    study: Study
    trials: tuple[FrozenTrial, ...]
    winner: FrozenTrial | None
    metric: str

    @property
    def states(self) -> dict[int, str]:
        """State by trial number."""
        return {trial.number: trial.state.name for trial in self.trials}

    @property
    def shown_metric(self) -> str:
        """The metric for people, F1 with the class that it is of."""
        return shown_metric(self.metric, self.runs.trials.values())

    @property
    def winner_run(self) -> Run | None:
        """The winner's record, ``None`` without one."""
        return self.runs.trials.get(self.winner.number) if self.winner else None


def read_study_table(folder: Path) -> StudyTable:
    """Read trials and records of a study's folder.

    Raises:
        UserError: The folder holds no study.
    """
    runs = read_study(folder)
    study = open_study(folder, str(runs.space["name"]))
    objective = runs.space.get("objective") or {}
    known = [run.record.metric for run in runs.trials.values() if run.record.metric]
    metric = str(objective.get("metric") or (known[0] if known else "score"))
    trials = tuple(study.get_trials(deepcopy=False))
    return StudyTable(runs, study, trials, best_trial(study), metric)


def trial_rows(table: StudyTable) -> list[Row]:
    """Return the table of trials, the best first, those without a score last."""
    order = sorted(table.trials, key=_rank)
    names = list(table.runs.space.get("search") or searched(table.study))
    return [_row(table, trial, names) for trial in order]


def winner_rows(table: StudyTable) -> list[Row]:
    """Return the winner beside the runs outside the search: scores, numbers of parameters."""
    shown = {
        "winner": table.winner_run,
        **{name: table.runs.references[name] for name in table.runs.references},
        "head-only": table.runs.reference,
    }
    rows = []
    for name, run in shown.items():
        record = run.record if run else None
        ended = record is not None and record.status == "completed"
        rows.append(
            {
                "": name if ended or record is None else f"{name} ({record.status})",
                f"validation {table.shown_metric}": _score(record, "validation", table.metric),
                f"test {table.shown_metric}": _score(record, "test", table.metric),
                "trained (adapter)": count_of(record, "trained_adapter"),
                "trained (head)": count_of(record, "trained_head"),
                "kept": count_of(record, "kept_adapter"),
                "compressed": count_of(record, "compressed_adapter"),
                "seconds": _seconds(record),
            }
        )
    return rows


def value_of(record: RunRecord | None, split: str, metric: str) -> float | None:
    """Return a score of a record, ``None`` where there is no record or no such score."""
    return None if record is None else record.scores.get(f"{split}/{metric}")


def count_of(record: RunRecord | None, key: str) -> str:
    """Return a number of parameters of a record as text."""
    counts: Mapping[str, Any] = record.counts if record else {}
    return count(counts.get(key))


def setting(value: Any) -> str:
    """Return a setting's value as text."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _row(table: StudyTable, trial: FrozenTrial, names: Sequence[str]) -> Row:
    run = table.runs.trials.get(trial.number)
    record = run.record if run else None
    reason = str(trial.user_attrs.get("reason") or (record.error if record else "") or "")
    row = {
        "trial": str(trial.number),
        "state": STATES[trial.state.name],
        f"validation {table.metric}": _last(trial, table.metric),
        f"test {table.metric}": _score(record, "test", table.metric),
    }
    row |= {name: setting(trial.params.get(name, NONE)) for name in names}
    return row | {
        "compressed": count_of(record, "compressed_adapter"),
        "seconds": _seconds(record),
        "flags": flag_names(record) or NONE,
        "why": reason.splitlines()[0] if reason else "",
    }


def _rank(trial: FrozenTrial) -> tuple[bool, float, int]:
    complete = trial.state.name == "COMPLETE" and trial.value is not None
    return (not complete, -(trial.value or 0.0) if complete else 0.0, trial.number)


def _last(trial: FrozenTrial, metric: str) -> str:
    if trial.state.name == "COMPLETE":
        return level(trial.value, metric)
    if not trial.intermediate_values:
        return NONE
    last = trial.intermediate_values[max(trial.intermediate_values)]
    return f"({level(last, metric)})"


def _score(record: RunRecord | None, split: str, metric: str) -> str:
    return level(value_of(record, split, metric), metric)


def _seconds(record: RunRecord | None) -> str:
    seconds = record.seconds if record else None
    return NONE if seconds is None else f"{seconds:.0f}"
