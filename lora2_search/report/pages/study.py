"""One self-contained HTML page of a study: no request leaves it, plotly stands in it once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...analysis import (
    Standing,
    StudyTable,
    all_infeasible,
    caveats,
    given_line,
    givers,
    read_study_table,
    rivals,
    scores_by_seed,
    seeds_line,
    serves_plain_lora,
    setting,
    stopped_trials,
    winner_edges,
)
from ...store import PAGE_FILE, write_text
from ..figures import study_panels as panels
from ..figures.front import front_panels
from ..figures.panel import Panel
from ..figures.study_numbers import StudyNumbers
from ..figures.style import STATE_STYLES
from ..rendering import render
from ..tables.rungs import rungs_table
from ..tables.study import count_of, size_table, trials_table
from ..tables.table import Table
from ..tables.text import count, level
from ..tables.trials import stops_table
from ..words.constant import constant_line
from ..words.provenance import threads, versions
from ..words.rungs import rung_lines
from ..words.study import (
    are_of_fresh_seeds,
    edge_line,
    gap_line,
    gap_value,
    mean_line,
    score_line,
    stop_lines,
)
from ..words.winner import fresh_caveats, winner_lines
from .language import LanguageSection, language_section

_PROTOCOLS = {
    "clean": "settings are chosen on a slice of the training set, the test split is only reported",
    "paper": "as in published papers, settings are chosen on the split that is reported",
}


@dataclass(frozen=True)
class _Winner:
    """The winner, as the template shows it."""

    number: int
    cards: list[tuple[str, str]]
    caveats: list[str]
    settings: str
    confirmed: list[str]
    caution: str
    adapter: str
    table: Table


@dataclass(frozen=True)
class StudySections:
    """A study, as its template shows it; from top to bottom."""

    title: str
    about: str
    notes: list[str]
    winner: _Winner | None
    language: LanguageSection | None
    baselines: Panel
    front: list[Panel]
    history: Panel
    settings: list[Panel]
    about_slices: str
    slices: list[Panel]
    figures: list[Panel]
    timeline: Panel
    rungs: Table | None
    rung_lines: list[str]
    stopped: Table
    reasons: list[str]
    trials: Table
    styles: list[str]
    made_with: str


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
    return rendered(study_sections(StudyNumbers(page)))


def rendered(study: StudySections) -> str:
    """Return the page as HTML, from what stands on it."""
    return render("study.html", title=study.title, study=study)


def study_sections(found: StudyNumbers) -> StudySections:
    """Return what stands on a study's page."""
    page = found.table
    trials, stops = trials_table(page), stopped_trials(page)
    styles = ["winner" if row["trial"] == found.winner else row["state"] for row in trials.rows]
    return StudySections(
        title=page.runs.space.name,
        about=_about(page),
        notes=_notes(page),
        winner=_winner(page, found.rows),
        language=language_section(page.winner_run),
        baselines=panels.standings_panel(found),
        front=front_panels(page),
        history=panels.history_panel(found),
        settings=[panels.parallel_panel(found), panels.importance_panel(found)],
        about_slices=(
            f"Validation {page.shown_metric} of the complete trials, all on one scale: from blue "
            "(the first trial) to orange (the last); the winner is a green star."
        ),
        slices=panels.slice_panels(found),
        figures=[
            panels.contour_panel(found),
            panels.ranks_panel(found),
            panels.curves_panel(found),
            panels.expected_panel(found),
        ],
        timeline=panels.timeline_panel(found),
        rungs=rungs_table(page.climb, page.shown_metric) if page.climb else None,
        rung_lines=rung_lines(page.climb) if page.climb else [],
        stopped=stops_table(stops, page.runs.space.training.evaluations, page.metric),
        reasons=stop_lines(stops),
        trials=trials,
        styles=styles,
        made_with=_made_with(page),
    )


def _about(page: StudyTable) -> str:
    space = page.runs.space
    counts = Counter(trial.state.name for trial in page.trials)
    state_counts = ", ".join(
        f"{counts[key]} {style.word}" for key, style in STATE_STYLES.items() if counts[key]
    )
    return (
        f"Task {space.task}, model {space.model.name_or_path}, protocol "
        f"{_protocol(space.protocol)}. {len(page.trials)} trials: {state_counts or 'none yet'}."
    )


