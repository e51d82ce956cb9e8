"""How firmly a winner stands: what it does not beat, and whether others score the same."""

from __future__ import annotations

from collections.abc import Mapping

from ..training.record import RunRecord

_LISTED = 8


def caveats(
    scores: Mapping[int, float | None],
    head_only: RunRecord | None,
    metric: str | None,
    references: Mapping[str, RunRecord] | None = None,
) -> list[str]:
    """Return what must be said beside a winner, one plain sentence each; empty when all is well.

    Args:
        scores: What the trials scored on the validation split, by number; ``None`` for those that
            are not complete.
        head_only: The record of the head-only run; ``None`` where there is none.
        metric: The objective; ``None`` for the primary metric.
        references: The records of the other runs outside the search, by name.
    """
    complete = {number: score for number, score in scores.items() if score is not None}
    if not complete:
        return []
    best = max(complete.values())
    beside = {"head-only": head_only, **(references or {})}
    said = [
        f"The winner is no better than {name} on the validation split."
        for name, record in beside.items()
        if (floor := _reached(record, metric)) is not None and best <= floor
    ]
    tied = sorted(number for number, score in complete.items() if score == best)
    if len(tied) > 1:
        said.append(f"Trials {_listed(tied)} tie; the first is shown.")
    return said


def _reached(record: RunRecord | None, metric: str | None) -> float | None:
    if record is None or record.status != "completed":
        return None
    return record.score("validation", metric)


def _listed(numbers: list[int]) -> str:
    more = len(numbers) - _LISTED
    shown = ", ".join(map(str, numbers[:_LISTED]))
    return f"{shown} and {more} more" if more > 0 else shown
