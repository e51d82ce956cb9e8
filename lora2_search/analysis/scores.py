"""Test scores of a suite's runs, with diverged runs counted instead of dropped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..config import score
from .records import TEST, Predictions, Run, SuiteRuns, read_predictions


@dataclass(frozen=True)
class Scored:
    """A run that counts.

    Attributes:
        value: Score on the test split.
        predictions: Its test predictions, ``None`` when it left none.
        diverged: Whether both stand for a run that diverged; see `scores_on_test`.
    """

    value: float
    predictions: Predictions | None
    diverged: bool


def scores_on_test(suite: SuiteRuns) -> dict[tuple[str, int], Scored]:
    """Return the test score of every run that ended, by (arm, seed).

    A diverged run counts as one that always answers the commonest class (numbers: the mean); of
    a language model, as one that has no answer right.
    Runs that are missing, still going or failed for other reasons are not in the result.
    """
    read = {key: read_predictions(run, TEST) for key, run in suite.runs.items()}
    sound = [read[key] for key, run in suite.runs.items() if not run.diverged]
    sentences = next((item for item in sound if item is not None), None)
    result = {}
    for key, run in suite.runs.items():
        if run.diverged:
            stand_in = _all_wrong if suite.plan.is_language else _as_majority
            scored = stand_in(run, suite, sentences)
        elif run.record.status == "completed":
            value = run.record.scores.get(f"{TEST}/{suite.metric}")
            scored = None if value is None else Scored(value, read[key], False)
        else:
            scored = None
        if scored is not None:
            result[key] = scored
    return result


def _all_wrong(run: Run, suite: SuiteRuns, sentences: Predictions | None) -> Scored | None:
    if sentences is None:
        return Scored(0.0, None, True)
    # Any other answer is wrong: 0 where text is generated, else the number of another option.
    count = max(2, int(sentences.labels.max()) + 1)
    answers = (sentences.labels + 1) % count
    return Scored(0.0, Predictions(sentences.examples, sentences.labels, answers), True)


def _as_majority(run: Run, suite: SuiteRuns, sentences: Predictions | None) -> Scored | None:
    majority = run.record.majority
    if sentences is None:
        # The share of the commonest class is no score of another metric.
        if majority is None or suite.metric != "accuracy":
            return None
        return Scored(majority, None, True)
    values, counts = np.unique(sentences.labels, return_counts=True)
    share = counts / counts.sum()
    # The record says which share of the test set the commonest training class is.
    nearest = share.argmax() if majority is None else np.abs(share - majority).argmin()
    answers = np.full_like(sentences.labels, values[nearest])
    value = score(suite.metric, sentences.labels, answers, suite.classes)
    if value is None:  # undefined on these labels
        return None
    return Scored(value, Predictions(sentences.examples, sentences.labels, answers), True)
