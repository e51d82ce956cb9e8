"""One run as Ray Tune sees it: a class whose step is one evaluation interval.

The process outlives the run and takes up the next one, so base weights, tokenizer and data are
loaded once. Nothing heavy is imported before the first step, so that it is there soon: while it
starts, a trial that ended elsewhere may take its place (`starting`).
"""

from __future__ import annotations

import gc
import math
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TypedDict

from ray import tune

from ..config import RunConfig
from ..errors import BaseChanged, ConfigError, Preempted, UserError
from ..store import (
    Attempt,
    BucketCopy,
    Copy,
    Damaged,
    NoAnswer,
    RunRecord,
    Superseded,
    is_held_here,
    read_record,
)
from ..training import Report
from .notice import Notice
from .result import Result, of_failure, of_report, report_of_record
from .watchdog import OVERDUE_FILE, pop_failure_marker, time_limit, write_failure_marker

Run = Generator[Report, None, RunRecord]

HasToGo = Callable[[], bool]


class Task(TypedDict):
    """What a process needs to know about a run; crosses to it as the configuration of a Tune trial.

    Attributes:
        key: ``RunInfo.key``.
        config: The ``RunConfig`` as JSON.
        folder: The run's folder.
        bucket: The storage that it is in, where that is a bucket: each node has a copy; or empty.
        inside: The run's folder in the bucket.
        metric: The objective's metric, ``None`` for the task's own.
        threads: Torch threads of each of its devices.
        gpu: Whether it was given a GPU for each; without one it runs on the CPU, whatever it sees.
        devices: Processes that train it together; this one is none of them, if there are several.
        interval_seconds: Longest evaluation interval, ``None`` for no limit.
        cwd: The driver's working directory, to which relative paths refer.
        past: ``[evaluation, score]`` pairs from before a resume, for the scheduler.
        judged: Whether the scheduler may compare it with others, and stop it.
    """

    key: str
    config: str
    folder: str
    bucket: str
    inside: str
    metric: str | None
    threads: int
    gpu: bool
    devices: int
    interval_seconds: float | None
    cwd: str
    past: list[list[float]]
    judged: bool


