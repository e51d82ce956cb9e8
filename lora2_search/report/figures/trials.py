"""A study's trials as figures: history, timeline, learning curves; for the page and for papers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...analysis import Span, TrialPoint
from ...store import RunRecord
from .drawing import Drawing
from .ranges import score_range, trial_axis, validation_title
from .style import STATE_STYLES, WINNER_COLOUR
from .suite import scale

if TYPE_CHECKING:
    import matplotlib.figure

# A rung below the lowest score, for trials that have none.
_UNSCORED = 0.5


def draw_history(points: Sequence[TrialPoint], metric: str, winner: int | None) -> Drawing:
    """Draw every trial's score by its number, and the best one so far."""
    figure, factor = Drawing(), scale(metric)
    low, high, floor = _history_range(points, metric)
    best = [point for point in points if point.best is not None]
    figure.add(
        "scatter",
        x=[point.number for point in best],
        y=[factor * (point.best or 0.0) for point in best],
        mode="lines",
        name="best so far",
        line={"shape": "hv", "color": WINNER_COLOUR, "width": 2},
        hovertemplate="best up to trial %{x}: %{y:.4~f}<extra></extra>",
    )
    for state, own in _by_state(points).items():
        style = STATE_STYLES[state]
        figure.add(
            "scatter",
            x=[point.number for point in own],
            y=[factor * (floor if point.score is None else point.score) for point in own],
            mode="markers",
            name=style.word,
            marker={"color": style.colour, "symbol": style.symbol, "size": 9},
            text=["never evaluated" if p.score is None else _score(p.score, metric) for p in own],
            hovertemplate=f"trial %{{x}} ({style.word}): %{{text}}<extra></extra>",
        )
    for point in points:
        if point.number == winner and point.score is not None:
            figure.add(
                "scatter",
                x=[point.number],
                y=[factor * point.score],
                mode="markers",
                name=f"winner (trial {winner})",
                marker={"color": WINNER_COLOUR, "symbol": "star", "size": 15},
                hovertemplate=f"winner, trial {winner}: {_score(point.score, metric)}"
                "<extra></extra>",
            )
    figure.set_layout(
        xaxis=trial_axis(max((point.number for point in points), default=0)),
        yaxis={"title": validation_title(metric), "range": [factor * low, factor * high]},
        showlegend=False,
    )
    return figure


def print_history(
    figure: matplotlib.figure.Figure,
    points: Sequence[TrialPoint],
    metric: str,
    winner: int | None,
) -> None:
    """Draw the same for a paper."""
    axis, factor = figure.subplots(), scale(metric)
    low, high, floor = _history_range(points, metric)
    best = [point for point in points if point.best is not None]
    axis.step(
        [point.number for point in best],
        [factor * (point.best or 0.0) for point in best],
        where="post",
        color=WINNER_COLOUR,
        label="best so far",
    )
    for state, own in _by_state(points).items():
        style = STATE_STYLES[state]
        axis.plot(
            [point.number for point in own],
            [factor * (floor if point.score is None else point.score) for point in own],
            linestyle="none",
            marker=style.marker,
            markersize=4,
            markerfacecolor=style.colour if state == "COMPLETE" else "none",
            color=style.colour,
            label=style.word,
        )
    for point in points:
        if point.number == winner and point.score is not None:
            axis.plot(
                [point.number],
                [factor * point.score],
                linestyle="none",
                marker="*",
                markersize=10,
                color=WINNER_COLOUR,
                label=f"winner (trial {winner})",
            )
    axis.set(xlabel="trial", ylabel=validation_title(metric), ylim=(factor * low, factor * high))
    _whole_ticks(axis)
    figure.legend(fontsize=7, loc="outside upper center", ncols=3)


def _history_range(points: Sequence[TrialPoint], metric: str) -> tuple[float, float, float]:
    """Return both ends of the scores, and where a trial without one is drawn."""
    scores = [point.score for point in points if point.score is not None]
    low, high = score_range(scores or [0.5], metric)
    if all(point.score is not None for point in points):
        return low, high, low
    room = 0.12 * (high - low)
    return low - room, high, low - _UNSCORED * room


def _by_state(points: Sequence[TrialPoint]) -> dict[str, list[TrialPoint]]:
    own = {state: [point for point in points if point.state == state] for state in STATE_STYLES}
    return {state: found for state, found in own.items() if found}


def _score(score: float, metric: str) -> str:
    return f"{scale(metric) * score:.2f} %" if scale(metric) == 100 else f"{score:.4f}"


def draw_timeline(spans: Sequence[Span], winner: int | None) -> Drawing:
    """Draw when each run was trained, a row per worker."""
    figure = Drawing()
    unit, seconds = time_unit(max(span.end for span in spans))
    for state, style in STATE_STYLES.items():
        own = [span for span in spans if span.state == state]
        if not own:
            continue
        won = [span.name == f"trial {winner}" for span in own]
        figure.add(
            "bar",
            orientation="h",
            y=[_worker(span) for span in own],
            base=[span.start / seconds for span in own],
            x=[(span.end - span.start) / seconds for span in own],
            text=[span.name.removeprefix("trial ") for span in own],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            name=style.word,
            marker={
                "color": [WINNER_COLOUR if is_won else style.colour for is_won in won],
                "pattern": {"shape": style.pattern, "fillmode": "overlay", "size": 6},
                "line": {"width": 1, "color": "rgba(255,255,255,0.7)"},
            },
            customdata=[[span.name, span.start / seconds, span.end / seconds] for span in own],
            hovertemplate=f"%{{customdata[0]}} ({style.word})<br>%{{customdata[1]:.2f}} to "
            f"%{{customdata[2]:.2f}} {unit}<extra></extra>",
        )
    workers = sorted({span.worker for span in spans})
    figure.set_layout(
        barmode="overlay",
        uniformtext={"mode": "hide", "minsize": 9},
        xaxis={"title": f"{unit} since the study began", "rangemode": "tozero"},
        yaxis={
            "categoryorder": "array",
            "categoryarray": [f"worker {place + 1}" for place in reversed(workers)],
        },
        height=130 + 46 * len(workers),
        showlegend=False,
    )
    return figure


