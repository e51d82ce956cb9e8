"""What a study came to: the winner against head-only, and where to look next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.table import Table

from ...analysis import (
    FreshRuns,
    caveats,
    electable,
    pick_rule,
    rivals,
    serves_plain_lora,
    winner_edges,
)
from ...config import named_metric
from ...config.space import HEAD_ONLY, seed_span
from ...experiments import run_of_winner
from ...report import always, edge_line, fresh_caveats, rung_lines, winner_lines
from ...search import Study, outcomes_in
from ...store import ADAPTER_FOLDER, PAGE_FILE, Flag, RunRecord, invocation, storage_name
from ...tracking import DEFAULT_PORT, address_of, display_uri, is_server, resolve_uri
from .rows import plain, short
from .screen import facts, places, screen

SPLITS = ("validation", "test")


@dataclass(frozen=True)
class Scores:
    """What one run scored; every field is ``None`` where there was no such run.

    Attributes:
        metric: Name of the metric.
        status: How the run ended.
        validation: Its score on the validation split; ``None`` unless it completed.
        test: Its score on the test split.
        settings: What it sets besides the space.
    """

    metric: str | None = None
    status: str | None = None
    validation: float | None = None
    test: float | None = None
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class ConstantScores:
    """What the constant answer scores: ``answer`` says which one it is."""

    answer: str
    metric: str
    validation: float | None
    test: float | None


@dataclass(frozen=True)
class Winner:
    """A study's best trial, with what speaks against it and what to do with it."""

    trial: int
    score: float | None
    settings: Mapping[str, object]
    metric: str
    validation: float | None
    test: float | None
    shown: str
    caveats: Sequence[str]
    flags: Sequence[Flag]
    counts: Mapping[str, int]
    plain_lora: bool
    adapter: str
    train: str


@dataclass(frozen=True)
class Candidate:
    """One of the best trials, run again: its score in the search, and its mean on fresh seeds."""

    trial: int
    score: float
    choice: float | None


@dataclass(frozen=True)
class Confirmed:
    """What fresh seeds say of the winner: its scores, and those beside it, are means over them.

    Attributes:
        seeds: Of the search, to choose on, and to report on.
        candidates: The trials that the winner was chosen from, by rank in the search.
        optimism: By how much selection had flattered it, and the 95 % interval.
        validation: Both ends of the 95 % interval of its mean score.
        test: The same on the test split.
        told: All of it in sentences.
        complete: Whether no run is left to be made.
    """

    seeds: Mapping[str, Sequence[int]]
    candidates: Sequence[Candidate]
    trial: int | None
    runner_up: int | None
    runner_up_told_apart: bool | None
    optimism: Sequence[float | None] | None
    validation: Sequence[float | None]
    test: Sequence[float | None]
    complete: bool
    told: Sequence[str]


@dataclass(frozen=True)
class FrontTrial:
    """A trial that no other beats in every objective: its objectives by name, its settings."""

    trial: int
    objectives: Mapping[str, float]
    settings: Mapping[str, object]


@dataclass(frozen=True)
class StudySummary:
    """A study's result; ``winner`` is ``None`` when no trial completed, or none may win.

    Attributes:
        front: The Pareto front, the best score first; empty with one objective.
        picked: The rule by which the winner was picked from it.
        infeasible: Complete trials that break a constraint; ``None`` where there is none.
        confirmed: What fresh seeds say; ``None`` where the space does not set ``winner``.
        rungs: What is said of the rungs of a halved study.
        seeds: Runs of each trial, at most; its score is their mean.
    """

    name: str
    folder: str
    interrupted: bool
    trials: Mapping[str, int]
    winner: Winner | None
    front: Sequence[FrontTrial]
    picked: str | None
    infeasible: int | None
    confirmed: Confirmed | None
    constant: ConstantScores | None
    floor: str
    head_only: Scores
    references: Mapping[str, Scores]
    report: str
    mlflow: str | None
    ui: str
    rungs: Sequence[str] = ()
    seeds: int = 1


