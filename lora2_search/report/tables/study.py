"""A study's trials as rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...analysis import StudyTable, flag_names, score_of, searched, setting, value_of
from ...store import RunRecord
from ..figures.curves import STATES
from .text import NONE, Row, count, level

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def trial_rows(table: StudyTable) -> list[Row]:
    """Return the table of trials, the best first, those without a score last."""
    order = sorted(table.trials, key=_rank)
    names = list(table.runs.space.search or searched(table.study))
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


def count_of(record: RunRecord | None, key: str) -> str:
    """Return a number of parameters of a record as text."""
    counts: Mapping[str, Any] = record.counts if record else {}
    return count(counts.get(key))


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
    score = score_of(trial)
    return (score is None, -(score or 0.0), trial.number)


def _last(trial: FrozenTrial, metric: str) -> str:
    if (score := score_of(trial)) is not None:
        return level(score, metric)
    if not trial.intermediate_values:
        return NONE
    last = trial.intermediate_values[max(trial.intermediate_values)]
    return f"({level(last, metric)})"


def _score(record: RunRecord | None, split: str, metric: str) -> str:
    return level(value_of(record, split, metric), metric)


def _seconds(record: RunRecord | None) -> str:
    seconds = record.seconds if record else None
    return NONE if seconds is None else f"{seconds:.0f}"
