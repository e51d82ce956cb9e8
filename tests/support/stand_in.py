"""Runs that take no time and need no torch: the score follows from the settings alone."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

from lora2_search.config.run import RunConfig
from lora2_search.errors import BaseChanged
from lora2_search.execution.trainable import Run, Task, TrialTrainable
from lora2_search.store.files import write_json
from lora2_search.store.record import Point, RunRecord, read_record
from lora2_search.training.events import Report

STEPS = "steps.jsonl"


def score_at(config: RunConfig, interval: int) -> float:
    """Grows with k and with the interval."""
    return round(config.adapter.k / 100 + interval / 1000, 6)


def iterate(config: RunConfig, folder: Path, pause: float = 0.0) -> Run:
    """Behaves as `training.run.iterate` does: record, checkpoint, history, and a run's own log.

    The seed tells what goes wrong: 13 raises, 17 is NaN, 19 hangs, 23 changes what it shares with
    other runs, all at the second interval.
    """
    folder.mkdir(parents=True, exist_ok=True)
    intervals = config.training.evaluations
    record = read_record(folder)
    if record is None or record.status != "completed":
        record = RunRecord(
            fingerprint=config.fingerprint(),
            config=config.model_dump(mode="json"),
            metric="accuracy",
            total_steps=intervals * 10,
        )
    checkpoint = folder / "checkpoint" / "state.json"
    done, fresh = 0, 0
    if checkpoint.is_file():
        state = json.loads(checkpoint.read_text())
        done = state["done"]
        record.history = [Point(**point) for point in state["history"]]
        yield _report(config, record, done, 0, folder)
    for interval in range(done + 1, intervals + 1):
        time.sleep(pause)
        if interval == 2:
            _misbehave(config.seed)
        with (folder / STEPS).open("a") as log:
            log.write(f"{interval} {os.getpid()}\n")
        score = math.nan if config.seed == 17 and interval == 2 else score_at(config, interval)
        record.history.append(_point(interval, score))
        fresh = len(record.history) - 1
        checkpoint.parent.mkdir(exist_ok=True)
        history = [point.model_dump() for point in record.history]
        write_json(checkpoint, {"done": interval, "history": history})
        yield _report(config, record, interval, fresh, folder)
    return record


def _misbehave(seed: int) -> None:
    if seed == 13:
        raise RuntimeError("unlucky")
    if seed == 19:
        time.sleep(600)
    if seed == 23:
        raise BaseChanged("the base changed")


def _point(interval: int, score: float) -> Point:
    metrics = {"validation/accuracy": score, "validation/f1": score / 2}
    return Point(step=interval * 10, time_ms=interval, metrics=metrics)


def _report(
    config: RunConfig, record: RunRecord, interval: int, first: int, folder: Path
) -> Report:
    done = interval == config.training.evaluations
    last = record.history[-1].metrics
    record.scores = {**last, **{key.replace("validation", "test"): last[key] for key in last}}
    record.status = "completed" if done else "running"
    record.write(folder)
    return Report(
        interval=interval,
        intervals=config.training.evaluations,
        step=interval * 10,
        total_steps=record.total_steps,
        score=last["validation/accuracy"],
        kept_rank=8,
        points=tuple(record.history[first:]),
        done=done,
    )


class StandIn(TrialTrainable):
    def _start(self, config: RunConfig, folder: Path) -> Run:
        return iterate(config, folder)


class SlowStandIn(TrialTrainable):
    """0.3 s an interval, and as late as a process that has torch to load."""

    warm = False

    def _start(self, config: RunConfig, folder: Path) -> Run:
        if not SlowStandIn.warm:
            time.sleep(2)
            SlowStandIn.warm = True
        return iterate(config, folder, pause=0.3)


class LateStandIn(StandIn):
    """A worker of these needs a second to start, unless it is the first of all."""

    def setup(self, config: Task) -> None:
        super().setup(config)
        first = Path(config["folder"]).parent / "first"
        first.parent.mkdir(parents=True, exist_ok=True)
        try:
            first.mkdir()
        except FileExistsError:
            time.sleep(1)


class LongStandIn(TrialTrainable):
    """3 s an interval: long enough for a node to be missed."""

    def _start(self, config: RunConfig, folder: Path) -> Run:
        return iterate(config, folder, pause=3)


class Recorder:
    """An observer that keeps what it was told, and when."""

    def __init__(self) -> None:
        self.events: list[tuple[float, str, str, object]] = []
        self.runs: list[object] = []

    def _keep(self, what: str, key: str, more: object = None) -> None:
        self.events.append((time.time(), what, key, more))

    def started(self, run):
        self.runs.append(run)
        self._keep("started", run.key)

    def reported(self, run, report):
        self._keep("reported", run.key, report)

    def ended(self, run, state, record, reason):
        self._keep("ended", run.key, (state, record.status, reason))

    def of(self, what: str) -> dict[str, list[object]]:
        found: dict[str, list[object]] = {}
        for _, kind, key, more in self.events:
            if kind == what:
                found.setdefault(key, []).append(more)
        return found
