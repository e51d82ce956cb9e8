"""Two studies, or two suites, side by side as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...analysis import Arm, ArmPair, Standing, StudyPair, StudyTable, TrialPoint
from ...stats import LEVEL, t_reach
from .table import Column, Spread, Table, text_column
from .text import between, chosen_values, differences, scores
from .trials import history_table


def best_table(found: StudyPair, names: tuple[str, str]) -> Table:
    """Return both winners: trials behind them, validation score, test score with its interval.

    Args:
        found: Both studies.
        names: What they are called.
    """
    metric = found.left.metric
    columns = (
        text_column("study"),
        Column("trials", "trials"),
        Column("complete", "complete"),
        Column("winner", "winner: trial"),
        Column("seeds", "seeds"),
        scores("validation", f"validation {found.left.shown_metric}", metric),
        scores("test", f"test {found.left.shown_metric}", metric),
        scores("low", "95 % from", metric),
        scores("high", "to", metric),
        text_column("note", "remarks", wraps=True),
    )
    both = zip(names, found.both, found.winners, strict=True)
    return Table(columns, tuple(_best(*item) for item in both))


def _best(name: str, study: StudyTable, row: Standing | None) -> dict[str, Any]:
    return {
        "study": name,
        "trials": len(study.trials),
        "complete": sum(trial.state.name == "COMPLETE" for trial in study.trials),
        "winner": study.winner.number if study.winner else None,
        "seeds": len(study.winner_runs) or None,
        "validation": row.validation if row else None,
        "test": row.test.estimate if row else None,
        "low": row.test.low if row else None,
        "high": row.test.high if row else None,
        "note": (row.test.note if row else "") or None,
    }


def histories_table(histories: Mapping[str, Sequence[TrialPoint]], metric: str) -> Table:
    """Return the histories of several studies under one another.

    Args:
        histories: By the name of a study.
        metric: What they maximise.
    """
    rows = (
        {"study": name, **row}
        for name, points in histories.items()
        for row in history_table(points, metric).rows
    )
    return Table((text_column("study"), *history_table((), metric).columns), tuple(rows))


def settings_table(found: StudyPair, names: tuple[str, str]) -> Table:
    """Return the settings of both winners: what is searched, or differs.

    Args:
        found: Both studies.
        names: What they are called.
    """
    left, right = names
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
        names: What the suites are called.
        metric: What they compare.
        shown: The metric for people.
    """
    left, right = names
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
