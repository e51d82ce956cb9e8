"""Several objectives on a study's page: the front, and how much it grew."""

from __future__ import annotations

from collections.abc import Mapping

from ...analysis import Outcome, StudyTable, hypervolumes, pick_rule, setting
from ..tables.study import front_table
from .drawing import Drawing
from .panel import Panel, drawn_keys
from .ranges import trial_axis
from .style import COLOURS, GREY, plotly_text


def front_panels(table: StudyTable) -> list[Panel]:
    """Return the front and its hypervolume by trial; none where there is one objective."""
    if len(table.runs.space.goals) < 2:
        return []
    if not table.front:
        return [Panel("Pareto front", "No complete trial meets the constraints yet.")]
    return [_front(table), _growth(table)]


def _front(table: StudyTable) -> Panel:
    goals = table.runs.space.goals
    text = (
        "Orange: trials that no other beats in every objective; ringed: the winner, picked as "
        f"{pick_rule(table.runs.space)}. Hover over a trial for its settings."
    )
    if len(goals) > 2:
        text += f" Drawn are the first two of {len(goals)} objectives; the table has all."
    drawn = _draw_front(table)
    return Panel("Pareto front", text, drawn, front_table(table), drawn_keys(drawn))


def _draw_front(table: StudyTable) -> Drawing:
    first, second = (str(goal.metric) for goal in table.runs.space.goals[:2])
    on_front = {item.number for item in table.front}
    settings = {trial.number: trial.params for trial in table.trials}
    beaten = [o for o in table.outcomes if o.is_feasible and o.number not in on_front]
    infeasible = [outcome for outcome in table.outcomes if not outcome.is_feasible]
    figure = Drawing()
    for name, shown, colour, symbol in (
        ("breaks a constraint", infeasible, GREY, "x-thin-open"),
        ("beaten by another", beaten, COLOURS[0], "circle"),
        ("on the front", list(table.front), COLOURS[1], "square"),
    ):
        if shown:
            figure.add(
                "scatter",
                x=[outcome.values[1] for outcome in shown],
                y=[outcome.values[0] for outcome in shown],
                mode="lines+markers" if shown == list(table.front) else "markers",
                line={"shape": "hv", "width": 1, "color": colour},
                marker={"color": colour, "size": 9, "symbol": symbol},
                name=name,
                text=[_hover(outcome, settings.get(outcome.number, {})) for outcome in shown],
                hovertemplate=f"%{{text}}<br>{first} %{{y}}, {second} %{{x:,}}<extra></extra>",
            )
    winner = next(
        (o for o in table.front if table.winner and o.number == table.winner.number), None
    )
    if winner:
        ring = {"color": COLOURS[1], "symbol": "circle-open", "size": 17, "line": {"width": 2}}
        figure.add(
            "scatter",
            x=[winner.values[1]],
            y=[winner.values[0]],
            mode="markers",
            marker=ring,
            name=f"winner (trial {winner.number})",
            hoverinfo="skip",
        )
    figure.set_layout(
        xaxis={"title": second}, yaxis={"title": f"validation {first}"}, showlegend=False
    )
    return figure


def _hover(outcome: Outcome, settings: Mapping[str, object]) -> str:
    lines = [f"trial {outcome.number}"]
    lines += [f"{name} = {setting(value)}" for name, value in settings.items()]
    return "<br>".join(map(plotly_text, lines))


def _growth(table: StudyTable) -> Panel:
    shares = hypervolumes(table.outcomes, table.runs.space.goals)
    figure = Drawing()
    figure.add(
        "scatter",
        x=list(shares),
        y=list(shares.values()),
        mode="lines+markers",
        line={"shape": "hv", "color": COLOURS[1]},
        hovertemplate="after trial %{x}: %{y:.3f}<extra></extra>",
    )
    axis = trial_axis(max(shares, default=0))
    figure.set_layout(xaxis=axis, yaxis={"title": "hypervolume"}, showlegend=False)
    text = (
        "Share of the objectives' space that the front covers after each complete trial. Every "
        "objective is scaled from its best (0) to its worst value (1) in this study, with the "
        "reference point at 1.1; the curve of another study cannot be compared with it."
    )
    return Panel("Hypervolume", text, figure)