def _notes(page: StudyTable) -> list[str]:
    """Return what a reader must know before the numbers."""
    notes = []
    states = [trial.state.name for trial in page.trials]
    ended = sum(state not in ("RUNNING", "WAITING") for state in states)
    planned = page.runs.space.trials
    if ended < len(states) or (planned and len(states) < planned):
        of = f" of {planned}" if planned else ""
        notes.append(
            f"The study is not finished: {len(states) - states.count('WAITING')}{of} trials were "
            f"started, {ended} of them ended. This page shows the results so far."
        )
    ran = [(trial.state.name, scores_by_seed(trial)) for trial in page.trials]
    lines = page.warm_start, given_line(givers(page.trials)), seeds_line(ran, page.space)
    notes += filter(None, lines)
    if without := _without_record(page):
        notes.append(
            f"Records that are missing or cannot be read: {', '.join(without)}. Trials among them "
            "keep state and score; what only a record holds is blank."
        )
    if page.confirmed is not None and page.confirmed.trial is None and page.confirmed.candidates:
        notes += winner_lines(page.confirmed, page.shown_metric)[:1]
    elif page.winner is None and page.climb is not None and not page.climb.is_complete:
        notes.append("The winner is chosen among whole runs, and these have not ended yet.")
    elif page.winner is None and page.outcomes:
        why = all_infeasible(page.outcomes, page.runs.space)
        notes.append(f"There is no winner: {why}.")
    elif page.winner is None:
        notes.append("No trial is complete yet, so there is no winner.")
    return notes


def _without_record(page: StudyTable) -> list[str]:
    """Return the folders whose record is broken, or is not there though its trial was scored."""
    scored = (trial.number for trial in page.trials if trial.state.name in ("COMPLETE", "PRUNED"))
    missing = (f"{number:05d}" for number in scored if number not in page.runs.trials)
    return sorted({*page.runs.unreadable, *missing})


def _protocol(name: str) -> str:
    meaning = _PROTOCOLS.get(name)
    return f"{name} ({meaning})" if meaning else name


def _cards(page: StudyTable, rows: Sequence[Standing]) -> list[tuple[str, str]]:
    ours, record = rows[0], page.winner_run.record if page.winner_run else None
    sizes = record.sizes if record else {}
    plain = record is None or serves_plain_lora(record)
    chosen_by = f"winner, validation {page.shown_metric} (chosen by)"
    if are_of_fresh_seeds(page):
        chosen_by = f"winner, mean validation {page.shown_metric} of fresh seeds"
    tested = score_line(ours, page.metric, sizes.get("test"), page.runs.space.protocol)
    return [
        (level(ours.validation, page.metric), chosen_by),
        (
            level(ours.test.estimate, page.metric),
            tested if page.confirmed is None else mean_line(ours, page.metric),
        ),
        *((gap_value(row, page.metric), gap_line(row, page.metric)) for row in rows[1:]),
        (
            count(count_of(record, "compressed_adapter")),
            f"adapter parameters, {'compressed' if plain else 'as trained'}",
        ),
    ]


def _winner(page: StudyTable, rows: Sequence[Standing]) -> _Winner | None:
    if page.winner is None:
        return None
    settings = ", ".join(f"{name} = {setting(value)}" for name, value in page.winner.params.items())
    where = page.winner_run.folder if page.winner_run else page.runs.folder
    return _Winner(
        number=page.winner.number,
        cards=_cards(page, rows),
        caveats=_caveats(page),
        settings=settings,
        confirmed=winner_lines(page.confirmed, page.shown_metric) if page.confirmed else [],
        caution=_caution(page),
        adapter=str(where / "adapter"),
        table=size_table(page),
    )


def _caution(page: StudyTable) -> str:
    """Say what selection did to the winner's scores, and what a constant answer scores."""
    scores = len(page.standing_outcomes)
    is_paper = page.runs.space.protocol == "paper"
    if page.confirmed is not None:
        said = (
            "With protocol paper the settings were chosen on the sentences of the test split."
            if is_paper
            else "The test split played no part in any choice."
        )
    else:
        said = (
            f"It was chosen among {scores} scores on the validation split, so its score there is "
            "too high by some; "
        )
        said += (
            "with protocol paper the test split is the same one, so that score is too."
            if is_paper
            else "the test split played no part in the choice."
        )
    records = [page.winner_run.record] if page.winner_run else []
    if line := constant_line(records, page.metric):
        said += f" {line}"
    return said


def _caveats(page: StudyTable) -> list[str]:
    if page.confirmed is not None:
        remarks = fresh_caveats(page.confirmed)
    else:
        scores = rivals(page.standing_outcomes, page.runs.space)
        reference = page.runs.reference.record if page.runs.reference else None
        others = {name: run.record for name, run in page.runs.references.items()}
        remarks = caveats(scores, reference, page.metric, others)
    if page.winner:
        found = winner_edges(page.runs.space, page.winner.params)
        remarks += [edge_line(edge) for edge in found]
    if page.winner_run:
        remarks += [f"Health flag {flag}." for flag in page.winner_run.record.flags]
    return remarks


def _made_with(page: StudyTable) -> str:
    record = next((run.record for run in page.runs.trials.values()), None)
    if record is None:
        return ""
    commit = record.commit or "not run from a checkout"
    dirty = " with uncommitted changes" if record.dirty else ""
    return (
        f"Commit {commit}{dirty}. Data sha256 {record.data_hash[:16]}. "
        f"{record.device}, {threads(record)} per trial. {versions(record)}."
    )
