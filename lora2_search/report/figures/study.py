"""A study's figures for papers: SVG and PDF, from the same numbers as those of its page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

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
from .study_numbers import StudyNumbers
from .suite import scale
from .trials import print_history, print_learning_curves, print_timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_Drawings = dict[str, tuple[tuple[float, float], Draw]]


def write_study_figures(found: StudyNumbers, folder: Path) -> list[Path]:
    """Write the figures that there is something to draw of, and return their paths.

    Args:
        found: The study's numbers.
        folder: Where they go; made if absent.
    """
    drawings = {**_of_trials(found), **_of_settings(found)}
    return [
        path
        for stem, (size, draw) in drawings.items()
        for path in save_figure(draw, size, folder / stem)
    ]


def _of_trials(found: StudyNumbers) -> _Drawings:
    metric, best, drawings = found.metric, found.winner, _Drawings()
    if found.rows:
        size = (5.5, 0.9 + 0.32 * len(found.rows))
        drawings["baselines"] = size, partial(print_standings, rows=found.rows, metric=metric)
    if found.history:
        draw: Draw = partial(print_history, points=found.history, metric=metric, winner=best)
        drawings["history"] = (5.5, 3.4), draw
    if found.spans:
        size = (6.5, 1.0 + 0.3 * len({span.worker for span in found.spans}))
        drawings["timeline"] = size, partial(print_timeline, spans=found.spans, winner=best)
    if found.curves:
        draw = partial(print_learning_curves, curves=found.shown_curves, metric=metric, winner=best)
        drawings["learning-curves"] = (5.5, 3.6), draw
    if found.expected:
        draw = partial(_expected, expected=found.expected, metric=metric)
        drawings["expected-best-score"] = (4.8, 3.2), draw
    return drawings


def _of_settings(found: StudyNumbers) -> _Drawings:
    metric, best, drawings = found.metric, found.winner, _Drawings()
    slices, axes, shares = found.slices, found.parallel_axes, found.importances.shares
    if slices:
        size = (2.3 * min(3, len(slices)) + 0.8, 2.3 * -(-len(slices) // 3))
        draw: Draw = partial(
            print_slices, slices=slices, metric=metric, winner=best, last=found.last
        )
        drawings["slices"] = size, draw
        size = (5.5, 0.7 * (len(axes) + 1))
        draw = partial(print_parallel, lines=found.lines, axes=axes, metric=metric, winner=best)
        drawings["parallel"] = size, draw
    if shares:
        size = (4.8, 0.8 + 0.3 * len(shares))
        drawings["importances"] = size, partial(print_importances, shares=shares)
    if found.contour is not None:
        draw = partial(print_contour, found=found.contour, metric=metric, winner=best)
        drawings["contour"] = (4.8, 3.4), draw
    if (grid := found.ranks) is not None:
        size = (2.4 + 0.3 * len(grid.layers), 1.0 + 0.25 * len(grid.kinds))
        draw = partial(print_rank_grid, grid=grid, highest=found.starting_rank)
        drawings["rank-pattern"] = size, draw
    return drawings


def _expected(figure: Figure, expected: Sequence[float], metric: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axis, factor = figure.subplots(), scale(metric)
    trials = range(1, len(expected) + 1)
    axis.plot(trials, [factor * value for value in expected], marker="o", markersize=3)
    axis.set(xlabel="trials", ylabel=f"expected best {validation_title(metric)}")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
