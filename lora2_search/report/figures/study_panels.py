"""The figures of a study's page, each with what it shows, or the reason why there is none."""

from __future__ import annotations

from ...analysis import Importances
from ..tables import trials as tables
from ..words.study import score_names, standings_text
from .panel import Panel, drawn_keys
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
from .study_numbers import StudyNumbers
from .suite import draw_expected_best
from .trials import draw_history, draw_learning_curves, draw_timeline

_FEW = 20


def standings_panel(found: StudyNumbers) -> Panel:
    """Show the winner against its baselines."""
    title = "Winner against baselines"
    if not found.rows:
        return Panel(title, "No trial is complete yet.")
    table = tables.standings_table(found.rows, found.metric, found.table.shown_metric)
    drawn = draw_standings(found.rows, found.metric, score_names(found.table))
    return Panel(title, standings_text(found.table), drawn, table, drawn_keys(drawn))


def history_panel(found: StudyNumbers) -> Panel:
    """Show every trial's score and the best so far."""
    points = found.history
    if not points:
        return Panel("History", "No trial has begun yet.")
    text = (
        f"Validation {found.table.shown_metric} by trial. Pruned and failed trials stand at their "
        "last evaluation; they cannot win."
    )
    if any(point.score is None for point in points):
        text += " Those that were never evaluated stand at the bottom."
    drawn = draw_history(points, found.metric, found.winner)
    table = tables.history_table(points, found.metric)
    return Panel("History", text, drawn, table, drawn_keys(drawn))


def parallel_panel(found: StudyNumbers) -> Panel:
    """Show each trial as a line through its settings."""
    title, axes, lines = "Settings of all trials", found.parallel_axes, found.lines
    if not any(line.score is not None for line in lines):
        return Panel(title, "No trial is complete yet.")
    text = (
        "Each line is a trial, from its settings at the top to its score at the bottom: blue is "
        "low, orange high, the winner green. Dotted grey lines were pruned and have no score. The "
        "table of trials holds the numbers."
    )
    if len(axes) < len(found.axes):
        which = "that explain most of the score" if found.importances.shares else "first searched"
        text += f" Of {len(found.axes)} settings the {len(axes)} {which} are drawn."
    if len(lines) > MOST_LINES:
        text += f" The best {MOST_LINES} of {len(lines)} trials are drawn."
    return Panel(title, text, draw_parallel(lines, axes, found.metric, found.winner))


def slice_panels(found: StudyNumbers) -> list[Panel]:
    """Show the score against each searched setting: all on one scale of scores and of colours."""
    scores = [point.score for points in found.slices.values() for point in points]
    if not scores:
        return []
    ends = score_range(scores, found.metric)
    return [
        Panel(
            axis.name,
            f"Validation {found.metric} against {axis.name}.",
            draw_slice(points, axis, found.metric, ends, found.winner, found.last),
        )
        for axis, points in found.slices.items()
    ]


def importance_panel(found: StudyNumbers) -> Panel:
    """Show how much of the variation of the score each setting explains (fANOVA)."""
    title, known = "Importances", found.importances
    if not known.shares:
        return Panel(title, importance_gap(known))
    text = (
        f"Share of the variation of validation {found.metric} that each setting explains (fANOVA, "
        f"over {known.trials} complete trials; settings that not every trial has are left out)."
    )
    if known.trials < _FEW:
        text += " With so few trials, read the order as a hint."
    drawn = draw_importances(known.shares)
    return Panel(title, text, drawn, tables.importances_table(known.shares))


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


def contour_panel(found: StudyNumbers) -> Panel:
    """Show the score over the two most important settings."""
    title = "The two most important settings"
    if len(found.importances.shares) < 2:
        return Panel(title, "Importances are not known, so neither are the two settings.")
    surface = found.contour
    if surface is None:
        return Panel(title, "The complete trials lie in one line, or are fewer than four.")
    text = (
        f"Validation {found.metric}, interpolated between the complete trials (dots; the winner is "
        "a star). Nothing is drawn where no trial lies around it."
    )
    drawn = draw_contour(surface, found.metric, found.winner)
    return Panel(title, text, drawn, tables.contour_table(surface, found.metric))


def timeline_panel(found: StudyNumbers) -> Panel:
    """Show when each run was trained."""
    title, spans = "Timeline", found.spans
    if not spans:
        return Panel(title, "No run has a recorded start.")
    text = (
        "When each run was trained, pauses included; the winner is green. A worker is a place "
        "among the runs at one time: which process it was is not recorded."
    )
    drawn = draw_timeline(spans, found.winner)
    return Panel(title, text, drawn, tables.timeline_table(spans), drawn_keys(drawn))


def curves_panel(found: StudyNumbers) -> Panel:
    """Show validation scores through training."""
    title, curves = "Learning curves", found.shown_curves
    if not curves:
        return Panel(title, "No trial was evaluated yet.")
    text = f"Validation {found.metric} through training. A name above the figure hides its trials."
    if len(curves) < len(found.curves):
        text += f" The best {len(curves)} of {len(found.curves)} trials are drawn."
    drawn = draw_learning_curves(curves, found.metric, found.winner)
    table = tables.curves_table(curves, found.metric)
    return Panel(title, text, drawn, table, drawn_keys(drawn))


def expected_panel(found: StudyNumbers) -> Panel:
    """Show what a smaller budget would have found."""
    title = "Expected best score against trials"
    if not found.expected:
        return Panel(title, "Fewer than two trials are complete.")
    text = (
        "What a smaller budget would have found on average, if trials are drawn as these were "
        "(Dodge et al. 2019). Trials that were stopped early have no score and are left out, so "
        "the more of them there were, the more the curve favours a small budget."
    )
    drawn = draw_expected_best({"this study": found.expected}, found.metric, ["this study"])
    return Panel(title, text, drawn, tables.expected_table(found.expected, found.metric))


def ranks_panel(found: StudyNumbers) -> Panel:
    """Show the winner's kept ranks."""
    title = "The winner's rank pattern"
    if found.ranks is None:
        return Panel(title, "There is no winner with ranks to show (plain LoRA prunes none).")
    highest = found.starting_rank
    text = f"Singular values kept of {highest}, by kind of module and block."
    drawn = draw_rank_grid(found.ranks, highest)
    return Panel(title, text, drawn, tables.rank_grid_table(found.ranks))
