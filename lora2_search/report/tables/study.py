"""A study's trials as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...analysis import (
    StudyTable,
    chosen,
    flag_names,
    mean_score,
    score_of,
    scores_by_evaluation,
    scores_by_seed,
    searched,
    seed_cells,
    value_of,
)
from ...store import RunRecord
from ..figures.style import STATE_STYLES
from .suite import PARAMETERS
from .table import NONE, Column, Record, Table, text_column
from .text import chosen_values, counts, scores, seconds

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def trials_table(table: StudyTable) -> Table:
    """Return one row per trial, the best first, those without a score last."""
    order = sorted(table.trials, key=_rank)
    names = list(table.runs.space.search or searched(table.study))
    validation = scores("validation", f"validation {table.metric}", table.metric)
    columns = (
        Column("trial", "trial"),
        text_column("state"),
        replace(validation, format=_last(validation)),
        *_seed_columns(table),
        scores("test", f"test {table.metric}", table.metric),
        *(chosen_values(f"setting.{name}", name) for name in names),
        counts("compressed"),
        Column("seconds", "time", format=seconds, unit="s"),
        text_column("flags"),
        text_column("why", wraps=True),
    )
    return Table(columns, tuple(_row(table, trial, names) for trial in order))


def size_table(table: StudyTable) -> Table:
    """Return parameters and time of the winner and of the runs outside the search."""
    shown = {
        "winner": table.winner_run,
        **table.runs.references,
        table.runs.space.floor_method: table.runs.reference,
    }
    if table.confirmed is not None:
        runs = ((item.name, item.fresh.runs.values()) for item in table.confirmed.baselines)
        shown = {"winner": table.winner_run, **{name: next(iter(r), None) for name, r in runs}}
    columns = (
        text_column("run"),
        *(counts(key, heading) for key, heading in PARAMETERS.items()),
        Column("seconds", "time", format=seconds, unit="s"),
    )
    rows = (
        {
            "run": name,
            **{key: count_of(run.record if run else None, key) for key in PARAMETERS},
            "seconds": run.record.seconds if run else None,
        }
        for name, run in shown.items()
    )
    return Table(columns, tuple(rows))


def front_table(table: StudyTable) -> Table:
    """Return the trials that no other beats in every objective, the best score first."""
    names, goals = list(table.runs.space.search), table.runs.space.goals
    params = {trial.number: trial.params for trial in table.trials}
    columns = (
        Column("trial", "trial"),
        *(Column(f"objective.{g.metric}", str(g.metric), format=_amount) for g in goals),
        *(chosen_values(f"setting.{name}", name) for name in names),
    )
    rows = [
        {
            "trial": item.number,
            **{f"objective.{g.metric}": v for g, v in zip(goals, item.values, strict=True)},
            **{f"setting.{name}": chosen(params[item.number], name) for name in names},
        }
        for item in table.front
    ]
    return Table(columns, tuple(rows))


def _amount(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:z.4g}"


def count_of(record: RunRecord | None, key: str) -> float | None:
    """Return a number of parameters of a record; ``None`` where it is not known."""
    return record.counts.get(key) if record else None


class Unfinished(float):
    """The last validation score of a trial that did not complete, which is no result."""


def _row(table: StudyTable, trial: FrozenTrial, names: Sequence[str]) -> Record:
    run = table.runs.trials.get(trial.number)
    record = run.record if run else None
    reason = str(trial.user_attrs.get("reason") or (record.error if record else "") or "")
    return {
        "trial": trial.number,
        "state": STATE_STYLES[trial.state.name].word,
        "validation": _validation(trial),
        **_seeds(table, trial),
        "test": value_of(record, "test", table.metric),
        **{f"setting.{name}": chosen(trial.params, name) for name in names},
        "compressed": count_of(record, "compressed_adapter"),
        "seconds": record.seconds if record else None,
        "flags": flag_names(record) or None,
        "why": reason.splitlines()[0] if reason else "",
    }


def _rank(trial: FrozenTrial) -> tuple[bool, float, int]:
    score = score_of(trial)
    return (score is None, -(score or 0.0), trial.number)


def _validation(trial: FrozenTrial) -> float | None:
    known, by_seed = scores_by_evaluation(trial), scores_by_seed(trial)
    if (score := score_of(trial)) is not None or not known:
        return score
    last = mean_score(by_seed).estimate if by_seed else known[max(known)]
    return None if last is None else Unfinished(last)


def _seed_columns(table: StudyTable) -> tuple[Column, ...]:
    if table.space.seeds == 1:
        return ()
    ends = scores("seeds_low", "95 % from", table.metric), scores("seeds_high", "to", table.metric)
    return Column("seeds", "seeds"), *ends


def _seeds(table: StudyTable, trial: FrozenTrial) -> Record:
    cells = seed_cells(scores_by_seed(trial), table.space)
    return {key: value for key, value in cells.items() if key != "seeds_mean"}


def _last(column: Column) -> Callable[[float | None], str]:
    """Return how a score is written: in brackets, where the trial did not complete."""

    def text(value: float | None) -> str:
        shown = column.format(value)
        return f"({shown})" if isinstance(value, Unfinished) else shown

    return text
