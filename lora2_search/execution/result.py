"""What one step of a trial sends to the driver: plain values, the same keys every time."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..store import Point, RunRecord
from ..training import Report

SCORE = "score"


STANDARD_ERROR = "standard_error"


INTERVAL = "training_iteration"


COMPLETED = "completed"


FAILED = "failed"


REPORT = "report"


def of_report(report: Report) -> dict[str, Any]:
    """Return the result of an evaluation interval; the run is complete when the report is.

    Its score, which Tune compares, is the report's, and so is its standard error.
    """
    # One string: Tune flattens and copies nested values, and keeps them in its own state.
    text = json.dumps({**asdict(report), "points": [point.model_dump() for point in report.points]})
    told = _result(report.score, report.interval, completed=report.done, failed="", report=text)
    return told | {STANDARD_ERROR: report.standard_error}


def of_failure(reason: str, interval: int) -> dict[str, Any]:
    """Return the result of a run that failed in its own process, which stays fit for the next."""
    return _result(math.nan, interval, completed=False, failed=reason or "unknown", report="")


def report_of(result: Mapping[str, Any]) -> Report | None:
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


def _result(
    score: float, interval: int, *, completed: bool, failed: str, report: str
) -> dict[str, Any]:
    return {
        SCORE: score,
        STANDARD_ERROR: math.nan,
        INTERVAL: interval,
        COMPLETED: completed,
        FAILED: failed,
        REPORT: report,
        "done": completed or bool(failed),
    }
