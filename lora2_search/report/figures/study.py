"""A study's figures for papers: SVG and PDF, from the same numbers as those of its page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...analysis import (
    Importances,
    Standing,
    StudyTable,
    importances,
    parallel_lines,
    score_of,
    setting_axes,
    setting_slice,
    standings,
    timeline,
    top_contour,
    trial_history,
)
from ...stats import expected_best
from ...store import rank_grid
from .paper import Draw, save_figure
from .ranges import validation_title
from .settings import (
    print_contour,
    print_importances,
    print_parallel,
    print_rank_grid,
    print_slices,
)
from .standings import print_standings
from .study_panels import starting_rank
from .suite import scale
from .trials import learning_curves, print_history, print_learning_curves, print_timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_Drawings = dict[str, tuple[tuple[float, float], Draw]]


def write_study_figures(
    table: StudyTable,
    folder: Path,
    rows: Sequence[Standing] | None = None,
    shares: Importances | None = None,
) -> list[Path]:
    """Write the figures that there is something to draw of, and return their paths.

    Args:
        table: The study.
        folder: Where they go; made if absent.
        rows: The winner and its baselines, where they are known already.
        shares: The importances, where they are known already.
    """
    rows = standings(table) if rows is None else rows
    shares = importances(table.study) if shares is None else shares
    drawings = {**_of_trials(table, rows), **_of_settings(table, shares)}
    return [
        path
        for stem, (size, draw) in drawings.items()
        for path in save_figure(draw, size, folder / stem)
    ]


def _of_trials(table: StudyTable, rows: Sequence[Standing]) -> _Drawings:
    metric, drawings = table.metric, _Drawings()
    best = table.winner.number if table.winner else None
    if rows:
        size = (5.5, 0.9 + 0.32 * len(rows))
        drawings["baselines"] = size, partial(print_standings, rows=rows, metric=metric)
    if points := trial_history(table.trials):
        draw: Draw = partial(print_history, points=points, metric=metric, winner=best)
        drawings["history"] = (5.5, 3.4), draw
    if spans := timeline(table):
        size = (6.5, 1.0 + 0.3 * len({span.worker for span in spans}))
        drawings["timeline"] = size, partial(print_timeline, spans=spans, winner=best)
    records = {number: run.record for number, run in table.runs.trials.items()}
    if curves := learning_curves(records, table.states, metric):
        draw = partial(print_learning_curves, curves=curves, metric=metric, winner=best)
        drawings["learning-curves"] = (5.5, 3.6), draw
    scores = [score for trial in table.trials if (score := score_of(trial)) is not None]
    if len(scores) > 1:
        draw = partial(_expected, expected=expected_best(scores), metric=metric)
        drawings["expected-best-score"] = (4.8, 3.2), draw
    return drawings


def _of_settings(table: StudyTable, shares: Importances) -> _Drawings:
    metric, drawings = table.metric, _Drawings()
    best = table.winner.number if table.winner else None
    axes = setting_axes(table)
    slices = {axis: found for axis in axes if (found := setting_slice(table, axis))}
    if slices:
        last = max(trial.number for trial in table.trials)
        size = (2.3 * min(3, len(slices)) + 0.8, 2.3 * -(-len(slices) // 3))
        draw: Draw = partial(print_slices, slices=slices, metric=metric, winner=best, last=last)
        drawings["slices"] = size, draw
        lines = parallel_lines(table, axes)
        size = (5.5, 0.7 * (len(axes) + 1))
        draw = partial(print_parallel, lines=lines, axes=axes, metric=metric, winner=best)
        drawings["parallel"] = size, draw
    if shares.shares:
        size = (4.8, 0.8 + 0.3 * len(shares.shares))
        drawings["importances"] = size, partial(print_importances, shares=shares.shares)
    surface = top_contour(table, shares)
    if surface is not None:
        draw = partial(print_contour, found=surface, metric=metric, winner=best)
        drawings["contour"] = (4.8, 3.4), draw
    winner = table.winner_run.record if table.winner_run else None
    if winner is not None and winner.rank_pattern:
        grid = rank_grid(winner.rank_pattern)
        size = (2.4 + 0.3 * len(grid.layers), 1.0 + 0.25 * len(grid.kinds))
        draw = partial(print_rank_grid, grid=grid, highest=starting_rank(table))
        drawings["rank-pattern"] = size, draw
    return drawings


def _expected(figure: Figure, expected: Sequence[float], metric: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axis, factor = figure.subplots(), scale(metric)
    trials = range(1, len(expected) + 1)
    axis.plot(trials, [factor * value for value in expected], marker="o", markersize=3)
    axis.set(xlabel="trials", ylabel=f"expected best {validation_title(metric)}")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
