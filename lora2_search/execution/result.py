"""What one step of a trial sends to the driver: plain values, the same keys every time."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Final, TypedDict

from ..store import Point, RunRecord
from ..training import Report

SCORE: Final = "score"

STANDARD_ERROR: Final = "standard_error"

INTERVAL: Final = "training_iteration"

COMPLETED: Final = "completed"

FAILED: Final = "failed"

REPORT: Final = "report"


class Result(TypedDict, total=False):
    """A result, to which Tune adds keys of its own; of a trial without a step it has only those.

    Attributes:
        score: What Tune compares; NaN of a run that failed.
        standard_error: Of the score; NaN where it is not known.
        training_iteration: Evaluation intervals done.
        completed: Whether the run came to its end.
        failed: Why it failed, empty when it did not.
        report: The report as JSON, empty for a failure.
        done: Whether the trial is over for Tune.
    """

    score: float
    standard_error: float
    training_iteration: int
    completed: bool
    failed: str
    report: str
    done: bool


def of_report(report: Report) -> Result:
    """Return the result of an evaluation interval; the run is complete when the report is.

    Its score, which Tune compares, is the report's, and so is its standard error.
    """
    # One string: Tune flattens and copies nested values, and keeps them in its own state.
    text = json.dumps({**asdict(report), "points": [point.model_dump() for point in report.points]})
    return Result(
        score=report.score,
        standard_error=report.standard_error,
        training_iteration=report.interval,
        completed=report.done,
        failed="",
        report=text,
        done=report.done,
    )


def of_failure(reason: str, interval: int) -> Result:
    """Return the result of a run that failed in its own process, which stays fit for the next."""
    return Result(
        score=math.nan,
        standard_error=math.nan,
        training_iteration=interval,
        completed=False,
        failed=reason or "unknown",
        report="",
        done=True,
    )


def report_of(result: Result) -> Report | None:
    """Return the report in a result, ``None`` for a failure."""
    if not result[REPORT]:
        return None
    values = json.loads(result[REPORT])
    points = tuple(Point(**point) for point in values.pop("points"))
    return Report(points=points, **values)


def report_of_record(record: RunRecord, metric: str | None = None) -> Report:
    """Return the last report of a run that had already ended, with its whole history.

    Args:
        record: The run's record.
        metric: What it is judged by; ``None`` for the primary metric.
    """
    intervals = int(record.config["training"]["evaluations"])
    score = record.score("validation", metric)
    return Report(
        interval=intervals,
        intervals=intervals,
        step=record.total_steps,
        total_steps=record.total_steps,
        score=math.nan if score is None else score,
        kept_rank=record.kept_rank,
        points=tuple(record.history),
        done=True,
    )