def study_summary(study: Study, storage: Path | None, uri: str) -> StudySummary:
    """Return what a study came to."""
    states = [trial.state for trial in study.trials]
    metric = study.space.objective.metric
    record = _standing_record(study)
    winner = _winner(study, record, storage)
    return StudySummary(
        name=study.name,
        folder=str(study.folder),
        interrupted=study.interrupted,
        trials={state: states.count(state) for state in sorted(set(states))},
        winner=winner,
        front=_front(study),
        picked=pick_rule(study.space) if len(study.space.goals) > 1 else None,
        infeasible=_infeasible(study),
        confirmed=_confirmed(study, winner.shown if winner else metric or "score"),
        constant=_constant(record, winner.metric) if winner and record else None,
        floor=study.space.floor_method,
        head_only=_beside_it(study).get(HEAD_ONLY, Scores()),
        references={
            name: scores for name, scores in _beside_it(study).items() if name != HEAD_ONLY
        },
        report=str(study.folder / PAGE_FILE),
        mlflow=where_in_mlflow(study.folder, uri),
        ui=command("ui", study.name, storage=storage, tracking_uri=uri),
        rungs=rung_lines(study.climb) if study.climb else (),
        seeds=study.space.seeds,
    )


def _winner(study: Study, record: RunRecord | None, storage: Path | None) -> Winner | None:
    run = run_of_winner(study)
    if run is None or study.best is None:
        return None
    # What Optuna knows stands where the record is damaged.
    scores = _scores(record, run.metric) if record else Scores(validation=study.best.score)
    if study.winner and study.winner.reported and study.winner.is_reported:
        scores = _means(study.winner.reported, scores.metric)
    elif study.space.seeds > 1:
        scores = replace(scores, validation=study.best.score)
    metric = scores.metric or run.metric or "score"
    damage = [study.best.damage] if study.best.damage else []
    return Winner(
        trial=study.best.number,
        score=study.best.score,
        settings=dict(run.settings),
        metric=metric,
        validation=scores.validation,
        test=scores.test,
        shown=named_metric(metric, record.classes) if record else metric,
        caveats=[*damage, *_caveats(study)],
        flags=record.flags if record else [],
        counts=record.counts if record else {},
        plain_lora=record is not None and serves_plain_lora(record),
        adapter=str(run.folder / ADAPTER_FOLDER),
        train=command("train", "--from-study", study.name, storage=storage),
    )


def print_study(study: Study, result: StudySummary) -> None:
    """Print a study's result for people."""
    console = screen()
    counted = ", ".join(f"{count} {state.lower()}" for state, count in result.trials.items())
    console.print(f"\nStudy {study.name}: {len(study.trials)} trials ({counted}).", style="head")
    for note in study.notes:
        console.print(f"Note: {note}")
    winner = result.winner
    if result.front:
        names = ", ".join(result.front[0].objectives)
        held = "1 trial" if len(result.front) == 1 else f"{len(result.front)} trials"
        console.print(f"Front: {held} that no other beats in all of {names}.\n")
        console.print(_front_table(result))
        console.print()
    if result.infeasible:
        broken = "trial breaks" if result.infeasible == 1 else "trials break"
        console.print(f"Constraints: {result.infeasible} complete {broken} them.")
    if winner is None and result.confirmed and result.confirmed.candidates:
        for line in result.confirmed.told:
            console.print(line, style="failure")
    elif winner is None and result.trials.get("COMPLETE"):
        none = "No complete trial meets the constraints, so there is no winner."
        console.print(none, style="failure")
    elif winner is None:
        failed = "No trial was completed, so there is no winner. Why they ended:"
        console.print(failed, style="failure")
        for reason in dict.fromkeys(trial.reason for trial in study.trials if trial.reason):
            console.print(f"  {reason}")
    else:
        _print_winner(winner, result)
    places(result.ui, result.mlflow, result.report)


