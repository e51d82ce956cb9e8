"""What a driver does for many trials at once: `python -m benchmarks.scale`.

Searcher, run queue, study, records and spool, without Ray; only the training is a stand-in, whose
time is not counted. Processor time is user and system.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lora2_search.config.run import RunConfig
from lora2_search.config.space.schema import Space, validate_space
from lora2_search.config.yaml import Source
from lora2_search.execution.result import of_report
from lora2_search.execution.run_queue import RunLimits, RunQueue
from lora2_search.execution.trainable import Run, Task
from lora2_search.search.ask_tell import AskTell
from lora2_search.search.storage import open_study
from lora2_search.store.record import Point, RunRecord
from lora2_search.tracking.spool.observer import ParentInfo, SpoolObserver
from lora2_search.training.events import Report

from .machine import today_here

Row = tuple[str, str, str]

_EVALUATIONS = 5


def space_of(trials: int) -> Space:
    settings: dict[str, Any] = {
        "name": f"of{trials}",
        "task": "sentiment",
        "training": {"device": "cpu", "evaluations": _EVALUATIONS},
        "search": {
            "training.lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
            "adapter.k": {"type": "int", "low": 1, "high": 16},
        },
        "sampler": {"name": "random"},
        "scheduler": {"name": "none"},
        "trials": trials,
        "resources": {"concurrent": 2},
    }
    return validate_space(Source(settings))


def report_at(interval: int) -> Report:
    """Return what a run reports at an evaluation: ten points, of which the last has the score."""
    step = 10 * interval
    points = [
        Point(step=at, time_ms=at, metrics={"train/loss": 0.5}) for at in range(step - 9, step)
    ]
    points.append(Point(step=step, time_ms=step, metrics={"validation/accuracy": 0.7}))
    done = interval == _EVALUATIONS
    return Report(interval, _EVALUATIONS, step, 10 * _EVALUATIONS, 0.7, 8, tuple(points), done)


def stand_in(config: RunConfig, folder: Path) -> Run:
    """Report and record as training does, at once."""
    folder.mkdir(parents=True, exist_ok=True)
    record = RunRecord(
        fingerprint=config.fingerprint(),
        config=config.model_dump(mode="json"),
        metric="accuracy",
        total_steps=10 * _EVALUATIONS,
    )
    for interval in range(1, _EVALUATIONS + 1):
        report = report_at(interval)
        record.history += report.points
        record.scores = {"validation/accuracy": report.score, "test/accuracy": report.score}
        record.status = "completed" if report.done else "running"
        record.write(folder)
        yield report
    return record


def alone(many: int, shared: bool) -> Iterator[Row]:
    """Measure searcher, run queue, study and spool with so many trials under way, without Ray."""
    where = "a journal" if shared else "SQLite"
    for what, (wall, processor) in _spent_alone(many, shared).items():
        value = f"{many / wall:,.0f} a second ({1000 * processor / many:.1f} ms of a core each)"
        bound = ">= 200" if what.startswith("results") else ""
        yield f"{what}, {many:,} under way, {where}", value, bound


def _spent_alone(many: int, shared: bool) -> dict[str, tuple[float, float]]:
    """Return seconds of wall and of processor time, by what the driver does."""
    tasks: dict[str, Task] = {}
    keys = [str(number) for number in range(many)]
    with _desk(space_of(many), shared) as queue:
        spent = {"trials begun": _timed(lambda key: _begin(queue, key, tasks), keys)}
        for interval in (1, 2):
            result = of_report(report_at(interval))
            name = f"results, evaluation {interval}"
            spent[name] = _timed(lambda key, result=result: _reported(queue, key, result), keys)
        for task in tasks.values():  # what the process of the run does
            deque(stand_in(RunConfig.model_validate_json(task["config"]), Path(task["folder"])))
        last = of_report(report_at(_EVALUATIONS))
        spent["trials ended"] = _timed(lambda key: queue.ended(key, last, False), keys)
    return spent


@contextmanager
def _desk(space: Space, shared: bool) -> Iterator[RunQueue]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "studies" / space.name
        folder.mkdir(parents=True)
        space.write(folder)
        spool = SpoolObserver(folder, ParentInfo("study", space.name, space))
        with open_study(folder, space.name, shared=shared, goals=space.goals) as (study, storage):
            source = AskTell(study, storage, space, folder, (), lambda: False)
            limits = RunLimits(threads=1, gpu=False, interval_seconds=None)
            yield RunQueue(source, [spool], limits, lambda at: f"stopped at {at}")
        spool.close("COMPLETE")


def _begin(queue: RunQueue, key: str, tasks: dict[str, Task]) -> None:
    task = queue.next(key)
    assert task is not None
    tasks[key] = task
    queue.started(key)


def _reported(queue: RunQueue, key: str, result: Any) -> None:
    queue.reported(key, result)
    assert not queue.stops(key)


def _timed(call: Callable[[str], object], keys: list[str]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    for key in keys:
        call(key)
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--many", type=int, default=1000, help="trials under way")
    parser.add_argument("--sqlite", action="store_true", help="not in a journal")
    given = parser.parse_args()
    print(f"{today_here()}, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}")
    for name, value, bound in alone(given.many, shared=not given.sqlite):
        print(f"| {name} | {value} | {bound} |", flush=True)


if __name__ == "__main__":
    main()
