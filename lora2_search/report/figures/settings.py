"""A study's settings as figures: slices, parallel coordinates, contour, importances, ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...analysis import Contour, ParallelLine, SettingAxis, SettingPoint
from ...store import RankGrid
from .drawing import Drawing
from .ranges import MOST_TICKS, score_range, setting_ticks, validation_title
from .style import COLOURS, GREY, LOW_TO_HIGH, WINNER_COLOUR, plotly_text
from .suite import scale

if TYPE_CHECKING:
    import matplotlib.figure

_SCALE = [[0, LOW_TO_HIGH[0]], [1, LOW_TO_HIGH[1]]]

# Beyond that many lines nobody tells one from another; the best are kept.
MOST_LINES = 300

# Lines through more rows cross too often to be followed.
MOST_AXES = 6

_ROW = 62


def draw_slice(
    points: Sequence[SettingPoint],
    axis: SettingAxis,
    metric: str,
    scores: tuple[float, float],
    winner: int | None,
    last: int,
) -> Drawing:
    """Draw the score against one setting.

    Args:
        points: Complete trials.
        axis: The setting.
        metric: The objective.
        scores: Both ends of the score's axis, the same for all slices of a study.
        winner: The trial that stands out.
        last: The number of the last trial, where the colours end, the same for all slices.
    """
    factor, figure = scale(metric), Drawing()
    figure.add(
        "scatter",
        x=[point.coordinate for point in points],
        y=[_rounded(factor * point.score) for point in points],
        mode="markers",
        showlegend=False,
        marker={
            "color": [point.number for point in points],
            "colorscale": _SCALE,
            "cmin": 0,
            "cmax": max(last, 1),
            "size": 9,
            "line": {"color": GREY, "width": 0.5},
        },
        text=[f"trial {point.number}<br>{axis.name}={_value(point, axis)}" for point in points],
        hovertemplate="%{text}: %{y}<extra></extra>",
    )
    best = [point for point in points if point.number == winner]
    figure.add(
        "scatter",
        x=[point.coordinate for point in best],
        y=[_rounded(factor * point.score) for point in best],
        mode="markers",
        showlegend=False,
        hoverinfo="skip",
        marker={"size": 13, "symbol": "star", "color": WINNER_COLOUR},
    )
    figure.set_layout(
        # Its name is the panel's heading.
        xaxis={**_plotly_axis(axis), "title": None},
        yaxis={
            "title": validation_title(metric),
            "range": [factor * scores[0], factor * scores[1]],
        },
    )
    return figure


def print_slices(
    figure: matplotlib.figure.Figure,
    slices: Mapping[SettingAxis, Sequence[SettingPoint]],
    metric: str,
    winner: int | None,
    last: int,
) -> None:
    """Draw all slices for a paper, on one scale of scores and one of colours."""
    from matplotlib.colors import LinearSegmentedColormap

    factor = scale(metric)
    columns = min(3, len(slices))
    rows = -(-len(slices) // columns)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    low, high = score_range([p.score for own in slices.values() for p in own], metric)
    colours = LinearSegmentedColormap.from_list("early to late", LOW_TO_HIGH)
    drawn = None
    for panel, (axis, points) in zip(axes.ravel(), slices.items(), strict=False):
        drawn = panel.scatter(
            [point.coordinate for point in points],
            [factor * point.score for point in points],
            c=[point.number for point in points],
            cmap=colours,
            vmin=0,
            vmax=max(last, 1),
            s=16,
            linewidths=[1.5 if point.number == winner else 0.3 for point in points],
            edgecolors=[WINNER_COLOUR if point.number == winner else GREY for point in points],
        )
        _matplotlib_axis(panel.xaxis, axis, most=4)
        panel.set(ylim=(factor * low, factor * high))
    for panel in axes.ravel()[len(slices) :]:
        panel.set_axis_off()
    for row in axes:
        row[0].set_ylabel(validation_title(metric))
    if drawn is not None:
        figure.colorbar(drawn, ax=axes.ravel().tolist(), label="trial")


def draw_parallel(
    lines: Sequence[ParallelLine], axes: Sequence[SettingAxis], metric: str, winner: int | None
) -> Drawing:
    """Draw each trial as a line through its settings, from the top to its score at the bottom.

    Rows instead of columns, so that names stand beside their axes on narrow screens too.
    """
    figure, factor = Drawing(), scale(metric)
    low, high = _score_ends(lines, metric)
    shown = most_telling(lines)
    for line in sorted(shown, key=lambda item: (item.score is not None, item.number == winner)):
        won = line.number == winner
        places = [*line.places, None if line.score is None else _share(line.score, low, high)]
        told = "pruned" if line.score is None else f"{_rounded(factor * line.score):.6g}"
        figure.add(
            "scatter",
            x=[None if place is None else round(place, 4) for place in places],
            y=[-row for row in range(len(places))],
            mode="lines+markers",
            showlegend=False,
            opacity=1 if won else 0.6 if line.score is not None else 0.4,
            line={
                "color": WINNER_COLOUR if won else _line_colour(line, low, high),
                "width": 4 if won else 1.5,
                "dash": "solid" if line.score is not None else "dot",
            },
            marker={"size": 9 if won else 4, "symbol": "star" if won else "circle"},
            hovertemplate=f"trial {line.number}: {told}<extra></extra>",
        )
    rows = [*((axis.name, *_placed_ticks(axis)) for axis in axes), _score_row(low, high, metric)]
    for row, (name, marks, texts) in enumerate(rows):
        for place, text in zip(marks, texts, strict=True):
            figure.annotate(
                x=place,
                y=-row,
                text=plotly_text(text),
                yshift=-11,
                showarrow=False,
                font={"size": 11},
            )
        figure.annotate(
            x=0,
            y=-row,
            text=f"<b>{plotly_text(name)}</b>",
            yshift=14,
            xanchor="left",
            showarrow=False,
        )
        figure.add_line(x0=0, x1=1, y0=-row, y1=-row, line={"color": GREY, "width": 1})
    figure.set_layout(
        xaxis={"visible": False, "range": [-0.04, 1.04], "fixedrange": True},
        yaxis={"visible": False, "range": [-len(rows) + 0.55, 0.5], "fixedrange": True},
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        height=40 + _ROW * len(rows),
        hovermode="closest",
    )
    return figure


def print_parallel(
    figure: matplotlib.figure.Figure,
    lines: Sequence[ParallelLine],
    axes: Sequence[SettingAxis],
    metric: str,
    winner: int | None,
) -> None:
    """Draw the same for a paper."""
    panel = figure.subplots()
    low, high = _score_ends(lines, metric)
    for line in sorted(most_telling(lines), key=lambda item: (item.score is not None, item.number)):
        won = line.number == winner
        places = [*line.places, None if line.score is None else _share(line.score, low, high)]
        panel.plot(
            [float("nan") if place is None else place for place in places],
            [-row for row in range(len(places))],
            color=WINNER_COLOUR if won else _line_colour(line, low, high),
            linewidth=2 if won else 0.7,
            linestyle="-" if line.score is not None else ":",
            marker="." if not won else "*",
            markersize=8 if won else 2,
            zorder=4 if won else 3 if line.score is not None else 2,
        )
    rows = [*((axis.name, *_placed_ticks(axis)) for axis in axes), _score_row(low, high, metric)]
    for row, (name, marks, texts) in enumerate(rows):
        panel.axhline(-row, color=GREY, linewidth=0.6, zorder=1)
        panel.annotate(
            name, (0, -row), (0, 4), textcoords="offset points", fontsize=7, weight="bold"
        )
        for place, text in zip(marks, texts, strict=True):
            panel.annotate(
                text, (place, -row), (0, -9), textcoords="offset points", fontsize=6, ha="center"
            )
    panel.set(xlim=(-0.04, 1.04), ylim=(-len(rows) + 0.5, 0.5))
    panel.set_axis_off()


def most_telling(lines: Sequence[ParallelLine]) -> list[ParallelLine]:
    """Return the lines that are drawn: the best complete ones, then the latest pruned ones."""
    complete = sorted(
        (line for line in lines if line.score is not None), key=lambda line: -(line.score or 0.0)
    )[:MOST_LINES]
    pruned = [line for line in lines if line.score is None]
    return complete + pruned[max(0, len(pruned) + len(complete) - MOST_LINES) :]


def most_important(
    axes: Sequence[SettingAxis], shares: Mapping[str, float]
) -> Sequence[SettingAxis]:
    """Return the axes that lines are drawn through, in their order: all, or six of many.

    Those with the largest shares, then the first ones.
    """
    kept = sorted(axes, key=lambda axis: -shares.get(axis.name, 0.0))[:MOST_AXES]
    return [axis for axis in axes if axis in kept]


def draw_contour(found: Contour, metric: str, winner: int | None) -> Drawing:
    """Draw the score over two settings, and the trials that it was interpolated from."""
    factor = scale(metric)
    values: dict[str, Any] = {
        "x": found.columns,
        "y": found.rows,
        "z": [[None if np.isnan(v) else _rounded(factor * v) for v in row] for row in found.scores],
        "colorscale": _SCALE,
        "colorbar": {"title": {"text": validation_title(metric), "side": "right"}},
        "hoverinfo": "skip",
    }
    by_choice = bool(found.across.choices or found.up.choices)
    figure, line = Drawing(), {"width": 0.5, "color": "rgba(0,0,0,.4)"}
    if by_choice:
        figure.add("heatmap", **values, ygap=2, xgap=2)
    else:
        figure.add("contour", **values, connectgaps=False, line=line)
    figure.add(
        "scatter",
        x=[item[1] for item in found.trials],
        y=[item[2] for item in found.trials],
        mode="markers",
        showlegend=False,
        marker={
            "color": [
                WINNER_COLOUR if item[0] == winner else "rgba(20,23,26,.75)"
                for item in found.trials
            ],
            "symbol": ["star" if item[0] == winner else "circle" for item in found.trials],
            "size": [15 if item[0] == winner else 6 for item in found.trials],
            "line": {"color": "#fff", "width": 1},
        },
        text=[f"trial {item[0]}: {_rounded(factor * item[3]):.6g}" for item in found.trials],
        hovertemplate="%{text}<extra></extra>",
    )
    figure.set_layout(xaxis=_plotly_axis(found.across), yaxis=_plotly_axis(found.up))
    return figure


def print_contour(
    figure: matplotlib.figure.Figure, found: Contour, metric: str, winner: int | None
) -> None:
    """Draw the same for a paper."""
    from matplotlib.colors import LinearSegmentedColormap

    panel, factor = figure.subplots(), scale(metric)
    colours = LinearSegmentedColormap.from_list("low to high", LOW_TO_HIGH)
    scores = np.ma.masked_invalid(factor * found.scores)
    # Set before the surface: on a logarithmic axis cells keep their own width.
    _matplotlib_axis(panel.xaxis, found.across)
    _matplotlib_axis(panel.yaxis, found.up)
    drawn = panel.pcolormesh(found.columns, found.rows, scores, cmap=colours, shading="nearest")
    edge: dict[str, Any] = {"linestyle": "none", "markeredgecolor": "white", "markeredgewidth": 0.5}
    others = [item for item in found.trials if item[0] != winner]
    won = [item for item in found.trials if item[0] == winner]
    looks: tuple[dict[str, Any], ...] = (
        {"marker": ".", "markersize": 4, "color": "black"},
        {"marker": "*", "markersize": 11, "color": WINNER_COLOUR},
    )
    for shown, look in zip((others, won), looks, strict=True):
        panel.plot([item[1] for item in shown], [item[2] for item in shown], **look, **edge)
    figure.colorbar(drawn, ax=panel, label=validation_title(metric))


def draw_importances(shares: Mapping[str, float]) -> Drawing:
    """Draw each setting's share of the variation of the score, the largest on top."""
    names = list(shares)[::-1]
    figure = Drawing()
    figure.add(
        "bar",
        x=[shares[name] for name in names],
        y=names,
        orientation="h",
        marker={"color": COLOURS[0]},
        text=[f"{shares[name]:.2f}" for name in names],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
    )
    figure.set_layout(
        xaxis={"title": "share of the variation", "range": [0, max(shares.values()) * 1.12]},
        yaxis={"automargin": True},
        height=90 + 40 * len(names),
    )
    return figure


