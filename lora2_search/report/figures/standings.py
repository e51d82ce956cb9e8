"""A study's winner against its baselines as a figure, for the page and for papers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...analysis import Standing
from .drawing import Drawing
from .ranges import score_range
from .style import COLOURS, GREY, WINNER_COLOUR, plotly_text, row_layout
from .suite import scale, score_title

if TYPE_CHECKING:
    import matplotlib.figure

    from ..words.study import ScoreNames


def draw_standings(rows: Sequence[Standing], metric: str, names: ScoreNames) -> Drawing:
    """Draw test scores with their intervals, and validation scores beside them.

    Args:
        rows: The winner first.
        metric: The objective.
        names: What either kind of score is.
    """
    figure, factor = Drawing(), scale(metric)
    tested = [row for row in rows if row.test.estimate is not None]
    reaches = [_reach(row, factor) for row in tested]
    figure.add(
        "scatter",
        x=[factor * (row.test.estimate or 0.0) for row in tested],
        y=[plotly_text(row.name) for row in tested],
        error_x={
            "type": "data",
            "array": [reach[1] for reach in reaches],
            "arrayminus": [reach[0] for reach in reaches],
            "thickness": 2,
            "color": GREY,
        },
        mode="markers",
        name=names.test,
        marker={"color": [_colour(row) for row in tested], "size": 11, "symbol": "square"},
        hovertemplate="%{y}: %{x:.4~f}<extra></extra>",
    )
    chosen = [row for row in rows if row.validation is not None]
    figure.add(
        "scatter",
        x=[factor * (row.validation or 0.0) for row in chosen],
        y=[plotly_text(row.name) for row in chosen],
        mode="markers",
        name=names.validation,
        marker={"color": GREY, "size": 9, "symbol": "circle-open"},
        hovertemplate="%{y}, validation: %{x:.4~f}<extra></extra>",
    )
    low, high = _range(rows, metric)
    figure.set_layout(
        xaxis={"title": score_title(metric).removeprefix("test "), "range": [low, high]},
        **row_layout([plotly_text(row.name) for row in rows]),
    )
    return figure


def print_standings(
    figure: matplotlib.figure.Figure, rows: Sequence[Standing], metric: str
) -> None:
    """Draw the same for a paper."""
    axis, factor = figure.subplots(), scale(metric)
    for place, row in enumerate(rows):
        if row.test.estimate is not None:
            below, above = _reach(row, factor)
            axis.errorbar(
                factor * row.test.estimate,
                place,
                xerr=[[below], [above]],
                fmt="s",
                color=_colour(row),
                capsize=3,
            )
        if row.validation is not None:
            axis.plot(factor * row.validation, place, "o", color=GREY, markerfacecolor="none")
    axis.set_yticks(range(len(rows)), [row.name for row in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlim(*_range(rows, metric))
    axis.set_xlabel(f"{score_title(metric)} with 95 % interval; circles: validation")


def _colour(row: Standing) -> str:
    return WINNER_COLOUR if row.name == "winner" else COLOURS[0]


def _reach(row: Standing, factor: float) -> tuple[float, float]:
    test = row.test
    if test.estimate is None or test.low is None or test.high is None:
        return 0.0, 0.0
    below, above = test.estimate - test.low, test.high - test.estimate
    # A percentile interval may leave its estimate out by a hair.
    return factor * max(below, 0.0), factor * max(above, 0.0)


def _range(rows: Sequence[Standing], metric: str) -> tuple[float, float]:
    values = [
        value
        for row in rows
        for value in (row.validation, row.test.estimate, row.test.low, row.test.high)
        if value is not None
    ]
    low, high = score_range(values or [0.5], metric)
    return scale(metric) * low, scale(metric) * high
