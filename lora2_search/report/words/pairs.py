"""What must be said beside two studies that are compared."""

from __future__ import annotations

from ...analysis import StudyPair
from ..tables.text import interval
from .study import mean_line

# What the two are called on their page.
Names = tuple[str, str]

_OF_FRESH = "means over fresh seeds, on which nothing was chosen, with intervals over new seeds"
_OF_ONE = "one run on the seed that it was chosen on, with an interval over new test sentences"


def told_apart(left: str, right: str) -> Names:
    """Return what two are called: those of one name, in different folders, with a number each."""
    return (f"{left} (1)", f"{right} (2)") if left == right else (left, right)


def winner_lines(found: StudyPair, names: Names) -> list[str]:
    """Say what the test score of each winner is of."""
    return [
        f"{name}, winner's test score"
        if study.confirmed is None or row is None
        else f"{name}: {mean_line(row, study.metric)}"
        for name, study, row in zip(names, found.both, found.winners, strict=True)
    ]


def difference_line(found: StudyPair, names: Names) -> str:
    """Say what the difference of two winners is over, with its interval, or why there is none."""
    gap, of = found.gap, " − ".join(names)
    over = "the same sentences"
    if found.is_confirmed:
        over = f"mean over the {gap.n} seeds that both have"
    if gap.low is None or gap.high is None:
        return f"{of}: {gap.note}"
    sure = "" if gap.low > 0 or gap.high < 0 else "; not shown to differ"
    return f"{of}, {over} (95 %: {interval(gap.low, gap.high, found.left.metric)}{sure})"


def scores_line(found: StudyPair, names: Names) -> str:
    """Say what the intervals of both winners cover."""
    kinds = [_OF_ONE if study.confirmed is None else _OF_FRESH for study in found.both]
    if not found.is_confirmed:
        return (
            "Intervals are over new test sentences, for these two trained models; each was trained "
            "with one seed, so they do not say what another seed would give."
        )
    if kinds[0] == kinds[1]:
        told = f"Scores are {_OF_FRESH} on the same sentences."
    else:
        told = " ".join(f"{name}: {kind}." for name, kind in zip(names, kinds, strict=True))
    return f"{told} The difference is paired by the seeds that both have."
