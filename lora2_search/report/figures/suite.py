"""A suite's figures for its page, drawn by plotly from numbers that other modules made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from ...analysis import Band, Cost, Interaction, reaches
from ..tables.text import in_points
from .axes import is_wide, log_axis, score_axis
from .drawing import Drawing
from .panel import drawn_keys
from .style import COLOURS, DASHES, SYMBOLS, Key, plotly_text


def scale(metric: str) -> float:
    """Return what a score is multiplied by to be drawn: accuracy in per cent."""
    return 100.0 if in_points(metric) else 1.0


def unit(metric: str) -> str:
    """Return an axis' title for differences of a metric."""
    return "difference in points" if in_points(metric) else f"difference of {metric}"


def score_title(metric: str) -> str:
    """Return an axis' title for a metric on the test split."""
    return f"test {metric}{', %' if in_points(metric) else ''}"


def draw_interaction(cells: Interaction, metric: str) -> Drawing:
    """Draw the score against the levels of one factor, one line per level of the other."""
    factor, figure = scale(metric), Drawing()
    first, second = cells.levels(0), cells.levels(1)
    for place, other in enumerate(second):
        levels = [level for level in first if (level, other) in cells.cells]
        tests = [cells.cells[level, other] for level in levels]
        figure.add(
            "scatter",
            x=list(map(plotly_text, levels)),
            y=[factor * (test.estimate or 0.0) for test in tests],
            error_y={
                "type": "data",
                "arrayminus": [factor * reaches(test)[0] for test in tests],
                "array": [factor * reaches(test)[1] for test in tests],
            },
            name=plotly_text(other),
            legendgroup=f"{cells.second}: {other}",
            **_style(place),
        )
    figure.set_layout(
        xaxis={"title": plotly_text(cells.first)},
        yaxis={"title": score_title(metric), **score_axis(metric)},
        showlegend=False,
    )
    return figure


def arm_keys(arms: Sequence[str], *figures: Drawing) -> tuple[Key, ...]:
    """Return the legend that figures of arms share, in the order of all ``arms`` of the suite."""
    keys = {key.name: key for figure in figures for key in drawn_keys(figure)}
    return tuple(keys[arm] for arm in arms if arm in keys)


def draw_bands(
    bands: Sequence[Band], title: str, metric: str | None, arms: Sequence[str]
) -> Drawing:
    """Draw a metric through training: the mean of each arm, and the range over its seeds.

    Args:
        bands: Of the arms.
        title: What the axis says.
        metric: The score that it is; ``None`` for what is no score.
        arms: All arms of the suite, in its order, by which each has its colour.
    """
    figure, factor = Drawing(), scale(metric) if metric else 1.0
    for band in bands:
        place = arms.index(band.arm)
        style = _style(place)
        figure.add(
            "scatter",
            x=[*band.steps, *reversed(band.steps)],
            y=[factor * value for value in (*band.high, *reversed(band.low))],
            mode="lines",
            fill="toself",
            fillcolor=_pale(place),
            line={"width": 0},
            hoverinfo="skip",
            legendgroup=band.arm,
        )
        figure.add(
            "scatter",
            x=band.steps,
            y=[factor * value for value in band.mean],
            name=band.arm,
            legendgroup=band.arm,
            hovertemplate=f"{band.arm}<br>step %{{x}}<br>%{{y:.4~g}}<extra></extra>",
            **style,
        )
    title = f"{title}, %" if metric and in_points(metric) else title
    limits = score_axis(metric) if metric else {}
    figure.set_layout(
        xaxis={"title": "optimiser step"}, yaxis={"title": title, **limits}, showlegend=False
    )
    return figure


def draw_costs(costs: Sequence[Cost], metric: str, arms: Sequence[str]) -> Drawing:
    """Draw mean score against compressed parameters, one point an arm of ``arms``."""
    factor, figure = scale(metric), Drawing()
    for item in costs:
        low = 0.0 if item.low is None else factor * (item.mean - item.low)
        high = 0.0 if item.high is None else factor * (item.high - item.mean)
        figure.add(
            "scatter",
            x=[item.parameters],
            y=[factor * item.mean],
            error_y={"type": "data", "array": [high], "arrayminus": [low]},
            mode="markers",
            name=item.arm,
            marker={**_style(arms.index(item.arm))["marker"], "size": 11},
            hovertemplate=f"{item.arm}<br>%{{x:,.0f}} parameters<br>%{{y:.2f}}<extra></extra>",
        )
    parameters = [item.parameters for item in costs]
    few: dict[str, object] = {"nticks": 6, "tickformat": ",.0f"}
    ticks = log_axis(parameters) if is_wide(parameters) else few
    figure.set_layout(
        xaxis={"title": "adapter parameters, compressed", **ticks},
        yaxis={"title": score_title(metric), **score_axis(metric)},
        showlegend=False,
    )
    return figure


def draw_expected_best(
    curves: Mapping[str, Sequence[float]], metric: str, arms: Sequence[str]
) -> Drawing:
    """Draw the expected best validation score against the number of trials, by arm of ``arms``."""
    factor, figure = scale(metric), Drawing()
    for name, values in curves.items():
        trials, style = list(range(1, len(values) + 1)), _style(arms.index(name))
        figure.add("scatter", x=trials, y=[factor * v for v in values], name=name, **style)
    title = score_title(metric).replace("test", "expected best validation", 1)
    figure.set_layout(
        xaxis={"title": "trials"}, yaxis={"title": title, **score_axis(metric)}, showlegend=False
    )
    return figure


class _Style(TypedDict):
    mode: str
    line: dict[str, str | int]
    marker: dict[str, str | int]


def _style(place: int) -> _Style:
    """Colour, dash and symbol together, for those who see no colour."""
    colour = COLOURS[place % len(COLOURS)]
    return {
        "mode": "lines+markers",
        "line": {"color": colour, "dash": DASHES[place // 2 % len(DASHES)], "width": 2},
        "marker": {"color": colour, "symbol": SYMBOLS[place % len(SYMBOLS)], "size": 7},
    }


def _pale(place: int) -> str:
    colour = COLOURS[place % len(COLOURS)].removeprefix("#")
    red, green, blue = (int(colour[start : start + 2], 16) for start in (0, 2, 4))
    return f"rgba({red},{green},{blue},0.15)"
