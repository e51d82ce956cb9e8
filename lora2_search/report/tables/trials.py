"""The numbers behind a study's figures as tables, for those who read rather than look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...analysis import Contour, Span, Standing, Stop, TrialPoint
from ...store import RankGrid
from ..figures.style import STATE_STYLES
from ..figures.trials import Curve
from .table import NONE, Column, Place, Table, text_column
from .text import between, differences, scores


def standings_table(rows: Sequence[Standing], metric: str, shown: str) -> Table:
    """Return the winner, its baselines and how far it is from each, with intervals.

    Args:
        rows: The winner first.
        metric: The objective.
        shown: The objective for people.
    """
    columns = (
        text_column("run"),
        scores("validation", f"validation {shown}", metric),
        scores("test", f"test {shown}", metric),
        scores("test_low", "95 % from", metric),
        scores("test_high", "to", metric),
        differences("gap", "winner − this, test", metric),
        differences("gap_interval", "95 % interval", metric),
        text_column("note", "remarks", wraps=True),
    )
    return Table(columns, tuple(_standing(row) for row in rows))


def _standing(row: Standing) -> dict[str, Any]:
    status = row.run.record.status if row.run else "completed"
    gap = row.gap
    notes = dict.fromkeys(filter(None, (row.test.note, gap.note if gap else "")))
    return {
        "run": row.name if status == "completed" else f"{row.name} ({status})",
        "validation": row.validation,
        "test": row.test.estimate,
        "test_low": row.test.low,
        "test_high": row.test.high,
        "gap": gap.estimate if gap else None,
        "gap_interval": between(gap.low, gap.high) if gap else None,
        "note": "; ".join(notes) or None,
    }


def history_table(points: Sequence[TrialPoint], metric: str) -> Table:
    """Return each trial's state and score, and the best one so far."""
    columns = (
        Column("trial", "trial"),
        text_column("state"),
        scores("score", f"validation {metric}", metric),
        scores("best", "best so far", metric),
    )
    rows = (
        {
            "trial": point.number,
            "state": STATE_STYLES[point.state].word,
            "score": point.score,
            "best": point.best,
        }
        for point in points
    )
    return Table(columns, tuple(rows))


def stops_table(stops: Sequence[Stop], evaluations: int, metric: str) -> Table:
    """Return what was stopped, when, how it stood there, and why.

    Args:
        stops: Pruned and failed trials.
        evaluations: Of a whole run.
        metric: The objective.
    """
    columns = (
        Column("trial", "trial"),
        text_column("state"),
        Column("evaluation", f"after evaluation (of {evaluations})"),
        scores("score", f"validation {metric} there", metric),
        scores("best", "best trial there", metric),
        text_column("rank", "place there"),
        text_column("reason", "why", wraps=True),
    )
    rows = (
        {
            "trial": stop.number,
            "state": STATE_STYLES[stop.state].word,
            "evaluation": stop.evaluation or None,
            "score": stop.score,
            "best": stop.best,
            "rank": None if stop.rank is None else Place(stop.rank, stop.among),
            "reason": stop.reason.partition("\n")[0] or None,
        }
        for stop in stops
    )
    return Table(columns, tuple(rows))


def timeline_table(spans: Sequence[Span]) -> Table:
    """Return when each run was trained, and by which worker."""
    columns = (
        text_column("run"),
        text_column("state"),
        Column("worker", "worker"),
        Column("start", "from", format=_whole, unit="s"),
        Column("end", "to", format=_whole, unit="s"),
    )
    rows = (
        {
            "run": span.name,
            "state": STATE_STYLES[span.state].word,
            "worker": span.worker + 1,
            "start": span.start,
            "end": span.end,
        }
        for span in spans
    )
    return Table(columns, tuple(rows))


def curves_table(curves: Sequence[Curve], metric: str) -> Table:
    """Return one row per trial and one column per evaluation step."""
    steps = sorted({step for curve in curves for step in curve.steps})
    columns = (
        Column("trial", "trial"),
        *(scores(f"step{step}", f"step {step}", metric) for step in steps),
    )
    rows = (
        {
            "trial": curve.number,
            **{f"step{s}": value for s, value in zip(curve.steps, curve.scores, strict=True)},
        }
        for curve in curves
    )
    return Table(columns, tuple(rows))


def importances_table(shares: Mapping[str, float]) -> Table:
    """Return each setting's share of the variation of the score."""
    columns = (text_column("setting"), Column("share", "share", format=_share))
    return Table(columns, tuple({"setting": name, "share": v} for name, v in shares.items()))


def contour_table(found: Contour, metric: str) -> Table:
    """Return the trials that a contour is interpolated from."""
    columns = (
        Column("trial", "trial"),
        Column("across", found.across.name, format=_named(found.across.choices)),
        Column("up", found.up.name, format=_named(found.up.choices)),
        scores("score", f"validation {metric}", metric),
    )
    keys = ("trial", "across", "up", "score")
    return Table(columns, tuple(dict(zip(keys, item, strict=True)) for item in found.trials))


def rank_grid_table(grid: RankGrid) -> Table:
    """Return the kept ranks, one row per kind of module and one column per block."""
    columns = (
        text_column("module", "module"),
        *(Column(layer, f"block {layer}") for layer in grid.layers),
    )
    rows = (
        {"module": kind, **dict(zip(grid.layers, ranks, strict=True))}
        for kind, ranks in zip(grid.kinds, zip(*grid.ranks, strict=True), strict=True)
    )
    return Table(columns, tuple(rows))


def expected_table(expected: Sequence[float], metric: str) -> Table:
    """Return the expected best score by the number of trials."""
    columns = (
        Column("trials", "trials"),
        scores("score", f"expected best validation {metric}", metric),
    )
    rows = ({"trials": place, "score": v} for place, v in enumerate(expected, start=1))
    return Table(columns, tuple(rows))


def _whole(value: float | None) -> str:
    return NONE if value is None else f"{value:.0f}"


def _share(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _named(choices: Sequence[str]) -> Callable[[float | None], str]:
    """Return how a coordinate is written: a choice by its name, a number by its digits."""

    def text(value: float | None) -> str:
        if value is None:
            return NONE
        return choices[int(value)] if choices else f"{value:.3g}"

    return text
