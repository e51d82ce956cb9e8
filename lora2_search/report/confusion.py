"""Which classes an arm takes for one another: mistakes a run, arm by arm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from .records import SuiteRuns
from .resampled import CORRELATIONS
from .scores import Scored
from .tables import NONE, Row

_SHOWN = 6
Mistakes = Counter[tuple[int, int]]


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
    counts = {arm: _counts(suite, scores, arm) for arm in suite.arms}
    total: Mistakes = sum((found for found, _ in counts.values()), Counter())
    names = class_names(suite)
    if suite.metric in CORRELATIONS or not any(runs for _, runs in counts.values()):
        return []
    pairs = [pair for pair, _ in total.most_common(shown)]
    rows = []
    for arm, (found, runs) in counts.items():
        row = {"arm": arm, "runs": str(runs)}
        for pair in sorted(pairs):
            heading = f"{named(names, pair[0])} taken for {named(names, pair[1])}"
            row[heading] = f"{found[pair] / runs:.1f}" if runs else NONE
        wrong = sum(found.values())
        rows.append(row | {"all mistakes": f"{wrong / runs:.1f}" if runs else NONE})
    return rows


def _counts(
    suite: SuiteRuns, scores: Mapping[tuple[str, int], Scored], arm: str
) -> tuple[Mistakes, int]:
    found: Mistakes = Counter()
    runs = 0
    for seed in suite.seeds:
        scored = scores.get((arm, seed))
        if scored is None or scored.predictions is None or scored.diverged:
            continue
        runs += 1
        told = scored.predictions
        wrong = (told.labels != told.predictions) & np.isfinite(told.predictions)
        pairs = zip(told.labels[wrong], told.predictions[wrong], strict=True)
        found.update((int(label), int(said)) for label, said in pairs)
    return found, runs


def class_names(suite: SuiteRuns) -> list[str]:
    """Return the names of the classes, by number; none for numbers, and in records of old."""
    return next((run.record.classes for run in suite.runs.values() if run.record.classes), [])


def named(names: list[str], number: int) -> str:
    """Return a class' name, or its number where it has none."""
    return names[number] if 0 <= number < len(names) else str(number)
