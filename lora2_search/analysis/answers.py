"""What the answers of one or two runs tell: intervals over test examples, and where they differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..config import METRICS, OF_LOGITS
from ..stats import CORRELATIONS, TestResult, over_examples, scorer
from .examples import Disagreement, Texts, texts_of, widest_apart
from .records import TEST, Predictions, Run, read_predictions

Pairs = Sequence[tuple[Run, Run]]

OTHER_EXAMPLES = "they were not tested on the same examples of the same data"

# A record holds the score in all its digits; the order of a sum may change the last ones.
_TOLERANCE = 1e-6


def over_answers(
    value: float, metric: str, said: Sequence[Predictions | None], classes: int | None
) -> TestResult:
    """Return a score of one run, or a difference of two, with its interval over the examples.

    The models are taken as they are, so the interval says nothing of other seeds. ``note`` says why
    there is none.

    Args:
        value: As the records have it, to the last digit.
        metric: What it is of.
        said: The answers of the run, or of both, on the same examples.
        classes: How many classes the task has; ``None`` for numbers.
    """
    known = [item for item in said if item is not None and len(item.labels)]
    note = _no_interval(metric, known, len(said))
    if note:
        return TestResult(estimate=value, note=note)
    scorers = [scorer(metric, item.labels, item.predictions[None, :], classes) for item in known]

    def contrast(columns: Any) -> float:
        first, *second = (score(0, columns) for score in scorers)
        return first - sum(second)

    examples = len(known[0].labels)
    if not math.isclose(contrast(np.arange(examples)), value, rel_tol=0, abs_tol=_TOLERANCE):
        whose, what = ("its", "score") if len(said) == 1 else ("their", "scores")
        return TestResult(
            estimate=value, note=f"{whose} predictions do not give the recorded {what}"
        )
    return replace(over_examples(contrast, examples), estimate=value)


def _no_interval(metric: str, known: Sequence[Predictions], wanted: int) -> str:
    """Say why answers give no interval; empty where they do."""
    if metric in OF_LOGITS or metric not in METRICS:
        return f"{metric} is not made of answers alone, so there is no interval over examples"
    if len(known) < wanted:
        return "the predictions are missing"
    if any(not np.isfinite(item.predictions).all() for item in known):
        return "some predictions are not finite"
    return ""


def same_examples(runs: Sequence[Run], said: Sequence[Predictions | None]) -> bool:
    """Whether runs answered the same examples of the same data.

    What is not known, the data of an older record or the answers of a run, tells nothing apart.
    """
    hashes = {run.record.data_hash for run in runs if run.record.data_hash}
    known = [item for item in said if item is not None]
    return len(hashes) < 2 and all(
        np.array_equal(known[0].examples, item.examples)
        and np.array_equal(known[0].labels, item.labels)
        for item in known
    )


@dataclass(frozen=True)
class Examples:
    """The test examples that the two answer otherwise.

    Attributes:
        both: How many both get right; with several seeds, the mean over them. ``None`` for numbers.
        first: How many the first alone gets right.
        second: How many the second alone gets right.
        neither: How many neither gets right.
        shown: The widest apart, those that the first is better on before the others.
        texts: Texts by number, where the data are on this machine.
        classes: Names of the classes; empty for numbers.
        note: Why there is nothing to compare; empty where there is.
    """

    both: float | None = None
    first: float | None = None
    second: float | None = None
    neither: float | None = None
    shown: tuple[Disagreement, ...] = ()
    texts: Texts = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    note: str = ""


def examples_between(pairs: Pairs, shown: int) -> Examples:
    """Return the test examples that two results answer otherwise, over pairs of their runs."""
    read = [
        tuple(read_predictions(run, TEST) for run in pair)
        for pair in pairs
        if all(run.record.status == "completed" for run in pair)
    ]
    whole = [(one, other) for one, other in read if one is not None and other is not None]
    if not whole:
        return Examples(note="no two of their runs have test predictions that can be compared")
    runs = [run for pair in pairs for run in pair]
    if not same_examples(runs, [item for pair in whole for item in pair]):
        return Examples(note=OTHER_EXAMPLES)
    labels = whole[0][0].labels
    ours, theirs = (np.stack([pair[side].predictions for pair in whole]) for side in (0, 1))
    record = pairs[0][0].record
    numbers = record.metric in CORRELATIONS
    found = Examples() if numbers else _counted(ours == labels, theirs == labels)
    apart = widest_apart(whole[0][0].examples, labels, ours, theirs, numbers, shown)
    texts = texts_of(pairs[0][0]) if apart else {}
    wanted = {item.example: texts[item.example] for item in apart if item.example in texts}
    return replace(found, shown=tuple(apart), texts=wanted, classes=tuple(record.classes))


def _counted(ours: Any, theirs: Any) -> Examples:
    """Return how many examples each of the two gets right, from ``[S, E]`` truths."""
    return Examples(
        both=float((ours & theirs).sum(axis=1).mean()),
        first=float((ours & ~theirs).sum(axis=1).mean()),
        second=float((~ours & theirs).sum(axis=1).mean()),
        neither=float((~ours & ~theirs).sum(axis=1).mean()),
    )
