"""Trials for measurements of what is around them: a run reports and records as training does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from lora2_search.config.run import RunConfig
from lora2_search.config.space.schema import Space, validate_space
from lora2_search.config.yaml import Source
from lora2_search.execution.trainable import Run, TrialTrainable
from lora2_search.store.record import Point, RunRecord, read_record
from lora2_search.training.events import Report

EVALUATIONS = 5


def space_of(trials: int, concurrent: int | None = 2) -> Space:
    """Return a search of so many trials, by the random sampler and without early stopping."""
    settings: dict[str, Any] = {
        "name": f"of{trials}",
        "task": "sentiment",
        "training": {"device": "cpu", "evaluations": EVALUATIONS},
        "search": {
            "training.lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
            "adapter.k": {"type": "int", "low": 1, "high": 16},
        },
        "sampler": {"name": "random"},
        "scheduler": {"name": "none"},
        "trials": trials,
        "resources": {"concurrent": concurrent},
    }
    return validate_space(Source(settings))


def report_at(interval: int, history: tuple[Point, ...] = ()) -> Report:
    """Return what a run reports at an evaluation: ten points, of which the last has the score.

    Args:
        interval: Its number, from 1.
        history: The points to report, of a run that begins again after this evaluation.
    """
    step = 10 * interval
    points = [
        Point(step=at, time_ms=at, metrics={"train/loss": 0.5}) for at in range(step - 9, step)
    ]
    points.append(Point(step=step, time_ms=step, metrics={"validation/accuracy": 0.7}))
    done = interval == EVALUATIONS
    told = history or tuple(points)
    return Report(interval, EVALUATIONS, step, 10 * EVALUATIONS, 0.7, 8, told, done)


def iterate(config: RunConfig, folder: Path, pause: float = 0.0) -> Run:
    """Report and record as training does, from the last evaluation that the record holds.

    Args:
        config: Of the run.
        folder: Of the run.
        pause: Seconds before each evaluation.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = read_record(folder) or RunRecord(
        fingerprint=config.fingerprint(),
        config=config.model_dump(mode="json"),
        metric="accuracy",
        total_steps=10 * EVALUATIONS,
    )
    done = len(record.history) // 10
    if done:
        yield report_at(done, tuple(record.history))
    for interval in range(done + 1, EVALUATIONS + 1):
        time.sleep(pause)
        report = report_at(interval)
        record.history += report.points
        record.scores = {"validation/accuracy": report.score, "test/accuracy": report.score}
        record.status = "completed" if report.done else "running"
        record.write(folder)
        yield report
    return record


class StandIn(TrialTrainable):
    """Runs `iterate` in the place of training, at once."""

    pause = 0.0

    def _start(self, config: RunConfig, folder: Path) -> Run:
        return iterate(config, folder, self.pause)


class FiveSeconds(StandIn):
    """The same in five seconds."""

    pause = 1.0
