"""A study's figures for papers: SVG and PDF, from the same numbers as those of its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...analysis import StudyTable, score_of
from ...stats import expected_best
from ...store import RankGrid, rank_grid
from .curves import STATES, Curve, learning_curves
from .paper import Draw, save_figure
from .style import COLOURS
from .suite import scale, score_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DASHES = {"COMPLETE": "-", "PRUNED": ":", "FAIL": "--", "RUNNING": "-."}


def write_study_figures(table: StudyTable, folder: Path) -> list[Path]:
    """Write the figures that there is something to draw of, and return their paths.

    Args:
        table: The study.
        folder: Where they go; made if absent.
    """
    return [
        path
        for stem, (size, draw) in _drawings(table).items()
        for path in save_figure(draw, size, folder / stem)
    ]


def _drawings(table: StudyTable) -> Mapping[str, tuple[tuple[float, float], Draw]]:
    drawings: dict[str, tuple[tuple[float, float], Draw]] = {}
    records = {number: run.record for number, run in table.runs.trials.items()}
    best = table.winner.number if table.winner else None
    if curves := learning_curves(records, table.states, table.metric):
        drawings["learning-curves"] = (5.5, 3.4), lambda f: _curves(f, curves, table.metric, best)
    scores = [score for trial in table.trials if (score := score_of(trial)) is not None]
    if len(scores) > 1:
        expected = expected_best(scores)
        drawings["expected-best-score"] = (4.8, 3.2), lambda f: _expected(f, expected, table.metric)
    winner = table.winner_run.record if table.winner_run else None
    if winner is not None and winner.rank_pattern:
        pattern = rank_grid(winner.rank_pattern)
        drawings["rank-pattern"] = (3.6, 2.8), lambda f: _ranks(f, pattern)
    return drawings


def _curves(figure: Figure, curves: Sequence[Curve], metric: str, winner: int | None) -> None:
    axis, factor, named = figure.subplots(), scale(metric), set()
    for curve in sorted(curves, key=lambda item: item.number == winner):
        won = curve.number == winner
        name = f"winner (trial {winner})" if won else STATES[curve.state]
        axis.plot(
            curve.steps,
            [factor * score for score in curve.scores],
            label=None if name in named else name,
            color=COLOURS[1] if won else COLOURS[0],
            linestyle=_DASHES[curve.state],
            linewidth=2 if won else 1,
            marker="o",
            markersize=3,
        )
        named.add(name)
    axis.set(xlabel="optimiser step", ylabel=_validation(metric))
    axis.legend(fontsize=7)


def _expected(figure: Figure, expected: Sequence[float], metric: str) -> None:
    axis, factor = figure.subplots(), scale(metric)
    trials = range(1, len(expected) + 1)
    axis.plot(trials, [factor * value for value in expected], marker="o", markersize=3)
    axis.set(xlabel="trials", ylabel=f"expected best {_validation(metric)}")


def _ranks(figure: Figure, pattern: RankGrid) -> None:
    axis = figure.subplots()
    values = [[float("nan") if rank is None else rank for rank in row] for row in pattern.ranks]
    image = axis.imshow(values, cmap="Blues", vmin=0, aspect="auto")
    axis.set_xticks(range(len(pattern.kinds)), pattern.kinds, rotation=90, fontsize=6)
    axis.set_yticks(range(len(pattern.layers)), [str(layer) for layer in pattern.layers])
    axis.set_ylabel("block")
    figure.colorbar(image, ax=axis, label="kept rank")


def _validation(metric: str) -> str:
    return f"validation {score_title(metric).removeprefix('test ')}"
