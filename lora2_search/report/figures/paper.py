"""A suite's figures for papers: SVG and PDF by matplotlib, byte for byte the same each time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np

from ...analysis import (
    Band,
    Cost,
    Effect,
    Evidence,
    Interaction,
    MeanRanks,
    bands,
    costs,
    effects,
    geometry_keys,
    interactions,
    reaches,
)
from ...store import block_order
from .axes import is_wide, log_ticks
from .panels import pattern_of_arms, trials_of_arms
from .ranges import validation_title
from .style import COLOURS
from .suite import scale, score_title, unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

FIGURES_FOLDER = "figures"

# Without a salt matplotlib names the parts of an SVG at random; fonts as outlines that can be
# searched, which conferences ask for.
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "lora2_search",
    "pdf.fonttype": 42,
    "font.size": 9,
    # What users named may hold a dollar sign, which would begin a formula.
    "text.parse_math": False,
}

_ENDS = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}

_MARKERS = "osD^vPX"

_Dash = Literal["-", "--", ":", "-.", "none"]

_DASHES: tuple[_Dash, ...] = ("-", "--", ":", "-.")


class _Style(TypedDict):
    color: str
    marker: str
    linestyle: _Dash


Draw = Callable[["Figure"], None]


def write_figures(
    evidence: Mapping[str, Evidence], folder: Path, ends: Sequence[str] = ("svg", "pdf")
) -> None:
    """Write the figures of every task that can be drawn: a suite just begun has none.

    Args:
        evidence: What they are made from, by task.
        folder: Where they go; made if absent.
        ends: ``svg``, ``pdf``.
    """
    for task, item in evidence.items():
        for title, (size, draw) in _drawings(item).items():
            save_figure(draw, size, folder / _file_name(task, title), ends)


def save_figure(
    draw: Draw, size: tuple[float, float], stem: Path, ends: Sequence[str] = ("svg", "pdf")
) -> list[Path]:
    """Draw a figure, write it once for each of ``ends``, and return the paths.

    Args:
        draw: Draws into an empty figure.
        size: Width and height in inches.
        stem: The path without its end; its folder is made if absent.
        ends: ``svg``, ``pdf``.
    """
    import matplotlib
    from matplotlib.figure import Figure

    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_name(f"{stem.name}.{end}") for end in ends]
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        for path, end in zip(paths, ends, strict=True):
            figure.savefig(path, metadata=_ENDS[end])
            # What was laid out for the first form holds for the second, and laying out takes long.
            figure.set_layout_engine(None)
    return paths


def figure_links(evidence: Mapping[str, Evidence], end: str = "svg") -> dict[str, dict[str, str]]:
    """Return how a report names the figures that ``write_figures`` writes, by task and title."""
    return {
        task: {title: f"{FIGURES_FOLDER}/{_file_name(task, title)}.{end}" for title in drawings}
        for task, item in evidence.items()
        if (drawings := _drawings(item))
    }


def _drawings(item: Evidence) -> dict[str, tuple[tuple[float, float], Draw]]:
    suite, metric = item.analysis.suite, item.analysis.suite.metric
    arms = list(suite.arms)
    drawings: dict[str, tuple[tuple[float, float], Draw]] = {}
    if shown := effects(item.analysis):
        drawings["Effects"] = (6.5, 0.8 + 0.32 * len(shown)), lambda f: _forest(f, shown, metric)
    if cells := interactions(item.analysis):
        size = (3.2 * min(3, len(cells)), 2.8 * -(-len(cells) // 3))
        drawings["Interactions"] = size, lambda f: _interactions(f, cells, metric)
    validation = f"validation/{metric}"
    if curves := bands(suite, validation):
        of_scores = {validation: curves}
        drawings["Learning curves"] = (6.5, 3.4), lambda f: _bands(f, of_scores, arms, metric)
    if geometry := {key: bands(suite, key) for key in geometry_keys(suite)}:
        size = (3.0 * len(geometry) + 1.6, 3.0)
        drawings["Planes through training"] = size, lambda f: _bands(f, geometry, arms)
    patterns, highest = pattern_of_arms(suite)
    if patterns:
        rows, columns = _grid(len(patterns))
        size = (1.5 * columns + 1.2, 1.5 * rows + 1.4)
        drawings["Rank patterns"] = size, lambda f: _ranks(f, patterns, highest)
    if points := costs(item.analysis):
        drawings["Score against parameters"] = (6.0, 3.4), lambda f: _costs(f, points, arms, metric)
    if trials := trials_of_arms(item):
        drawings["Expected best score"] = (6.0, 3.4), lambda f: _trials(f, trials, arms, metric)
    return drawings


def _forest(figure: Figure, shown: Sequence[Effect], metric: str) -> None:
    axis, factor = figure.subplots(), scale(metric)
    for row, item in enumerate(shown):
        colour = COLOURS[1] if item.differs else COLOURS[0]
        reach = [[factor * (item.mean - item.low)], [factor * (item.high - item.mean)]]
        axis.errorbar(
            factor * item.mean,
            row,
            xerr=reach,
            fmt="s" if item.differs else "o",
            color=colour,
            capsize=3,
        )
        if item.margin is not None:
            width = 2 * factor * item.margin
            axis.barh(row, width, left=-width / 2, height=0.7, color=COLOURS[2], alpha=0.25)
    axis.axvline(0, color="0.5", linestyle=":", linewidth=1)
    axis.set_yticks(range(len(shown)), [item.name for item in shown])
    axis.invert_yaxis()
    axis.set_xlabel(f"{unit(metric)}, 95 % interval")


def _interactions(figure: Figure, cells: Sequence[Interaction], metric: str) -> None:
    rows, factor = -(-len(cells) // 3), scale(metric)
    axes = figure.subplots(rows, min(3, len(cells)), squeeze=False).ravel()
    for axis, item in zip(axes, cells, strict=False):
        firsts = item.levels(0)
        for place, other in enumerate(item.levels(1)):
            levels = [level for level in firsts if (level, other) in item.cells]
            tests = [item.cells[level, other] for level in levels]
            means = [factor * (test.estimate or 0.0) for test in tests]
            # Side by side, so that no interval hides another.
            where = [firsts.index(level) + 0.04 * place for level in levels]
            reach = [[factor * end for end in reaches(test)] for test in tests]
            style = _style(place)
            axis.errorbar(where, means, yerr=np.transpose(reach), label=other, capsize=2, **style)
        _name_ticks(axis, firsts)
        axis.set(xlabel=item.first, ylabel=score_title(metric))
        axis.legend(
            title=item.second,
            fontsize=7,
            title_fontsize=7,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=2,
            frameon=False,
        )
    for axis in axes[len(cells) :]:
        axis.set_axis_off()


def _name_ticks(axis: Axes, names: Sequence[str]) -> None:
    """Write names beneath an axis, aslant where they would run into one another."""
    axis.set_xticks(range(len(names)), names)
    if sum(map(len, names)) + 2 * len(names) > _NAMES_IN_A_ROW:
        axis.tick_params(axis="x", labelrotation=25)
        for text in axis.get_xticklabels():
            text.set(ha="right", rotation_mode="anchor")


# Letters that fit beneath an axis of three inches.
_NAMES_IN_A_ROW = 34


def _bands(
    figure: Figure,
    by_key: Mapping[str, Sequence[Band]],
    arms: Sequence[str],
    metric: str | None = None,
) -> None:
    axes = figure.subplots(1, len(by_key), squeeze=False)[0]
    factor = 1.0 if metric is None else scale(metric)
    # One legend for all, and an arm looks the same in every figure of its suite.
    lines: dict[str, Line2D] = {}
    for axis, (key, own) in zip(axes, by_key.items(), strict=True):
        for band in own:
            style = _style(arms.index(band.arm))
            mean, low, high = (
                [factor * value for value in values] for values in (band.mean, band.low, band.high)
            )
            (lines[band.arm],) = axis.plot(band.steps, mean, label=band.arm, markersize=3, **style)
            axis.fill_between(band.steps, low, high, color=style["color"], alpha=0.08)
        title = key.replace("/", " ") if metric is None else validation_title(metric)
        axis.set(xlabel="optimiser step", ylabel=title)
        _few_ticks(axis)
    _legend_beside(figure, [lines[arm] for arm in arms if arm in lines])


def _few_ticks(axis: Axes) -> None:
    """Let whole numbers stand beneath an axis, few enough that none runs into the next."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def _legend_beside(figure: Figure, lines: Sequence[Any]) -> None:
    """Name the lines at the right of all axes, where nothing is drawn."""
    figure.legend(handles=lines, fontsize=7, loc="outside right upper")