def _print_winner(winner: Winner, result: StudySummary) -> None:
    console = screen()
    score = winner.shown if result.seeds == 1 else f"mean {winner.shown} over its seeds"
    by = result.picked or f"its {score} on the validation split"
    told = result.confirmed
    if told and told.trial is not None and told.runner_up is not None:
        by += f", on average over {seed_span(told.seeds['choice'])}"
    console.print(f"Winner: trial {winner.trial}, by {by}.", style="winner")
    for caveat in winner.caveats:
        console.print(f"But: {caveat}", style="warning")
    for flag in winner.flags:
        console.print(f"Health: {flag}", style="warning")
    for line in (*(told.told if told else ()), *result.rungs):
        console.print(line)
    console.print()
    console.print(_against(winner, _beside(result), result.constant))
    console.print()
    settings = ", ".join(f"{key}={plain(value)}" for key, value in winner.settings.items())
    sizes = [("Parameters", _sizes(winner))] if winner.counts else []
    facts([("Settings", settings), *sizes, ("Adapter", winner.adapter), ("Train it", winner.train)])


def _standing_record(study: Study) -> RunRecord | None:
    """Return the record that stands for the winner; see `run_of_winner`."""
    if study.winner is not None and study.winner.standing is not None:
        return study.winner.standing[1].record
    return study.best.record if study.best else None


def _confirmed(study: Study, shown: str) -> Confirmed | None:
    found = study.winner
    if found is None:
        return None
    fresh, second, gap = found.reported, found.runner_up, found.optimism
    return Confirmed(
        seeds={
            "search": found.seeds.search,
            "choice": found.seeds.choice,
            "report": found.seeds.report,
        },
        candidates=[
            Candidate(item.trial, item.score, item.fresh.validation.estimate)
            for item in found.candidates
        ],
        trial=found.trial,
        runner_up=second.trial if second else None,
        runner_up_told_apart=second.is_told_apart if second else None,
        optimism=[gap.estimate, gap.low, gap.high] if gap else None,
        validation=[fresh.validation.low, fresh.validation.high] if fresh else [None, None],
        test=[fresh.test.low, fresh.test.high] if fresh else [None, None],
        complete=found.is_complete,
        told=winner_lines(found, shown),
    )


def _beside_it(study: Study) -> dict[str, Scores]:
    """Return what the runs outside the search scored, by name; means where seeds are fresh."""
    metric, found = study.space.objective.metric, study.winner
    if found is not None:
        return {
            item.name: _means(item.fresh, found.metric, study.space.references.get(item.name))
            for item in found.baselines
        }
    records = {HEAD_ONLY: study.reference, **study.references}
    return {
        name: _scores(record, metric, study.space.references.get(name))
        for name, record in records.items()
    }


def _means(
    fresh: FreshRuns, metric: str | None, settings: Mapping[str, object] | None = None
) -> Scores:
    status = "completed" if fresh.runs else "failed" if fresh.failed else "running"
    return Scores(metric, status, fresh.validation.estimate, fresh.test.estimate, settings or {})


def _front(study: Study) -> list[FrontTrial]:
    goals = study.space.goals
    if len(goals) == 1:
        return []
    names = [str(goal.metric) for goal in goals]
    return [
        FrontTrial(trial.number, dict(zip(names, trial.outcome.values, strict=True)), trial.params)
        for trial in study.pareto
        if trial.outcome is not None
    ]


def _infeasible(study: Study) -> int | None:
    if not study.space.constraints:
        return None
    return sum(not outcome.is_feasible for outcome in outcomes_in(study.trials))


def _front_table(result: StudySummary) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("trial", *result.front[0].objectives):
        table.add_column(name, justify="right")
    table.add_column("settings")
    for item in result.front:
        won = result.winner is not None and item.trial == result.winner.trial
        values = (_amount(value) for value in item.objectives.values())
        settings = " ".join(f"{short(key)}={plain(value)}" for key, value in item.settings.items())
        table.add_row(f"{item.trial} *" if won else f"{item.trial}  ", *values, settings)
    return table


def where_in_mlflow(folder: Path, uri: str) -> str | None:
    """Return the address of a folder's view, on its server or on the one that ``ui`` starts."""
    base = display_uri(uri) if is_server(uri) else f"http://127.0.0.1:{DEFAULT_PORT}"
    return address_of(folder, uri, base)


