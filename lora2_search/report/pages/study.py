"""One self-contained HTML page of a study: no request leaves it, plotly stands in it once."""

from __future__ import annotations

from collections import Counter
from html import escape
from pathlib import Path

from ...analysis import Run, StudyTable, caveats, edges, read_study_table, setting, value_of
from ...stats import expected_best
from ...store import PAGE_FILE, rank_grid, write_text
from ..figures.curves import STATES, draw_learning_curves, draw_rank_grid, learning_curves
from ..figures.optuna import Panel, history_panel, importance_panel, slice_panels
from ..figures.suite import draw_expected_best
from ..tables.study import count_of, trial_rows, winner_rows
from ..tables.text import level, signed
from ..words.constant import constant_line
from .document import cards, document, figure, grid, html_table

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
    sections = [
        _head(page),
        _cards(page),
        _winner(page),
        figure(history_panel(page.study, page.metric)),
        _slices(page),
        figure(importance_panel(page.study, page.metric)),
        figure(_trials_panel(page)),
        figure(_curves_panel(page)),
        figure(_ranks_panel(page)),
        _table(page),
        _footer(page),
    ]
    return document(page.runs.space.name, sections)


def _head(page: StudyTable) -> str:
    space = page.runs.space
    counts = Counter(trial.state.name for trial in page.trials)
    state_counts = ", ".join(f"{counts[key]} {word}" for key, word in STATES.items() if counts[key])
    html = (
        f"<h1>{escape(space.name)}</h1><p class='soft'>Task {escape(space.task)}, model "
        f"{escape(space.model.name_or_path)}, protocol {escape(_protocol(space.protocol))}. "
        f"{len(page.trials)} trials: {state_counts or 'none yet'}.</p>"
    )
    planned = space.trials
    if counts["RUNNING"] or (planned and len(page.trials) < planned):
        of = f" of {planned}" if planned else ""
        html += (
            f"<p class='note'>The study is not finished: {len(page.trials)}{of} trials were "
            f"started, {len(page.trials) - counts['RUNNING']} have ended. "
            "This page shows the results so far.</p>"
        )
    if page.runs.unreadable:
        broken = escape(", ".join(page.runs.unreadable))
        html += f"<p class='note'>Records that cannot be read, left out: {broken}.</p>"
    return html


def _protocol(name: str) -> str:
    meaning = _PROTOCOLS.get(name)
    return f"{name} ({meaning})" if meaning else name


def _cards(page: StudyTable) -> str:
    if page.winner is None:
        return "<p class='note'>No trial is complete yet, so there is no winner.</p>"
    record = page.winner_run.record if page.winner_run else None
    ours = value_of(record, "test", page.metric)
    size = (record.sizes if record else {}).get("test")
    where = f"{size:,} test sentences" if size else "the test sentences"
    shown = [
        (
            level(page.winner.value, page.metric),
            f"winner, validation {page.shown_metric} (chosen on)",
        ),
        (level(ours, page.metric), f"winner, {where} (only reported)"),
        *(card for name, run in _beside(page).items() for card in _against(page, ours, name, run)),
        (count_of(record, "compressed_adapter"), "adapter parameters, compressed"),
    ]
    return cards(shown)


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


def _winner(page: StudyTable) -> str:
    if page.winner is None:
        return ""
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
    return (
        f"<h2>Winner: trial {page.winner.number}</h2>{_caveats(page)}"
        f"<p><code>{escape(settings)}</code></p>"
        f"<p class='soft'>{escape(optimistic)} Its adapter is in "
        f"<code>{escape(str(where / 'adapter'))}</code>.</p>{html_table(winner_rows(page))}"
    )


def _caveats(page: StudyTable) -> str:
    scores = {t.number: t.value for t in page.trials if t.state.name == "COMPLETE"}
    reference = page.runs.reference.record if page.runs.reference else None
    others = {name: run.record for name, run in page.runs.references.items()}
    remarks = caveats(scores, reference, page.metric, others)
    remarks += edges(page.runs.space, page.winner.params) if page.winner else []
    if page.winner_run:
        remarks += [f"Health flag {flag}." for flag in page.winner_run.record.flags]
    return "".join(f"<p class='note'>{escape(line)}</p>" for line in remarks)


def _slices(page: StudyTable) -> str:
    panels = slice_panels(page.study, page.metric)
    text = f"Validation {page.metric} of the complete trials; from blue (early) to orange (late)."
    return grid("Score against each setting", text, panels, 320)


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
    scores = [t.value for t in page.trials if t.state.name == "COMPLETE" and t.value is not None]
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


def _table(page: StudyTable) -> str:
    rows = trial_rows(page)
    styles = []
    for row in rows:
        winner = page.winner is not None and row["trial"] == str(page.winner.number)
        styles.append("winner" if winner else row["state"])
    return f"<h2>Trials</h2>{html_table(rows, styles)}"


def _footer(page: StudyTable) -> str:
    record = next((run.record for run in page.runs.trials.values()), None)
    if record is None:
        return ""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(record.versions.items()))
    commit = record.commit or "not run from a checkout"
    dirty = " with uncommitted changes" if record.dirty else ""
    return (
        f"<footer>Commit {escape(commit)}{dirty}. Data sha256 {escape(record.data_hash[:16])}. "
        f"{escape(record.device)}, {record.threads} thread(s) a trial. {escape(versions)}.</footer>"
    )
