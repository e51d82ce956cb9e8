"""A study's own figures, from records: learning curves and the winner's rank pattern.

Each is two functions: the numbers, then the drawing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...store import RankGrid, RunRecord

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Colour and dash both tell the state, for those who see no colour.
_STYLES = {
    "COMPLETE": ("#4c78a8", "solid"),
    "PRUNED": ("#9a9a9a", "dot"),
    "FAIL": ("#d1495b", "dash"),
    "RUNNING": ("#e0a030", "dashdot"),
}

STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "under way"}

_WINNER = "#2a9d5c"


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


def draw_learning_curves(curves: Sequence[Curve], metric: str, winner: int | None) -> Figure:
    """Draw validation score against optimiser steps, the winner on top."""
    import plotly.graph_objects as go

    figure = go.Figure()
    named: set[str] = set()
    for curve in sorted(curves, key=lambda item: item.number == winner):
        colour, dash = _STYLES[curve.state]
        group = STATES[curve.state]
        if curve.number == winner:
            colour, group = _WINNER, f"winner (trial {winner})"
        figure.add_scatter(
            x=curve.steps,
            y=curve.scores,
            name=group,
            legendgroup=group,
            showlegend=group not in named,
            mode="lines+markers",
            line={"color": colour, "dash": dash, "width": 3 if curve.number == winner else 1.5},
            marker={"symbol": "x" if curve.state == "FAIL" else "circle", "size": 6},
            hovertemplate=f"trial {curve.number}<br>step %{{x}}<br>%{{y:.4f}}<extra></extra>",
        )
        named.add(group)
    figure.update_layout(xaxis_title="optimiser step", yaxis_title=f"validation {metric}")
    return figure


def draw_rank_grid(grid: RankGrid, highest: int) -> Figure:
    """Draw the kept rank of every adapted matrix; ``highest`` is the rank it started from."""
    import plotly.graph_objects as go

    text = [["" if rank is None else str(rank) for rank in row] for row in grid.ranks]
    heat = go.Heatmap(
        z=grid.ranks,
        x=grid.kinds,
        y=[f"block {layer}" for layer in grid.layers],
        text=text,
        texttemplate="%{text}",
        zmin=0,
        zmax=highest,
        colorscale="Blues",
        colorbar={"title": "rank"},
        xgap=2,
        ygap=2,
        hovertemplate="%{y}<br>%{x}<br>rank %{z}<extra></extra>",
    )
    figure = go.Figure(heat)
    figure.update_layout(yaxis={"autorange": "reversed"}, height=160 + 34 * len(grid.layers))
    return figure