def command(*words: str, storage: Path | None = None, tracking_uri: str | None = None) -> str:
    """Return a command line of ours, ready to paste."""
    parts = [*invocation(), *words]
    if storage is not None:
        parts += ["--storage", storage_name(storage)]
    # A URI may hold a password, and the default one goes without saying.
    if tracking_uri and tracking_uri not in (resolve_uri(), display_uri(resolve_uri())):
        parts += ["--tracking-uri", display_uri(tracking_uri)]
    return shlex.join(parts)


def _constant(record: RunRecord, metric: str) -> ConstantScores | None:
    """Return what the constant answer scores; nothing where the record does not tell."""
    if not record.constant:
        return None
    scores = [record.constant.get(f"{split}/{metric}") for split in SPLITS]
    return ConstantScores(always(record), metric, *scores)


def _scores(
    record: RunRecord | None, metric: str | None, settings: Mapping[str, object] | None = None
) -> Scores:
    if record is None:
        return Scores(settings=settings or {})
    validation, test = (
        record.score(split, metric) if record.status == "completed" else None for split in SPLITS
    )
    name = metric or record.metric
    return Scores(name, record.status, validation, test, settings or {})


def _caveats(study: Study) -> list[str]:
    if study.winner is not None:
        found = fresh_caveats(study.winner)
    else:
        standing = electable(outcomes_in(study.trials), study.climb, study.space)
        scores = rivals(standing, study.space)
        metric = study.space.objective.metric
        found = caveats(scores, study.reference, metric, study.references)
    edges = winner_edges(study.space, study.best.params) if study.best else []
    return found + [edge_line(edge) for edge in edges]


def _beside(result: StudySummary) -> dict[str, Scores]:
    """Return what the winner is compared with, by what it is called in the table."""
    rows = {}
    for name, scores in result.references.items():
        own = {key: value for key, value in scores.settings.items() if value != name}
        settings = ", ".join(f"{short(key)}={plain(value)}" for key, value in own.items())
        rows[f"{name} ({settings})" if settings else name] = scores
    if result.confirmed and not result.head_only.metric:
        return rows  # the method of the trials is the floor itself
    return {**rows, result.floor.replace("-", " "): result.head_only}


def _against(
    winner: Winner, beside: Mapping[str, Scores], constant: ConstantScores | None
) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(winner.shown)
    for split in SPLITS:
        table.add_column(split, justify="right")
    rows = {f"winner (trial {winner.trial})": winner, **beside}
    for name, scores in rows.items():
        style = "winner" if scores is winner else ""
        table.add_row(name, *(_level(getattr(scores, split)) for split in SPLITS), style=style)
    for name, scores in beside.items():
        title = "difference" if len(beside) == 1 else f"winner − {name.partition(' (')[0]}"
        pairs = ((getattr(winner, split), getattr(scores, split)) for split in SPLITS)
        table.add_row(title, *(_difference(*pair) for pair in pairs))
    if constant:
        table.add_row(constant.answer, *(_level(getattr(constant, split)) for split in SPLITS))
    return table


def _difference(ours: float | None, theirs: float | None) -> str:
    return "-" if ours is None or theirs is None else f"{ours - theirs:+z.4f}"


def _level(score: float | None) -> str:
    return "-" if score is None else f"{score:z.4f}"


def _amount(value: float) -> str:
    """Return an objective's value: counts whole, scores and times in four digits."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:z.4g}"


def _sizes(winner: Winner) -> str:
    counts = winner.counts
    names = {"trained_adapter": "trained"}
    if winner.plain_lora:
        names["kept_adapter"] = "kept after pruning"
        names["compressed_adapter"] = "compressed to a plain LoRA"
    parts = [f"{counts[key]:,} {words}" for key, words in names.items() if key in counts]
    head = f"; head {counts['trained_head']:,}" if "trained_head" in counts else ""
    return f"adapter {', '.join(parts)}{head}"
