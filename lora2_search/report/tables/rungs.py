"""The rungs of a study that is halved, as a table."""

from __future__ import annotations

from ...analysis import Climb
from .table import NONE, Column, Table, text_column
from .text import scores


def rungs_table(found: Climb, metric: str) -> Table:
    """Return one row per rung: how long its runs were, who went on, and how well it ranks."""
    columns = (
        Column("rung", "rung"),
        text_column("share", "of a run"),
        Column("complete", "complete"),
        Column("failed", "failed"),
        Column("went_on", "went on"),
        scores("best", f"best validation {metric}", metric),
        Column("tau", "τ with the final scores", format=_tau),
        Column("pairs", "of trials"),
    )
    rows = (
        {
            "rung": rung.number,
            "share": str(rung.share),
            "complete": len(rung.scores),
            "failed": len(rung.failed),
            "went_on": len(rung.went_on),
            "best": max(rung.scores.values(), default=None),
            "tau": rung.tau,
            "pairs": rung.pairs if rung.share < 1 else None,
        }
        for rung in found.rungs
    )
    return Table(columns, tuple(rows))


def _tau(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"
