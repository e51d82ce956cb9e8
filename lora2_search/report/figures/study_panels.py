"""The figures of a study's page, each with what it shows, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Sequence

from ...analysis import (
    Importances,
    Standing,
    StudyTable,
    importances,
    parallel_lines,
    score_of,
    setting_axes,
    setting_slice,
    timeline,
    top_contour,
    trial_history,
)
from ...stats import expected_best
from ...store import rank_grid
from ..tables import trials as tables
from .panel import Panel
from .ranges import score_range
from .settings import (
    MOST_LINES,
    draw_contour,
    draw_importances,
    draw_parallel,
    draw_rank_grid,
    draw_slice,
)
from .standings import draw_standings
from .suite import draw_expected_best
from .trials import draw_history, draw_learning_curves, draw_timeline, learning_curves

_FEW = 20


def standings_panel(rows: Sequence[Standing], page: StudyTable) -> Panel:
    """Show the winner against its baselines."""
    title = "Winner against baselines"
    if not rows:
        return Panel(title, "No trial is complete yet.")
    text = (
        "Squares: test scores with 95 % intervals over new sentences of the same kind, for these "
        "trained models. They do not cover other seeds: each run has one. Circles: validation "
        "scores, by which the winner was chosen."
    )
    if page.confirmed is not None:
        text = (
            "Squares: mean test scores with 95 % intervals over new seeds, on the same sentences. "
            "Circles: mean validation scores of the same runs. Nothing was chosen on these seeds."
        )
    table = tables.standings_table(rows, page.metric, page.shown_metric)
    return Panel(title, text, draw_standings(rows, page.metric), table)


def history_panel(page: StudyTable) -> Panel:
    """Show every trial's score and the best so far."""
    points = trial_history(page.trials)
    if not points:
        return Panel("History", "No trial has begun yet.")
    text = (
        f"Validation {page.shown_metric} by trial. Pruned and failed trials stand at their last "
        "evaluation; they cannot win."
    )
    if any(point.score is None for point in points):
        text += " Those that were never evaluated stand at the bottom."
    return Panel(
        "History",
        text,
        draw_history(points, page.metric, _number(page)),
        tables.history_table(points, page.metric),
    )


def parallel_panel(page: StudyTable) -> Panel:
    """Show each trial as a line through its settings."""
    title, axes = "Settings of all trials", setting_axes(page)
    lines = parallel_lines(page, axes)
    if not any(line.score is not None for line in lines):
        return Panel(title, "No trial is complete yet.")
    text = (
        "Each line is a trial, from its settings at the top to its score at the bottom: blue is "
        "low, orange high, the winner green. Dotted grey lines were pruned and have no score. The "
        "table of trials holds the numbers."
    )
    if len(lines) > MOST_LINES:
        text += f" The best {MOST_LINES} of {len(lines)} trials are drawn."
    return Panel(title, text, draw_parallel(lines, axes, page.metric, _number(page)))


def slice_panels(page: StudyTable) -> list[Panel]:
    """Show the score against each searched setting: all on one scale of scores and of colours."""
    slices = {axis: setting_slice(page, axis) for axis in setting_axes(page)}
    scores = [point.score for points in slices.values() for point in points]
    if not scores:
        return []
    ends, last = score_range(scores, page.metric), max(trial.number for trial in page.trials)
    return [
        Panel(
            axis.name,
            f"Validation {page.metric} against {axis.name}.",
            draw_slice(points, axis, page.metric, ends, _number(page), last),
        )
        for axis, points in slices.items()
    ]


def importance_panel(page: StudyTable, found: Importances | None = None) -> Panel:
    """Show how much of the variation of the score each setting explains (fANOVA)."""
    title = "Importances"
    found = importances(page.study) if found is None else found
    if not found.shares:
        return Panel(title, importance_gap(found))
    text = (
        f"Share of the variation of validation {page.metric} that each setting explains (fANOVA, "
        f"over {found.trials} complete trials; settings that not every trial has are left out)."
    )
    if found.trials < _FEW:
        text += " With so few trials, read the order as a hint."
    drawn = draw_importances(found.shares)
    return Panel(title, text, drawn, tables.importances_table(found.shares))


