"""A study's winner beside the runs outside the search, each score with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..stats import TestResult
from ..store import RunRecord
from .answers import OTHER_EXAMPLES, over_answers, same_examples
from .records import TEST, Predictions, Run, read_predictions
from .study import StudyTable
from .winner import Confirmation, FreshRuns

_NO_PREDICTIONS = "its test predictions are missing"


@dataclass(frozen=True)
class Standing:
    """What one run of a study scored, and how far the winner is from it.

    Intervals are over new test sentences: the models are taken as they are, so they say nothing of
    other seeds. Of a winner that is confirmed on fresh seeds all scores are means over those, and
    intervals are over new seeds on the same sentences.

    Attributes:
        name: ``winner``, ``head-only``, the name of a reference, or the constant answer.
        run: Its record and folder; ``None`` where it has none, as the constant answer.
        settings: What a reference sets over the space.
        validation: Its score on the validation split, ``None`` unless it completed.
        test: Its score on the test split with a 95 % interval.
        gap: Winner minus this one on the same test sentences, with a 95 % interval; ``None`` of the
            winner itself.
    """

    name: str
    run: Run | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    validation: float | None = None
    test: TestResult = TestResult()
    gap: TestResult | None = None


def standings(table: StudyTable) -> list[Standing]:
    """Return the winner, then references, head-only and the constant answer; empty without one."""
    winner = table.winner_run
    if table.winner is None:
        return []
    if table.confirmed is not None:
        return _confirmed(table.confirmed, table)
    answers = None if winner is None else read_predictions(winner, TEST)
    ours = _standing("winner", winner, answers, None, table)
    if table.space.seeds > 1:  # it was chosen by the mean
        ours = replace(ours, validation=table.winner.values[0])
    found = [ours]
    outside = {**table.runs.references, table.runs.space.floor_method: table.runs.reference}
    for name, run in outside.items():
        if run is None:
            continue
        theirs = read_predictions(run, TEST)
        settings = table.runs.space.references.get(name, {})
        found.append(_standing(name, run, theirs, answers, table, settings))
    return found + _constant(winner, answers, table)


def test_gap(ours: Run, theirs: Run, metric: str) -> TestResult:
    """Return the difference of two runs' test scores, ours minus theirs, paired by sentence."""
    runs = (ours, theirs)
    scores = ours.record.score(TEST, metric), theirs.record.score(TEST, metric)
    return _gap(runs, [read_predictions(run, TEST) for run in runs], scores, metric)


test_gap.__test__ = False  # type: ignore[attr-defined]  # its name makes pytest take it for a test


def _standing(
    name: str,
    run: Run | None,
    own: Predictions | None,
    winners: Predictions | None,
    table: StudyTable,
    settings: Mapping[str, Any] | None = None,
) -> Standing:
    record = run.record if run and run.record.status == "completed" else None
    if run is None or record is None:
        return Standing(name, run, settings or {})
    value, metric = record.score(TEST, table.metric), table.metric
    classes = len(record.classes) or None
    gap = None
    if name != "winner" and table.winner_run is not None:
        ours = table.winner_run.record.score(TEST, metric)
        gap = _gap((table.winner_run, run), (winners, own), (ours, value), metric)
    test = _score(own, value, metric, classes)
    return Standing(name, run, settings or {}, record.score("validation", metric), test, gap)


def _confirmed(found: Confirmation, table: StudyTable) -> list[Standing]:
    """Return the winner and its baselines as means over the seeds that are reported."""
    if found.reported is None or not found.reported.runs:
        test = TestResult(note="it is scored once the winner is chosen")
        score = table.winner.values[0] if table.winner else None
        return [Standing("winner", table.winner_run, validation=score, test=test)]
    rows = [_mean_standing("winner", found.reported)]
    rows += [
        _mean_standing(item.name, item.fresh, item.settings, item.gap) for item in found.baselines
    ]
    record = next(iter(found.reported.runs.values())).record
    value = record.constant.get(f"{TEST}/{table.metric}")
    test = found.reported.test
    if value is None or test.estimate is None:
        return rows
    low, high = (None if end is None else end - value for end in (test.low, test.high))
    gap = TestResult(estimate=test.estimate - value, low=low, high=high, n=test.n)
    validation = record.constant.get(f"validation/{table.metric}")
    name = _constant_name(record)
    return [*rows, Standing(name, None, {}, validation, TestResult(estimate=value), gap)]


def _mean_standing(
    name: str,
    fresh: FreshRuns,
    settings: Mapping[str, Any] | None = None,
    gap: TestResult | None = None,
) -> Standing:
    run = next(iter(fresh.runs.values()), None)
    return Standing(name, run, settings or {}, fresh.validation.estimate, fresh.test, gap)


def _constant_name(record: RunRecord) -> str:
    return f"always {record.commonest!r}" if record.classes else "always the mean"


def _constant(winner: Run | None, answers: Predictions | None, table: StudyTable) -> list[Standing]:
    if winner is None or not winner.record.constant:
        return []
    record, metric = winner.record, table.metric
    value = record.constant.get(f"{TEST}/{metric}")
    classes = len(record.classes) or None
    constant = None
    if answers is not None and record.commonest in record.classes:
        chosen = float(record.classes.index(record.commonest))
        same = np.full_like(answers.labels, chosen)
        constant = Predictions(answers.examples, answers.labels, same)
    scores = record.score(TEST, metric), value
    gap = _gap([winner], (answers, constant), scores, metric)
    return [
        Standing(
            name=_constant_name(record),
            run=None,
            validation=record.constant.get(f"validation/{metric}"),
            test=_score(constant, value, metric, classes),
            gap=gap,
        )
    ]


def _score(
    own: Predictions | None, value: float | None, metric: str, classes: int | None
) -> TestResult:
    if value is None:
        return TestResult(note=_NO_PREDICTIONS)
    return over_answers(value, metric, [own], classes)


def _gap(
    runs: Sequence[Run],
    said: Sequence[Predictions | None],
    scores: tuple[float | None, float | None],
    metric: str,
) -> TestResult:
    if not same_examples(runs, said):
        return TestResult(note=OTHER_EXAMPLES)
    known = None if None in scores else float(scores[0] or 0.0) - float(scores[1] or 0.0)
    if known is None or any(item is None for item in said):
        return TestResult(estimate=known, note=_NO_PREDICTIONS)
    return over_answers(known, metric, said, len(runs[0].record.classes) or None)
