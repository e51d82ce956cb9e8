"""A suite's figures for its page, drawn by plotly from numbers that other modules made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

from ...analysis import Band, Cost, Effect, Interaction, MeanRanks, reaches
from ..tables.text import in_points
from .style import COLOURS, DASHES, GREY, SYMBOLS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_COLUMNS = 3


def scale(metric: str) -> float:
    """Return what a score is multiplied by to be drawn: accuracy in per cent."""
    return 100.0 if in_points(metric) else 1.0


def unit(metric: str) -> str:
    """Return an axis' title for differences of a metric."""
    return "difference in points" if in_points(metric) else f"difference of {metric}"


def score_title(metric: str) -> str:
    """Return an axis' title for a metric on the test split."""
    return f"test {metric}{', %' if in_points(metric) else ''}"


def draw_forest(effects: Sequence[Effect], metric: str) -> Figure:
    """Draw mean differences with their intervals, and margins of equality as bands behind them."""
    import plotly.graph_objects as go

    factor, figure = scale(metric), go.Figure()
    for differs, colour, name in (
        (True, COLOURS[1], "differs by the corrected test"),
        (False, COLOURS[0], "not shown to differ"),
    ):
        chosen = [item for item in effects if item.differs == differs]
        figure.add_scatter(
            x=[factor * item.mean for item in chosen],
            y=[item.name for item in chosen],
            error_x={
                "type": "data",
                "array": [factor * (item.high - item.mean) for item in chosen],
                "arrayminus": [factor * (item.mean - item.low) for item in chosen],
                "thickness": 2,
            },
            mode="markers",
            name=name,
            marker={"color": colour, "size": 10, "symbol": "square" if differs else "circle"},
            customdata=[[factor * e.low, factor * e.high, e.n] for e in chosen],
            hovertemplate="%{y}: %{x:+.2f} (%{customdata[0]:+.2f} to %{customdata[1]:+.2f}), "
            "n = %{customdata[2]}<extra></extra>",
        )
    for row, item in enumerate(effects):
        if item.margin is not None:
            reach = factor * item.margin
            place = {"x0": -reach, "x1": reach, "y0": row - 0.35, "y1": row + 0.35}
            colours = {"fillcolor": COLOURS[2], "opacity": 0.25, "line_width": 0}
            figure.add_shape(type="rect", layer="below", **colours, **place)
    figure.add_vline(x=0, line={"color": GREY, "dash": "dot"})
    names = [item.name for item in effects]
    figure.update_layout(
        xaxis_title=unit(metric),
        yaxis={
            "categoryorder": "array",
            "categoryarray": names,
            "autorange": "reversed",
            "automargin": True,
        },
        height=150 + 36 * len(effects),
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )
    return figure


def draw_interaction(cells: Interaction, metric: str) -> Figure:
    """Draw the score against the levels of one factor, one line per level of the other."""
    import plotly.graph_objects as go

    factor, figure = scale(metric), go.Figure()
    first, second = cells.levels(0), cells.levels(1)
    for place, other in enumerate(second):
        levels = [level for level in first if (level, other) in cells.cells]
        tests = [cells.cells[level, other] for level in levels]
        figure.add_scatter(
            x=levels,
            y=[factor * (test.estimate or 0.0) for test in tests],
            error_y={
                "type": "data",
                "arrayminus": [factor * reaches(test)[0] for test in tests],
                "array": [factor * reaches(test)[1] for test in tests],
            },
            name=other,
            **_style(place),
        )
    figure.update_layout(
        xaxis_title=cells.first,
        yaxis_title=score_title(metric),
        legend={"title": cells.second, "orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )
    return figure


def draw_bands(bands: Sequence[Band], title: str) -> Figure:
    """Draw a metric through training: the mean of each arm, and the range over its seeds."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for place, band in enumerate(bands):
        style = _style(place)
        figure.add_scatter(
            x=[*band.steps, *reversed(band.steps)],
            y=[*band.high, *reversed(band.low)],
            mode="lines",
            fill="toself",
            fillcolor=_pale(place),
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
            legendgroup=band.arm,
        )
        figure.add_scatter(
            x=band.steps,
            y=band.mean,
            name=band.arm,
            legendgroup=band.arm,
            hovertemplate=f"{band.arm}<br>step %{{x}}<br>%{{y:.4f}}<extra></extra>",
            **style,
        )
    figure.update_layout(xaxis_title="optimiser step", yaxis_title=title)
    return figure


def draw_ranks(patterns: Mapping[str, MeanRanks], highest: int) -> Figure:
    """Draw the mean kept ranks of several arms side by side, on one scale."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    columns = min(_COLUMNS, len(patterns))
    rows = -(-len(patterns) // columns)
    tallest = max(len(item.layers) for item in patterns.values())
    figure = make_subplots(
        rows, columns, subplot_titles=list(patterns), vertical_spacing=0.35 / max(rows, 1)
    )
    for place, item in enumerate(patterns.values()):
        row, column = divmod(place, columns)
        heat = go.Heatmap(
            z=item.ranks,
            x=[kind.rpartition(".")[2] + " " * index for index, kind in enumerate(item.kinds)],
            y=[f"block {layer}" for layer in item.layers],
            customdata=[list(item.kinds)] * len(item.layers),
            coloraxis="coloraxis",
            texttemplate="%{z:.1f}",
            hovertemplate="%{y}<br>%{customdata}<br>mean rank %{z:.2f}<extra></extra>",
            xgap=1,
            ygap=1,
        )
        figure.add_trace(heat, row=row + 1, col=column + 1)
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(
        coloraxis={"colorscale": "Blues", "cmin": 0, "cmax": highest, "colorbar_title": "rank"},
        height=rows * (130 + 30 * tallest),
    )
    return figure


def draw_costs(costs: Sequence[Cost], metric: str) -> Figure:
    """Draw mean score against compressed parameters, one point an arm."""
    import plotly.graph_objects as go

    factor, figure = scale(metric), go.Figure()
    for place, item in enumerate(costs):
        low = 0.0 if item.low is None else factor * (item.mean - item.low)
        high = 0.0 if item.high is None else factor * (item.high - item.mean)
        figure.add_scatter(
            x=[item.parameters],
            y=[factor * item.mean],
            error_y={"type": "data", "array": [high], "arrayminus": [low]},
            mode="markers",
            name=item.arm,
            marker={**_style(place)["marker"], "size": 11},
            hovertemplate=f"{item.arm}<br>%{{x:,.0f}} parameters<br>%{{y:.2f}}<extra></extra>",
        )
    figure.update_layout(
        xaxis_title="adapter parameters, compressed", yaxis_title=score_title(metric)
    )
    return figure


def draw_expected_best(curves: Mapping[str, Sequence[float]], metric: str) -> Figure:
    """Draw the expected best validation score against the number of trials."""
    import plotly.graph_objects as go

    factor, figure = scale(metric), go.Figure()
    for place, (name, values) in enumerate(curves.items()):
        trials = list(range(1, len(values) + 1))
        figure.add_scatter(x=trials, y=[factor * v for v in values], name=name, **_style(place))
    title = score_title(metric).replace("test", "expected best validation", 1)
    figure.update_layout(xaxis_title="trials", yaxis_title=title)
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
