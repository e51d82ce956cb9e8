"""The figures of a verification: the numbers first, then the drawing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...report import COLOURS, DASHES, GREY, Panel
from ...stats import TestResult, mean_correlation
from ..measurements import AgreementResult, Pair, PlanesPoint, PlanesResult, TruthResult
from ..results import Results
from ..verdicts.truth import correlations
from .rows import mean

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, Scatter

_PLANES = {
    "unpruned": "regularised",
    "no-regulariser": "γ = 0",
    "cross": "γ_cross = 1",
}


@dataclass(frozen=True)
class Line:
    """A mean over seeds through training, with its least and largest seed.

    Attributes:
        name: For people.
        steps: Optimiser steps, ascending.
        means: At each of them.
        low: Least seed at each of them.
        high: Largest seed.
    """

    name: str
    steps: tuple[int, ...]
    means: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def panels(results: Results) -> list[Panel]:
    """Return every figure that there are measurements for."""
    made = [
        _lines_panel(
            "Overlap of the planes",
            "cos²(uv, uUVv) during training, mean over matrices; the bands span all seeds.",
            plane_lines(results, lambda point: point.overlap),
            "overlap",
        ),
        _lines_panel(
            "Orthogonality of the outer plane",
            "Mean ‖XᵀX − I‖ of u and v during training: what the regularisers act on.",
            plane_lines(results, lambda point: point.errors["outer"]),
            "‖XᵀX − I‖",
        ),
        _lines_panel(
            "Masks compared with full scoring",
            "Share of the budget that full scoring's mask keeps as well, during unpruned runs.",
            agreement_lines(results, lambda pair: pair.kept),
            "share kept by both",
        ),
        _lines_panel(
            "Rankings compared with full scoring",
            "Kendall's τ with full scoring over all singular values, during unpruned runs.",
            agreement_lines(results, lambda pair: pair.tau),
            "τ",
        ),
        _truth_panel(results),
        _scatter_panel(results),
        _scores_panel(results),
    ]
    return [panel for panel in made if panel is not None]


def plane_lines(results: Results, value_of: Callable[[PlanesPoint], float | None]) -> list[Line]:
    """Return one line per arm of a measurement of the planes."""
    made = []
    for arm, label in _PLANES.items():
        points = [p for found in results.of(arm, PlanesResult).values() for p in found.points]
        made.append(_line(label, [(point.step, value_of(point)) for point in points]))
    return [line for line in made if line.steps]


def agreement_lines(results: Results, value_of: Callable[[Pair], float | None]) -> list[Line]:
    """Return one line per scoring of its agreement with full scoring (``tau`` or ``kept``)."""
    values: dict[str, list[tuple[int, float | None]]] = defaultdict(list)
    for found in results.of("unpruned", AgreementResult).values():
        for point in found.points:
            for scoring, pair in point.full.items():
                values[scoring].append((point.step, value_of(pair)))
    return [_line(scoring, pairs) for scoring, pairs in values.items()]


def truth_points(results: Results, kind: str = "signed") -> dict[str, TestResult]:
    """Return ρ by scoring, with its interval over seeds: with ΔL, or ``size``: with |ΔL|."""
    found = results.of("unpruned", TruthResult)
    table = correlations(found) if found else {}
    return {name: mean_correlation(list(kinds[kind].values())) for name, kinds in table.items()}


def _line(name: str, pairs: Sequence[tuple[int, float | None]]) -> Line:
    by_step: dict[int, list[float]] = defaultdict(list)
    for step, value in pairs:
        if value is not None:
            by_step[step].append(value)
    steps = sorted(by_step)
    columns = [by_step[step] for step in steps]
    return Line(
        name,
        tuple(steps),
        tuple(mean(column) for column in columns),
        tuple(min(column) for column in columns),
        tuple(max(column) for column in columns),
    )


def _lines_panel(title: str, text: str, lines: Sequence[Line], axis: str) -> Panel | None:
    if not lines:
        return None
    from plotly.graph_objects import Figure, Scatter

    figure = Figure()
    for index, line in enumerate(lines):
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        around = (*line.steps, *reversed(line.steps))
        figure.add_trace(
            Scatter(
                x=around,
                y=(*line.high, *reversed(line.low)),
                fill="toself",
                fillcolor=colour,
                opacity=0.12,
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=line.name,
            )
        )
        figure.add_trace(
            Scatter(
                x=line.steps,
                y=line.means,
                name=line.name,
                mode="lines+markers",
                line={"color": colour, "dash": dash},
                legendgroup=line.name,
            )
        )
    figure.update_layout(xaxis_title="optimiser step", yaxis_title=axis)
    return Panel(title, text, figure)


def _truth_panel(results: Results) -> Panel | None:
    if not truth_points(results):
        return None
    from plotly.graph_objects import Figure

    figure = Figure()
    for index, (kind, label) in enumerate({"signed": "with ΔL", "size": "with |ΔL|"}.items()):
        points = {n: p for n, p in truth_points(results, kind).items() if p.estimate is not None}
        figure.add_trace(_dots(points, label, COLOURS[index], ("circle", "diamond")[index]))
    figure.update_layout(xaxis_title="Spearman's ρ", yaxis={"autorange": "reversed"})
    figure.add_vline(x=0, line={"color": GREY, "dash": "dot"})
    return Panel(
        "Scores compared with the truth",
        "Mean over seeds with its 95 % t interval (Fisher's z). The last line is the reliability "
        "of the truth on other sentences; a perfect score would reach about its square root.",
        figure,
    )


def _dots(points: dict[str, TestResult], label: str, colour: str, symbol: str) -> Scatter:
    from plotly.graph_objects import Scatter

    means = [point.estimate or 0.0 for point in points.values()]
    # One seed has no interval: no bar.
    highs = [0.0 if p.high is None else p.high - (p.estimate or 0.0) for p in points.values()]
    lows = [0.0 if p.low is None else (p.estimate or 0.0) - p.low for p in points.values()]
    return Scatter(
        x=means,
        y=[_shown(name) for name in points],
        name=label,
        error_x={"type": "data", "array": highs, "arrayminus": lows},
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": 8},
    )


def _scatter_panel(results: Results) -> Panel | None:
    found = results.of("unpruned", TruthResult)
    if not found:
        return None
    from plotly.graph_objects import Figure, Scatter

    seed, result = next(iter(found.items()))
    point = result.points[-1]
    figure = Figure(
        Scatter(
            x=point.scores["reduced"],
            y=point.change,
            mode="markers",
            marker={"color": COLOURS[0], "size": 6, "opacity": 0.7},
        )
    )
    figure.update_layout(
        xaxis={"title": "reduced score", "type": "log"}, yaxis_title="ΔL of λᵢ := 0"
    )
    text = f"Every singular value of seed {seed} at step {point.step}; above 0, zeroing hurts."
    return Panel("One run, value by value", text, figure)


def _scores_panel(results: Results) -> Panel | None:
    arms = {arm: results.scores(arm) for arm in ("unpruned", "pruned", "head-only")}
    if not all(arms.values()) or "pruning" not in results.plan.checks:
        return None
    figure = _by_seed(arms)
    return Panel("Pruned and unpruned by seed", "Test score, one line per seed.", figure)


def _by_seed(arms: dict[str, dict[int, float]]) -> Figure:
    from plotly.graph_objects import Figure, Scatter

    figure = Figure()
    for index, seed in enumerate(
        sorted(set.intersection(*(set(found) for found in arms.values())))
    ):
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        figure.add_trace(
            Scatter(
                x=list(arms),
                y=[found[seed] for found in arms.values()],
                name=f"seed {seed}",
                mode="lines+markers",
                line={"color": colour, "dash": dash},
            )
        )
    figure.update_layout(yaxis_title="test score")
    return figure


def _shown(name: str) -> str:
    return "the truth on other sentences" if name == "repeated" else name