def _grid(many: int, most: int = 4) -> tuple[int, int]:
    """Return rows and columns for so many small panels, the last row as full as can be."""
    rows = -(-many // most)
    return rows, -(-many // rows)


def _ranks(figure: Figure, patterns: Mapping[str, MeanRanks], highest: int) -> None:
    """Draw all arms as one image with gaps: axes of their own would take five times as long."""
    names = block_order(layer for item in patterns.values() for layer in item.layers)
    modules = list(dict.fromkeys(kind for item in patterns.values() for kind in item.kinds))
    tall, wide = len(names) + 2, len(modules) + 1
    rows, columns = _grid(len(patterns))
    cells = np.full((rows * tall - 2, columns * wide - 1), np.nan)
    axis = figure.subplots()
    for place, (arm, item) in enumerate(patterns.items()):
        top, left = place // columns * tall, place % columns * wide
        for layer, row in zip(item.layers, item.ranks, strict=True):
            for kind, rank in zip(item.kinds, row, strict=True):
                # By name: arms of a suite may adapt other modules.
                if rank is not None:
                    cells[top + names.index(layer), left + modules.index(kind)] = rank
        axis.text(left - 0.5, top - 0.7, arm, fontsize=7 if len(arm) < _LONG_NAME else 5)
    drawn = axis.imshow(cells, cmap="Blues", vmin=0, vmax=highest, aspect="auto")
    kinds = [column * wide + place for column in range(columns) for place in range(wide - 1)]
    layers = [row * tall + place for row in range(rows) for place in range(tall - 2)]
    axis.set_xticks(kinds, modules * columns, rotation=90, fontsize=6)
    axis.set_yticks(layers, names * rows, fontsize=6)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_ylabel("block", fontsize=8)
    figure.colorbar(drawn, ax=axis, label="mean kept rank")


# Letters that fit above a panel of an inch and a half.
_LONG_NAME = 22


def _costs(figure: Figure, points: Sequence[Cost], arms: Sequence[str], metric: str) -> None:
    axis, factor, handles = figure.subplots(), scale(metric), []
    for item in points:
        reach = None
        if item.low is not None and item.high is not None:
            reach = [[factor * (item.mean - item.low)], [factor * (item.high - item.mean)]]
        style: _Style = {**_style(arms.index(item.arm)), "linestyle": "none"}
        handles.append(
            axis.errorbar(
                item.parameters, factor * item.mean, yerr=reach, label=item.arm, capsize=3, **style
            )
        )
    axis.set(xlabel="adapter parameters, compressed", ylabel=score_title(metric))
    _count_ticks(axis, [item.parameters for item in points])
    _legend_beside(figure, handles)


def _count_ticks(axis: Axes, counts: Sequence[float]) -> None:
    """Write numbers of parameters beneath an axis, of a wide range as powers of ten."""
    from matplotlib.ticker import MaxNLocator, NullLocator

    if is_wide(counts):
        axis.set_xscale("log")
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xticks(*log_ticks(counts))
        return
    axis.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _trials(
    figure: Figure, curves: Mapping[str, Sequence[float]], arms: Sequence[str], metric: str
) -> None:
    axis, factor = figure.subplots(), scale(metric)
    lines = []
    for arm, values in curves.items():
        trials = range(1, len(values) + 1)
        shown = [factor * value for value in values]
        lines += axis.plot(trials, shown, label=arm, markersize=4, **_style(arms.index(arm)))
    axis.set(xlabel="trials", ylabel=f"expected best {validation_title(metric)}")
    _few_ticks(axis)
    _legend_beside(figure, lines)


def _style(place: int) -> _Style:
    """Colour, dash and marker together, for those who see no colour and for print."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": _MARKERS[place % len(_MARKERS)],
        "linestyle": _DASHES[place // 2 % len(_DASHES)],
    }


def _file_name(task: str, title: str) -> str:
    words = title.lower().replace(" ", "-")
    return f"{task}.{words}" if task else words
