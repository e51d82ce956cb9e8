"""How firmly a winner stands: whether it beats head-only, and whether others score the same."""

from __future__ import annotations

from collections.abc import Mapping

from ..training.record import RunRecord

_LISTED = 8


def caveats(
    scores: Mapping[int, float | None], head_only: RunRecord | None, metric: str | None
) -> list[str]:
    """Return what must be said beside a winner, one plain sentence each; empty when all is well.

    Args:
        scores: What the trials scored on the validation split, by number; ``None`` for those that
            are not complete.
        head_only: The record of the head-only run; ``None`` where there is none.
        metric: The objective; ``None`` for the primary metric.
    """
    complete = {number: score for number, score in scores.items() if score is not None}
    if not complete:
        return []
    best = max(complete.values())
    said = []
    ended = head_only is not None and head_only.status == "completed"
    floor = head_only.score("validation", metric) if head_only and ended else None
    if floor is not None and best <= floor:
        said.append("The winner is no better than head-only on the validation split.")
    tied = sorted(number for number, score in complete.items() if score == best)
    if len(tied) > 1:
        said.append(f"Trials {_listed(tied)} tie; the first is shown.")
    return said


def _listed(numbers: list[int]) -> str:
    more = len(numbers) - _LISTED
    shown = ", ".join(map(str, numbers[:_LISTED]))
    return f"{shown} and {more} more" if more > 0 else shown
