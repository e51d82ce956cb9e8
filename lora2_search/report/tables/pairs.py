"""Two studies, or two suites, side by side as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...analysis import Arm, ArmPair, Standing, StudyPair, StudyTable
from ...stats import LEVEL, t_reach
from .table import Column, Spread, Table, text_column
from .text import between, chosen_values, differences, scores


def best_table(found: StudyPair) -> Table:
    """Return both winners: trials behind them, validation score, test score with its interval."""
    metric = found.left.metric
    columns = (
        text_column("study"),
        Column("trials", "trials"),
        Column("complete", "complete"),
        Column("winner", "winner: trial"),
        scores("validation", f"validation {found.left.shown_metric}", metric),
        scores("test", f"test {found.left.shown_metric}", metric),
        scores("low", "95 % from", metric),
        scores("high", "to", metric),
    )
    rows = (_best(study, row) for study, row in zip(found.both, found.winners, strict=True))
    return Table(columns, tuple(rows))


def _best(study: StudyTable, row: Standing | None) -> dict[str, Any]:
    return {
        "study": study.runs.space.name,
        "trials": len(study.trials),
        "complete": sum(trial.state.name == "COMPLETE" for trial in study.trials),
        "winner": study.winner.number if study.winner else None,
        "validation": row.validation if row else None,
        "test": row.test.estimate if row else None,
        "low": row.test.low if row else None,
        "high": row.test.high if row else None,
    }


def settings_table(found: StudyPair, names: tuple[str, str]) -> Table:
    """Return the settings of both winners: what is searched, or differs.

    Args:
        found: Both studies.
        names: Of the studies.
    """
    left, right = _told_apart(names)
    columns = (
        text_column("setting"),
        chosen_values("left", left),
        chosen_values("right", right),
        text_column("searched", "searched or fixed"),
    )
    rows = (
        {
            "setting": pair.name,
            "left": pair.first,
            "right": pair.second,
            "searched": "searched" if pair.name in found.searched else "fixed",
        }
        for pair in found.settings
    )
    return Table(columns, tuple(rows))


def arm_pairs_table(
    pairs: Sequence[ArmPair], names: tuple[str, str], metric: str, shown: str
) -> Table:
    """Return the arms of both suites: mean test scores, and their difference where it is known.

    Args:
        pairs: The arms.
        names: Of the suites.
        metric: What they compare.
        shown: The metric for people.
    """
    left, right = _told_apart(names)
    columns = (
        text_column("arm"),
        scores("left", f"{left}: test {shown}", metric),
        Column("left_seeds", "seeds"),
        scores("right", f"{right}: test {shown}", metric),
        Column("right_seeds", "seeds"),
        differences("gap", f"{left} − {right}", metric),
        differences("gap_interval", "95 % interval", metric),
        text_column("note", "remarks", wraps=True),
    )
    rows = (
        {
            "arm": pair.name,
            "left": _mean(pair.left),
            "left_seeds": len(pair.left.scores) if pair.left else None,
            "right": _mean(pair.right),
            "right_seeds": len(pair.right.scores) if pair.right else None,
            "gap": pair.gap.estimate,
            "gap_interval": between(pair.gap.low, pair.gap.high),
            "note": pair.gap.note or None,
        }
        for pair in pairs
    )
    return Table(columns, tuple(rows))


def arm_reach(arm: Arm) -> float | None:
    """Return half the width of the 95 % t interval of an arm's mean; ``None`` of one seed."""
    import numpy as np

    values = np.asarray(list(arm.scores.values()), dtype=float)
    return t_reach(values, LEVEL) if len(values) > 1 else None


def _mean(arm: Arm | None) -> Spread | None:
    if arm is None or arm.mean is None:
        return None
    return Spread(arm.mean, arm_reach(arm))


def _told_apart(names: tuple[str, str]) -> tuple[str, str]:
    """Two that were run under one name, in different folders, are the first and the second."""
    left, right = names
    return (f"{left} (1)", f"{right} (2)") if left == right else names