def print_importances(figure: matplotlib.figure.Figure, shares: Mapping[str, float]) -> None:
    """Draw the same for a paper."""
    panel = figure.subplots()
    names = list(shares)[::-1]
    bars = panel.barh(names, [shares[name] for name in names], color=COLOURS[0])
    panel.bar_label(bars, fmt="%.2f", padding=2, fontsize=7)
    panel.set(xlabel="share of the variation", xlim=(0, max(shares.values()) * 1.15))


def draw_rank_grid(grid: RankGrid, highest: int) -> Drawing:
    """Draw the kept rank of every adapted matrix; ``highest`` is the rank it started from.

    A row per kind of module, so that its whole name can stand beside it.
    """
    ranks = list(zip(*grid.ranks, strict=True))
    text = [["" if rank is None else str(rank) for rank in row] for row in ranks]
    figure = Drawing()
    figure.add(
        "heatmap",
        z=ranks,
        x=list(grid.layers),
        y=list(grid.kinds),
        text=text,
        texttemplate="%{text}",
        zmin=0,
        zmax=highest,
        colorscale=[[0, "#f1f6fb"], [0.5, "#6baed6"], [1, "#08306b"]],
        colorbar={"title": "rank"},
        xgap=2,
        ygap=2,
        hovertemplate="block %{x}, %{y}: rank %{z}<extra></extra>",
    )
    figure.set_layout(
        xaxis={"title": "block", "type": "category"},
        yaxis={"autorange": "reversed", "automargin": True, "type": "category"},
        height=120 + 30 * len(grid.kinds),
    )
    return figure