class TrialTrainable(tune.Trainable):
    """Runs one run after another in one process.

    An exception ends its run alone: it becomes a result, since Tune would throw the process away.
    That is what must happen after `BaseChanged`: the next run would start from other weights.
    """

    def setup(self, config: Task) -> None:
        """Take the first task; nothing is loaded yet."""
        self._take(config)

    def reset_config(self, new_config: Task) -> bool:
        """Drop the run that ended or was stopped, and take the next task."""
        self._drop()
        self._clear()
        self._take(new_config)
        return True

    def step(self) -> Result:
        """Train until the next evaluation and return its result, or why there is none."""
        try:
            limit = self._task["interval_seconds"]
            with time_limit(self._folder, limit, self._send_marker), _notice().awaited():
                result = self._next()
                self._over = result["done"]
                return result
        except Superseded:
            raise  # the driver has given this process up: nobody reads the result
        except Preempted:
            self._drop()
            self._send_last()
            raise  # Tune gives the run to another process, which goes on from its checkpoint
        except NoAnswer as error:
            self._drop()
            raise Preempted(str(error)) from None  # the run is not at fault
        except BaseChanged as error:
            self._drop()
            write_failure_marker(self._folder, _reason(error))
            self._send_last()
            raise  # Tune discards the process and gives the run to another one, which reads that
        except Exception as error:
            self._drop()
            self._send_last()
            self._over = True
            return of_failure(_reason(error), self._interval + 1)

    def cleanup(self) -> None:
        """Let the run go when the process ends."""
        self._drop()
        if self._over:
            self._clear()

    def _start(self, config: RunConfig, folder: Path) -> Run:
        """Start the run, or resume it from its checkpoint."""
        devices = self._task["devices"]
        iterate = _prepare(self._task["threads"] * devices)
        return iterate(config, folder, self._task["metric"], _notice().given, devices)

    def _take(self, task: Task) -> None:
        self._task = task
        self._copy: Copy = BucketCopy(task["bucket"], task["inside"]) if task["bucket"] else Copy()
        self._folder = (
            self._copy.folder if isinstance(self._copy, BucketCopy) else Path(task["folder"])
        )
        self._run: Run | None = None
        self._attempt: Attempt | None = None
        self._interval = 0
        self._over = False
        if not self._task["gpu"]:
            # Not `training.device`: where a run takes place is no part of what it is.
            os.environ["ACCELERATE_USE_CPU"] = "true"
        # Tune moves into a folder of its own, where the user's relative paths lead nowhere.
        if os.path.isdir(self._task["cwd"]):
            os.chdir(self._task["cwd"])

    def _drop(self) -> None:
        if self._run is not None:
            self._run.close()
            self._run = None
            # Models and optimisers hold on to each other; the next run needs their memory.
            gc.collect()

    def _clear(self) -> None:
        """Delete this node's copy of a run that is over: the bucket has it.

        Not where the driver has the same one, nor under a process that took the run up after this.
        """
        if not isinstance(self._copy, BucketCopy) or self._attempt is None:
            return
        with suppress(Superseded, Damaged):
            self._attempt.check()
            if not is_held_here(self._folder.parents[1]):
                shutil.rmtree(self._folder, ignore_errors=True)

    def _send_marker(self) -> None:
        self._copy.impatient().send(lambda name: name == OVERDUE_FILE)

    def _send_last(self) -> None:
        """Send what a run left that goes on elsewhere, or has failed: what that needs is known."""
        if self._attempt is None:
            return
        try:
            self._copy.impatient().send()
        except Superseded:
            raise
        except Exception:  # why the run ends says more
            return

    def _next(self) -> Result:
        folder = self._folder
        if _notice().given():
            raise Preempted(_notice().reason)
        if self._run is None or self._attempt is None:
            self._copy.begin()
            self._copy.fetch(overrule=True)
            overdue = pop_failure_marker(folder)
            if overdue:
                self._copy.delete_file(OVERDUE_FILE)
                return of_failure(overdue, self._interval + 1)
            self._attempt = Attempt(folder)
            self._copy.send()
            self._copy = self._copy.permitting(self._check_claim)
            self._run = self._start(RunConfig.model_validate_json(self._task["config"]), folder)
        self._copy.fetch_claim()
        self._attempt.check()
        report = self._advance(self._run)
        self._copy.send(rotate=True)
        self._interval = report.interval
        if self._task["metric"] is not None:
            report = replace(report, score=self._score(report))
        if math.isnan(report.score):
            self._drop()
            return of_failure(f"diverged: the score is NaN at step {report.step}", report.interval)
        return of_report(report)

    def _check_claim(self) -> None:
        """Make sure that the run is still this process's, before anything of it is sent."""
        assert self._attempt is not None
        self._copy.impatient().fetch_claim()
        self._attempt.check()

    def _advance(self, run: Run) -> Report:
        try:
            report = next(run)
        except StopIteration as end:
            return report_of_record(end.value)
        if report.done:
            # The record, the predictions and the adapter are written after the last report.
            for _ in run:
                raise RuntimeError("the run continued after it had reported its end")
        return report

    def _score(self, report: Report) -> float:
        name = f"validation/{self._task['metric']}"
        # In the end the record tells: a cut adapter scores otherwise than the last evaluation.
        record = read_record(self._folder) if report.done else None
        if record is not None and name in record.scores:
            return record.scores[name]
        for point in reversed(report.points):
            if name in point.metrics:
                return point.metrics[name]
        known = sorted({key for point in report.points for key in point.metrics})
        raise UserError(f"objective.metric: no {name} is measured, only {', '.join(known)}")


@cache
def _notice() -> Notice:
    return Notice()


@cache
def _prepare(threads: int) -> Callable[[RunConfig, Path, str | None, HasToGo, int], Run]:
    """Import the training loop, once in a process, and hold torch to its threads."""
    import torch

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(threads)
    from ..training import iterate

    # What was imported stays: the collections between runs need not look at it again.
    gc.collect()
    gc.freeze()
    return iterate


def _reason(error: Exception) -> str:
    text, kind = str(error), type(error).__name__
    if type(error) in (UserError, ConfigError):
        return text
    return f"{kind}: {text}" if text else kind
