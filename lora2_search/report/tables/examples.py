"""Ranks, mistakes and disagreements as rows of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ...analysis import (
    Disagreement,
    Mistakes,
    Scored,
    SuiteRuns,
    Texts,
    class_names,
    mean_ranks,
    mistake_counts,
    named,
)
from ...stats import CORRELATIONS
from ...store import RunRecord
from .text import NONE, Row


def rank_rows(records: Sequence[RunRecord]) -> list[Row]:
    """Return one row a block: the mean kept rank of each kind of module, whole for a single run.

    Empty where no run has ranks.
    """
    mean = mean_ranks(records)
    if mean is None:
        return []
    form = ".0f" if mean.runs == 1 else ".1f"
    return [
        {"block": layer}
        | {
            kind: NONE if rank is None else format(rank, form)
            for kind, rank in zip(mean.kinds, ranks, strict=True)
        }
        for layer, ranks in zip(mean.layers, mean.ranks, strict=True)
    ]


_SHOWN = 6


def confusion_rows(
    suite: SuiteRuns, scores: Mapping[tuple[str, int], Scored], shown: int = _SHOWN
) -> list[Row]:
    """Return, for each arm, how many test sentences of one class are taken for another, a run.

    Args:
        suite: The suite.
        scores: Its runs that count, by (arm, seed). Diverged ones are left out: they made no
            predictions.
        shown: The commonest mistakes over all arms, at most so many.

    Returns:
        Rows of text, empty for tasks whose labels are numbers and where no run left predictions.
    """
    counts = {arm: mistake_counts(suite, scores, arm) for arm in suite.arms}
    total: Mistakes = sum((mistakes for mistakes, _ in counts.values()), Counter())
    names = class_names(suite)
    if suite.metric in CORRELATIONS or not any(runs for _, runs in counts.values()):
        return []
    pairs = [pair for pair, _ in total.most_common(shown)]
    rows = []
    for arm, (mistakes, runs) in counts.items():
        row = {"arm": arm, "runs": str(runs)}
        for pair in sorted(pairs):
            heading = f"{named(names, pair[0])} taken for {named(names, pair[1])}"
            row[heading] = f"{mistakes[pair] / runs:.1f}" if runs else NONE
        wrong = sum(mistakes.values())
        rows.append(row | {"all mistakes": f"{wrong / runs:.1f}" if runs else NONE})
    return rows


def disagreement_rows(
    disagreements: list[Disagreement], suite: SuiteRuns, arm: str, reference: str, texts: Texts
) -> list[Row]:
    """Return the examples as rows of text; without a text, the number tells the example."""
    names, numbers = class_names(suite), suite.metric in CORRELATIONS
    rows = []
    for item in disagreements:
        label = f"{item.label:.3g}" if numbers else named(names, int(item.label))
        rows.append(
            {
                "example": str(item.example),
                "label": label,
                arm: _right(item.ours, item.seeds, numbers),
                reference: _right(item.theirs, item.seeds, numbers),
                "text": texts.get(item.example, NONE),
            }
        )
    return rows


def _right(value: float, seeds: int, numbers: bool) -> str:
    return f"off by {-value:.3g}" if numbers else f"right {value:.0f} of {seeds}"