def print_rank_grid(figure: matplotlib.figure.Figure, grid: RankGrid, highest: int) -> None:
    """Draw the same for a paper."""
    panel = figure.subplots()
    ranks = list(zip(*grid.ranks, strict=True))
    values = [[float("nan") if rank is None else rank for rank in row] for row in ranks]
    image = panel.imshow(values, cmap="Blues", vmin=0, vmax=highest, aspect="auto")
    for row, cells in enumerate(ranks):
        for column, rank in enumerate(cells):
            if rank is not None:
                dark = rank > 0.6 * highest
                panel.text(
                    column,
                    row,
                    str(rank),
                    ha="center",
                    va="center",
                    fontsize=6,
                    color="white" if dark else "black",
                )
    panel.set_xticks(range(len(grid.layers)), grid.layers, fontsize=7)
    panel.set_yticks(range(len(grid.kinds)), grid.kinds, fontsize=7)
    panel.set_xlabel("block")
    figure.colorbar(image, ax=panel, label="kept rank")


def _plotly_axis(axis: SettingAxis) -> dict[str, Any]:
    values, texts = setting_ticks(axis)
    room = 0.04
    shown: dict[str, Any] = {
        "title": axis.name,
        "tickmode": "array",
        "tickvals": values,
        "ticktext": list(map(plotly_text, texts)),
        "automargin": True,
        "zeroline": False,
        "minor": {"ticks": ""},
    }
    if axis.log:
        low, high = np.log10(axis.low), np.log10(axis.high)
        width = room * (high - low)
        return {**shown, "type": "log", "range": [low - width, high + width]}
    width = 0.5 if axis.choices else room * (axis.high - axis.low)
    return {**shown, "range": [axis.low - width, axis.high + width]}