def print_timeline(
    figure: matplotlib.figure.Figure, spans: Sequence[Span], winner: int | None
) -> None:
    """Draw the same for a paper."""
    axis = figure.subplots()
    unit, seconds = time_unit(max(span.end for span in spans))
    for state, style in STATE_STYLES.items():
        own = [span for span in spans if span.state == state]
        if not own:
            continue
        label: str | None = style.word
        for won in (False, True):
            for worker in sorted({span.worker for span in own}):
                # One shape for all runs of a worker: thousands of bars take long to draw.
                bars = [
                    (span.start / seconds, (span.end - span.start) / seconds)
                    for span in own
                    if span.worker == worker and (span.name == f"trial {winner}") == won
                ]
                if bars:
                    colour = WINNER_COLOUR if won else style.colour
                    axis.broken_barh(
                        bars,
                        (worker - 0.4, 0.8),
                        facecolor=colour,
                        hatch=style.hatch,
                        edgecolor="white",
                        linewidth=0.5,
                        label=label,
                    )
                    label = None
    workers = sorted({span.worker for span in spans})
    axis.set_yticks(workers, [f"worker {place + 1}" for place in workers])
    axis.invert_yaxis()
    axis.set_xlabel(f"{unit} since the study began")
    figure.legend(fontsize=7, loc="outside upper center", ncols=4)


def time_unit(longest: float) -> tuple[str, float]:
    """Return a unit that suits so many seconds, and how many seconds it has."""
    if longest < 180:
        return "seconds", 1.0
    return ("minutes", 60.0) if longest < 3 * 3600 else ("hours", 3600.0)


def _worker(span: Span) -> str:
    return f"worker {span.worker + 1}"


@dataclass(frozen=True)
class Curve:
    """Validation scores of one trial through training.

    Attributes:
        number: The trial.
        state: ``COMPLETE``, ``PRUNED``, ``FAIL`` or ``RUNNING``.
        steps: Optimiser steps at which it was evaluated, ascending.
        scores: Validation score at each of them.
    """

    number: int
    state: str
    steps: tuple[int, ...]
    scores: tuple[float, ...]


def learning_curves(
    records: Mapping[int, RunRecord], states: Mapping[int, str], metric: str
) -> list[Curve]:
    """Return one curve a trial that was evaluated at least once, by number.

    A trial whose record exists but whose state is not known counts as running.
    """
    curves = []
    for number, record in sorted(records.items()):
        key = f"validation/{metric}"
        points = [(p.step, p.metrics[key]) for p in record.history if key in p.metrics]
        if points:
            steps, scores = zip(*sorted(points), strict=True)
            curves.append(Curve(number, states.get(number, "RUNNING"), steps, scores))
    return curves


def draw_learning_curves(curves: Sequence[Curve], metric: str, winner: int | None) -> Drawing:
    """Draw validation score against optimiser steps, the winner on top."""
    figure, factor = Drawing(), scale(metric)
    for curve in sorted(curves, key=lambda item: item.number == winner):
        style, won = STATE_STYLES[curve.state], curve.number == winner
        colour = WINNER_COLOUR if won else style.colour
        group = f"winner (trial {winner})" if won else style.word
        figure.add(
            "scatter",
            x=curve.steps,
            y=[_rounded(factor * score) for score in curve.scores],
            name=group,
            legendgroup=group,
            mode="lines+markers",
            opacity=1 if won else 0.7,
            line={"color": colour, "dash": style.dash, "width": 3 if won else 1.5},
            marker={"symbol": style.symbol, "size": 6},
            hovertemplate=f"trial {curve.number}<br>step %{{x}}: %{{y}}<extra></extra>",
        )
    low, high = _curves_range(curves, metric)
    figure.set_layout(
        xaxis={"title": "optimiser step", "rangemode": "tozero"},
        yaxis={"title": validation_title(metric), "range": [factor * low, factor * high]},
        showlegend=False,
    )
    return figure


def print_learning_curves(
    figure: matplotlib.figure.Figure, curves: Sequence[Curve], metric: str, winner: int | None
) -> None:
    """Draw the same for a paper."""
    axis, factor, named = figure.subplots(), scale(metric), set[str]()
    for curve in sorted(curves, key=lambda item: item.number == winner):
        style, won = STATE_STYLES[curve.state], curve.number == winner
        name = f"winner (trial {winner})" if won else style.word
        axis.plot(
            curve.steps,
            [factor * score for score in curve.scores],
            label=None if name in named else name,
            color=WINNER_COLOUR if won else style.colour,
            linestyle=style.line,
            linewidth=2 if won else 1,
            marker=style.marker,
            markersize=3,
        )
        named.add(name)
    low, high = _curves_range(curves, metric)
    axis.set(xlabel="optimiser step", ylabel=validation_title(metric))
    axis.set_ylim(factor * low, factor * high)
    _whole_ticks(axis)
    figure.legend(fontsize=7, loc="outside upper center", ncols=4)


def _curves_range(curves: Sequence[Curve], metric: str) -> tuple[float, float]:
    scores = [score for curve in curves for score in curve.scores if math.isfinite(score)]
    return score_range(scores or [0.5], metric)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _whole_ticks(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