def importance_gap(found: Importances) -> str:
    """Return why there are no importances."""
    if found.missing:
        verb = "is" if found.trials == 1 else "are"
        more = "one more is" if found.missing == 1 else f"{found.missing} more are"
        return (
            f"Importances need at least {found.trials + found.missing} complete trials; there "
            f"{verb} {found.trials}, so {more} needed."
        )
    if len(found.varied) < 2:
        return (
            "Importances compare settings with one another, and fewer than two settings vary over "
            f"all complete trials ({', '.join(found.varied) or 'none'})."
        )
    return "All complete trials score the same: no setting can be shown to matter."


def contour_panel(page: StudyTable, found: Importances) -> Panel:
    """Show the score over the two most important settings."""
    title = "The two most important settings"
    if len(found.shares) < 2:
        return Panel(title, "Importances are not known, so neither are the two settings.")
    surface = top_contour(page, found)
    if surface is None:
        return Panel(title, "The complete trials lie in one line, or are fewer than four.")
    text = (
        f"Validation {page.metric}, interpolated between the complete trials (dots; the winner is "
        "a star). Nothing is drawn where no trial lies around it."
    )
    drawn = draw_contour(surface, page.metric, _number(page))
    return Panel(title, text, drawn, tables.contour_table(surface, page.metric))


def timeline_panel(page: StudyTable) -> Panel:
    """Show when each run was trained."""
    title, spans = "Timeline", timeline(page)
    if not spans:
        return Panel(title, "No run has a recorded start.")
    text = (
        "When each run was trained, pauses included; the winner is green. A worker is a place "
        "among the runs at one time: which process it was is not recorded."
    )
    return Panel(title, text, draw_timeline(spans, _number(page)), tables.timeline_table(spans))


def curves_panel(page: StudyTable) -> Panel:
    """Show validation scores through training."""
    title = "Learning curves"
    records = {number: run.record for number, run in page.runs.trials.items()}
    curves = learning_curves(records, page.states, page.metric)
    if not curves:
        return Panel(title, "No trial was evaluated yet.")
    text = f"Validation {page.metric} through training; click a name to hide its trials."
    drawn = draw_learning_curves(curves, page.metric, _number(page))
    return Panel(title, text, drawn, tables.curves_table(curves, page.metric))


def expected_panel(page: StudyTable) -> Panel:
    """Show what a smaller budget would have found."""
    title = "Expected best score against trials"
    scores = [score for trial in page.trials if (score := score_of(trial)) is not None]
    if len(scores) < 2:
        return Panel(title, "Fewer than two trials are complete.")
    text = (
        "What a smaller budget would have found on average, if trials are drawn as these were "
        "(Dodge et al. 2019). Trials that were stopped early have no score and are left out, so "
        "the more of them there were, the more the curve favours a small budget."
    )
    expected = expected_best(scores)
    drawn = draw_expected_best({"this study": expected}, page.metric)
    return Panel(title, text, drawn, tables.expected_table(expected, page.metric))


def ranks_panel(page: StudyTable) -> Panel:
    """Show the winner's kept ranks."""
    title = "The winner's rank pattern"
    record = page.winner_run.record if page.winner_run else None
    if record is None or not record.rank_pattern:
        return Panel(title, "There is no winner with ranks to show (plain LoRA prunes none).")
    highest = starting_rank(page)
    text = f"Singular values kept of {highest}, by kind of module and block."
    grid = rank_grid(record.rank_pattern)
    return Panel(title, text, draw_rank_grid(grid, highest), tables.rank_grid_table(grid))


def starting_rank(page: StudyTable) -> int:
    """Return the rank that the winner's matrices started from."""
    record = page.winner_run.record if page.winner_run else None
    if record is None:
        return 1
    started = int((record.config.get("adapter") or {}).get("r") or 0)
    return max([started, *record.rank_pattern.values()]) or 1


def _number(page: StudyTable) -> int | None:
    return page.winner.number if page.winner else None