def _matplotlib_axis(side: Any, axis: SettingAxis, most: int = MOST_TICKS) -> None:
    """Set up a matplotlib axis: its scale, its range, its name, and no ticks but ours."""
    values, texts = setting_ticks(axis, most)
    across = side.axis_name == "x"
    panel = side.axes
    if axis.log:
        (panel.set_xscale if across else panel.set_yscale)("log")
        side.set_minor_locator(_no_ticks())
    width = 0.5 if axis.choices else 0.04
    low, high = axis.low - width, axis.high + width
    if not axis.choices:
        low, high = axis.at(-width), axis.at(1 + width)
    (panel.set_xlim if across else panel.set_ylim)(low, high)
    side.set_ticks(values, texts)
    side.set_label_text(axis.name)


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _placed_ticks(axis: SettingAxis) -> tuple[list[float], list[str]]:
    values, texts = setting_ticks(axis)
    return [axis.place(value) for value in values], texts


def _score_row(low: float, high: float, metric: str) -> tuple[str, list[float], list[str]]:
    factor = scale(metric)
    places = [0.0, 0.5, 1.0]
    digits = 1 if factor == 100 else 3
    texts = [f"{factor * (low + place * (high - low)):.{digits}f}" for place in places]
    return validation_title(metric), places, texts


def _score_ends(lines: Sequence[ParallelLine], metric: str) -> tuple[float, float]:
    scores = [line.score for line in lines if line.score is not None]
    if not scores:
        return 0.0, 1.0
    low, high = min(scores), max(scores)
    return (low, high) if high > low else score_range(scores, metric)


def _share(score: float, low: float, high: float) -> float:
    return (score - low) / (high - low)


def _line_colour(line: ParallelLine, low: float, high: float) -> str:
    if line.score is None:
        return GREY
    share = _share(line.score, low, high)
    ends = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in LOW_TO_HIGH]
    mixed = [round(first + share * (second - first)) for first, second in zip(*ends, strict=True)]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _value(point: SettingPoint, axis: SettingAxis) -> str:
    if axis.choices:
        return plotly_text(axis.choices[int(point.coordinate)])
    return f"{point.coordinate:.0f}" if axis.whole else f"{point.coordinate:.3g}"


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
