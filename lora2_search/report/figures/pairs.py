"""Two studies, or two suites, in one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...analysis import ArmPair, TrialPoint
from ..tables.pairs import arm_reach
from .drawing import Drawing
from .ranges import score_range, trial_axis, validation_title
from .style import COLOURS, DASHES, SYMBOLS, row_layout
from .suite import scale, score_title


def draw_histories(histories: Mapping[str, Sequence[TrialPoint]], metric: str) -> Drawing:
    """Draw the best score so far of several studies by trial, over their complete trials.

    Args:
        histories: By the name of a study.
        metric: What they maximise.
    """
    figure, factor = Drawing(), scale(metric)
    for place, (name, points) in enumerate(histories.items()):
        best = [point for point in points if point.best is not None]
        complete = [point for point in points if point.state == "COMPLETE"]
        colour = COLOURS[place % len(COLOURS)]
        figure.add(
            "scatter",
            x=[point.number for point in best],
            y=[factor * (point.best or 0.0) for point in best],
            mode="lines",
            name=f"{name}, best so far",
            legendgroup=name,
            line={"shape": "hv", "color": colour, "dash": DASHES[place], "width": 3},
            hovertemplate=f"{name}: best up to trial %{{x}} %{{y:.4~f}}<extra></extra>",
        )
        figure.add(
            "scatter",
            x=[point.number for point in complete],
            y=[factor * (point.score or 0.0) for point in complete],
            mode="markers",
            legendgroup=name,
            opacity=0.6,
            marker={"color": colour, "symbol": SYMBOLS[place], "size": 8},
            hovertemplate=f"{name}, trial %{{x}}: %{{y:.4~f}}<extra></extra>",
        )
    scores = [
        point.score
        for points in histories.values()
        for point in points
        if point.state == "COMPLETE" and point.score is not None
    ]
    low, high = score_range(scores or [0.5], metric)
    last = max((point.number for points in histories.values() for point in points), default=0)
    figure.set_layout(
        xaxis=trial_axis(last),
        yaxis={"title": validation_title(metric), "range": [factor * low, factor * high]},
        showlegend=False,
    )
    return figure


def draw_arm_pairs(pairs: Sequence[ArmPair], names: tuple[str, str], metric: str) -> Drawing:
    """Draw the mean test scores of the arms of two suites, with 95 % t intervals."""
    figure, factor = Drawing(), scale(metric)
    sides = [[pair.left for pair in pairs], [pair.right for pair in pairs]]
    for place, arms in enumerate(sides):
        known = [arm for arm in arms if arm is not None and arm.mean is not None]
        figure.add(
            "scatter",
            x=[factor * (arm.mean or 0.0) for arm in known],
            y=[arm.name for arm in known],
            error_x={
                "type": "data",
                "array": [factor * (arm_reach(arm) or 0.0) for arm in known],
                "thickness": 2,
            },
            mode="markers",
            name=names[place],
            marker={"color": COLOURS[place], "symbol": SYMBOLS[place], "size": 10},
            hovertemplate="%{y}: %{x:.4~f}<extra></extra>",
        )
    figure.set_layout(
        xaxis={"title": score_title(metric)},
        **row_layout([pair.name for pair in pairs]),
    )
    return figure
