"""One self-contained HTML page of a study: no request leaves it, plotly stands in it once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ...analysis import (
    Run,
    StudyTable,
    caveats,
    edges,
    read_study_table,
    rivals,
    score_of,
    serves_plain_lora,
    setting,
    value_of,
)
from ...stats import expected_best
from ...store import PAGE_FILE, rank_grid, write_text
from ..figures.curves import STATES, draw_learning_curves, draw_rank_grid, learning_curves
from ..figures.front import front_panels
from ..figures.optuna import history_panel, importance_panel, slice_panels
from ..figures.panel import Panel
from ..figures.suite import draw_expected_best
from ..rendering import render
from ..tables.study import count_of, trials_table, winner_table
from ..tables.table import Table
from ..tables.text import count, level, signed
from ..words.constant import constant_line
from ..words.provenance import versions

_PROTOCOLS = {
    "clean": "settings are chosen on a slice of the training set, the test split is only reported",
    "paper": "as in published papers, settings are chosen on the split that is reported",
}


def write_study_page(folder: Path) -> Path:
    """Write ``report.html`` of a study's folder and return its path.

    A study that is still running, has failed trials or a single one gets a page of what there is.

    Raises:
        UserError: The folder holds no study.
    """
    path = folder / PAGE_FILE
    write_text(path, study_page(read_study_table(folder)))
    return path


def study_page(page: StudyTable) -> str:
    """Return the page as HTML."""
    trials = trials_table(page)
    best = page.winner.number if page.winner else None
    styles = ["winner" if row["trial"] == best else row["state"] for row in trials.rows]
    return render(
        "study.html",
        title=page.runs.space.name,
        about=_about(page),
        notes=_notes(page),
        winner=_winner(page),
        front=front_panels(page),
        history=history_panel(page.study, page.metric),
        about_slices=(
            f"Validation {page.metric} of the complete trials; from blue (early) to orange (late)."
        ),
        slices=slice_panels(page.study, page.metric),
        figures=[
            importance_panel(page.study, page.metric),
            _trials_panel(page),
            _curves_panel(page),
            _ranks_panel(page),
        ],
        trials=trials,
        styles=styles,
        made_with=_made_with(page),
    )


def _about(page: StudyTable) -> str:
    space = page.runs.space
    counts = Counter(trial.state.name for trial in page.trials)
    state_counts = ", ".join(f"{counts[key]} {word}" for key, word in STATES.items() if counts[key])
    return (
        f"Task {space.task}, model {space.model.name_or_path}, protocol "
        f"{_protocol(space.protocol)}. {len(page.trials)} trials: {state_counts or 'none yet'}."
    )


def _notes(page: StudyTable) -> list[str]:
    """Return what a reader must know before the numbers."""
    notes = []
    running = sum(trial.state.name == "RUNNING" for trial in page.trials)
    planned = page.runs.space.trials
    if running or (planned and len(page.trials) < planned):
        of = f" of {planned}" if planned else ""
        notes.append(
            f"The study is not finished: {len(page.trials)}{of} trials were started, "
            f"{len(page.trials) - running} have ended. This page shows the results so far."
        )
    if page.runs.unreadable:
        broken = ", ".join(page.runs.unreadable)
        notes.append(f"Records that cannot be read, left out: {broken}.")
    if page.winner is None and page.outcomes:
        notes.append("No complete trial meets the constraints, so there is no winner.")
    elif page.winner is None:
        notes.append("No trial is complete yet, so there is no winner.")
    return notes


def _protocol(name: str) -> str:
    meaning = _PROTOCOLS.get(name)
    return f"{name} ({meaning})" if meaning else name


def _cards(page: StudyTable, score: float | None) -> list[tuple[str, str]]:
    record = page.winner_run.record if page.winner_run else None
    ours = value_of(record, "test", page.metric)
    plain = record is None or serves_plain_lora(record)
    size = (record.sizes if record else {}).get("test")
    where = f"{size:,} test sentences" if size else "the test sentences"
    return [
        (
            level(score, page.metric),
            f"winner, validation {page.shown_metric} (chosen on)",
        ),
        (level(ours, page.metric), f"winner, {where} (only reported)"),
        *(card for name, run in _beside(page).items() for card in _against(page, ours, name, run)),
        (
            count(count_of(record, "compressed_adapter")),
            f"adapter parameters, {'compressed' if plain else 'as trained'}",
        ),
    ]


def _beside(page: StudyTable) -> dict[str, Run | None]:
    return {**page.runs.references, "head-only": page.runs.reference}


def _against(
    page: StudyTable, ours: float | None, name: str, run: Run | None
) -> list[tuple[str, str]]:
    theirs = value_of(run.record if run else None, "test", page.metric)
    gain = None if ours is None or theirs is None else ours - theirs
    return [
        (level(theirs, page.metric), f"{name}, the same sentences"),
        (signed(gain, page.metric), f"winner − {name}, one seed each"),
    ]


@dataclass(frozen=True)
class _Winner:
    """The winner, as the template shows it."""

    number: int
    cards: list[tuple[str, str]]
    caveats: list[str]
    settings: str
    caution: str
    adapter: str
    table: Table


def _winner(page: StudyTable) -> _Winner | None:
    if page.winner is None:
        return None
    settings = ", ".join(f"{name} = {setting(value)}" for name, value in page.winner.params.items())
    where = page.winner_run.folder if page.winner_run else page.runs.folder
    scores = sum(trial.state.name == "COMPLETE" for trial in page.trials)
    optimistic = (
        f"It was chosen among {scores} scores on the validation split, so its score there is "
        "too high by some; "
    )
    if page.runs.space.protocol == "paper":
        optimistic += "with protocol paper the test split is the same one, so that score is too."
    else:
        optimistic += "the test split played no part in the choice."
    records = [page.winner_run.record] if page.winner_run else []
    if line := constant_line(records, page.metric):
        optimistic += f" {line}"
    return _Winner(
        number=page.winner.number,
        cards=_cards(page, score_of(page.winner)),
        caveats=_caveats(page),
        settings=settings,
        caution=optimistic,
        adapter=str(where / "adapter"),
        table=winner_table(page),
    )


def _caveats(page: StudyTable) -> list[str]:
    scores = rivals(page.outcomes, page.runs.space)
    reference = page.runs.reference.record if page.runs.reference else None
    others = {name: run.record for name, run in page.runs.references.items()}
    remarks = caveats(scores, reference, page.metric, others)
    remarks += edges(page.runs.space, page.winner.params) if page.winner else []
    if page.winner_run:
        remarks += [f"Health flag {flag}." for flag in page.winner_run.record.flags]
    return remarks


def _curves_panel(page: StudyTable) -> Panel:
    records = {number: run.record for number, run in page.runs.trials.items()}
    curves = learning_curves(records, page.states, page.metric)
    if not curves:
        return Panel("Learning curves", "No trial was evaluated yet.")
    best = page.winner.number if page.winner else None
    text = f"Validation {page.metric} through training; click a name to hide its trials."
    return Panel("Learning curves", text, draw_learning_curves(curves, page.metric, best))


def _trials_panel(page: StudyTable) -> Panel:
    title = "Expected best score against trials"
    scores = [score for trial in page.trials if (score := score_of(trial)) is not None]
    if len(scores) < 2:
        return Panel(title, "Fewer than two trials are complete.")
    text = (
        "What a smaller budget would have found on average, if trials are drawn as these were "
        "(Dodge et al. 2019). Trials that were stopped early have no score and are left out, so "
        "the more of them there were, the more the curve favours a small budget."
    )
    drawn = draw_expected_best({"this study": expected_best(scores)}, page.metric)
    return Panel(title, text, drawn)


def _ranks_panel(page: StudyTable) -> Panel:
    title = "The winner's rank pattern"
    record = page.winner_run.record if page.winner_run else None
    if record is None or not record.rank_pattern:
        return Panel(title, "There is no winner with ranks to show (plain LoRA prunes none).")
    highest = int(
        (record.config.get("adapter") or {}).get("r") or max(record.rank_pattern.values())
    )
    text = f"Singular values kept of {highest}, by block and kind of module."
    return Panel(title, text, draw_rank_grid(rank_grid(record.rank_pattern), highest))


def _made_with(page: StudyTable) -> str:
    record = next((run.record for run in page.runs.trials.values()), None)
    if record is None:
        return ""
    commit = record.commit or "not run from a checkout"
    dirty = " with uncommitted changes" if record.dirty else ""
    return (
        f"Commit {commit}{dirty}. Data sha256 {record.data_hash[:16]}. "
        f"{record.device}, {record.threads} thread(s) per trial. {versions(record)}."
    )
