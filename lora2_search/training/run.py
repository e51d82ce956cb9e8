"""One run from configuration to record: the one entry for every trial and every arm."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from pathlib import Path

import torch

from ..adapter import count_parameters
from ..config import RunConfig
from ..errors import UserError, is_disk_full
from .card import adapter_card
from .checkpoint import load_checkpoint, remove_checkpoints, save_checkpoint
from .diagnostics import diagnose
from .environment import commit, memory_mb, peak_memory_mb, reset_peak_memory, versions
from .evaluation import Predictions, write_predictions
from .export import save_adapter
from .location import model_location
from .loop import Diverged, now_ms
from .noise import standard_error
from .preparation import Prepared, prepare
from .rank_pattern import write_rank_pattern
from .record import (
    ADAPTER_FOLDER,
    CONFIG_FILE,
    PREDICTIONS_FILE,
    Point,
    RunRecord,
    read_record,
    write_json,
    write_text,
)
from .reporter import Report, Reporter, SilentReporter


def run(config: RunConfig, folder: Path, reporter: Reporter | None = None) -> RunRecord:
    """Train one configuration and return its record.

    A folder that holds a checkpoint of the same configuration is taken up where it stopped and
    ends, on CPU, bit for bit as if it had never stopped; one that holds the complete run is
    returned as it is.

    Args:
        config: Everything that decides the result.
        folder: Where record, predictions, adapter and checkpoints go.
        reporter: Listens after every evaluation interval.

    Raises:
        ConfigError: Data, columns or model are missing.
        Diverged: The loss or a gradient is no longer finite (the record says so too).
        UserError: The folder holds another run, or the hub cannot be reached.
    """
    reporter = reporter or SilentReporter()
    steps = iterate(config, folder)
    while True:
        try:
            reporter.report(next(steps))
        except StopIteration as end:
            record: RunRecord = end.value
            return record


def iterate(config: RunConfig, folder: Path) -> Generator[Report, None, RunRecord]:
    """Train one configuration, yielding after every evaluation interval; see :func:`run`.

    ``record.json`` is rewritten at every interval, so whoever stops early leaves a true record.
    """
    record = _begin(config, folder)
    if record.status == "completed":
        yield _finished(config, record)
        return record
    try:
        with _Timer(record, "setup"):
            reset_peak_memory()
            running = _Run(prepare(config), record, folder)
        yield from running.intervals()
        return record
    except Exception as error:
        if is_disk_full(error):
            raise  # the run is not at fault: with room again it goes on from its checkpoint
        record.status = "failed"
        record.error = f"{type(error).__name__}: {error}"
        record.ended_ms = now_ms()
        record.write(folder)
        raise


def _begin(config: RunConfig, folder: Path) -> RunRecord:
    folder.mkdir(parents=True, exist_ok=True)
    earlier = read_record(folder)
    if earlier is not None and earlier.fingerprint != config.fingerprint():
        raise UserError(
            f"{folder} holds run {earlier.fingerprint}, but this is {config.fingerprint()}: "
            "its settings differ; take another name or folder"
        )
    if earlier is not None and earlier.status == "completed":
        return earlier
    head, dirty = commit()
    record = RunRecord(
        fingerprint=config.fingerprint(),
        config=config.model_dump(mode="json"),
        versions=versions(),
        commit=head,
        dirty=dirty,
        started_ms=earlier.started_ms if earlier else now_ms(),
        threads=torch.get_num_threads(),
    )
    write_json(folder / CONFIG_FILE, record.config)
    record.write(folder)
    return record


def _finished(config: RunConfig, record: RunRecord) -> Report:
    intervals = min(config.training.evaluations, record.total_steps)
    return Report(
        interval=intervals,
        intervals=intervals,
        step=record.total_steps,
        total_steps=record.total_steps,
        score=record.scores[f"validation/{record.metric}"],
        kept_rank=sum(record.rank_pattern.values()),
        points=tuple(record.history),
        done=True,
    )


class _Timer:
    """Adds the seconds spent inside to one of the record's timings."""

    def __init__(self, record: RunRecord, name: str) -> None:
        self._record, self._name = record, name

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        timings = self._record.timings
        timings[self._name] = timings.get(self._name, 0.0) + time.perf_counter() - self._start


class _Run:
    """A prepared run, from its checkpoint (if there is one) to its end."""

    def __init__(self, prepared: Prepared, record: RunRecord, folder: Path) -> None:
        self.prepared, self.record, self.folder = prepared, record, folder
        self.trainer, self.data = prepared.trainer, prepared.data
        self.done = 0
        self.unreported: list[Point] = []
        self.said: dict[str, Predictions] = {}
        record.data_hash, record.metric = self.data.hash, self.data.metrics[0]
        record.majority = self.data.majority
        record.classes, record.left_out = list(self.data.classes), self.data.left_out
        record.sizes = {name: len(split) for name, split in self.data.splits.items()}
        record.total_steps = self.trainer.plan.total
        record.device = str(self.trainer.accelerator.device)
        state = load_checkpoint(folder, self.trainer.progress)
        if state is not None:
            self.done = state["step"]
            record.history = [Point.model_validate(point) for point in state["history"]]
            record.timings = state["timings"]
            self.trainer.health.load_state(state["health"])
            self.unreported = list(record.history)

    def intervals(self) -> Generator[Report, None, None]:
        stops = self.trainer.plan.stops
        if self.done in stops:
            # The checkpoint may be newer than the last report that anybody received.
            self.said = {"validation": self.prepared.predict("validation")}
            yield self._report(stops.index(self.done))
        for index, stop in enumerate(stops):
            if stop > self.done:
                self._advance(index, stop)
                yield self._report(index)

    def _advance(self, index: int, stop: int) -> None:
        record = self.record
        try:
            with _Timer(record, "train"):
                points = list(self.trainer.advance(self.done, stop))
        finally:
            # A run that diverges here tells in its record what went before.
            self._note_health()
        self.done = stop
        with _Timer(record, "evaluation"):
            self.said = {"validation": self.prepared.predict("validation")}
            scores = self.said["validation"].scores(self.data.metrics)
        if not math.isfinite(scores[record.metric]):
            raise Diverged(
                f"the predictions are no longer finite at step {stop} of {record.total_steps}; "
                "lower training.lr"
            )
        evaluated = {f"validation/{name}": value for name, value in scores.items()}
        evaluated |= self._look_closer(index, stop, scores[record.metric])
        points[-1] = points[-1].model_copy(update={"metrics": {**points[-1].metrics, **evaluated}})
        record.history += points
        self.unreported += points
        state = {
            "history": [p.model_dump() for p in record.history],
            "timings": record.timings,
            "health": self.trainer.health.state(),
        }
        save_checkpoint(self.folder, stop, self.trainer.progress, state)

    def _look_closer(self, index: int, stop: int, score: float) -> dict[str, float]:
        """Judge the new score, and measure planes and ranks where that is due."""
        adaptive, said = self.trainer.progress.adaptive, self.said["validation"]
        with _Timer(self.record, "diagnostics"):
            self.trainer.health.evaluated(
                stop, score, adaptive.kept_rank(), lambda: standard_error(said, self.record.metric)
            )
            every = self.trainer.training.diagnostics
            due = every and (index + 1) % every == 0
            return diagnose(adaptive) if due else {}

    def _note_health(self) -> None:
        record, device = self.record, self.trainer.accelerator.device.type
        record.peak_memory_mb = peak_memory_mb(device)
        record.flags = self.trainer.health.flags(
            clipped=self.trainer.training.max_grad_norm is not None,
            peak_mb=record.peak_memory_mb,
            memory_mb=memory_mb(device),
        )

    def _report(self, index: int) -> Report:
        record, adaptive = self.record, self.trainer.progress.adaptive
        scores = self.said["validation"].scores(self.data.metrics)
        record.scores = {f"validation/{name}": value for name, value in scores.items()}
        record.rank_pattern = adaptive.rank_pattern()
        if record.rank_pattern:
            highest = int(record.config["adapter"]["r"])
            write_rank_pattern(self.folder, record.rank_pattern, highest)
        record.counts = count_parameters(self.trainer.progress.model)
        self._note_health()
        done = self.done == record.total_steps
        if done:
            self._finish()
        record.write(self.folder)
        if done:
            # Only now: a run killed before its record is whole must find its checkpoint.
            remove_checkpoints(self.folder)
        points, self.unreported = tuple(self.unreported), []
        return Report(
            interval=index + 1,
            intervals=len(self.trainer.plan.stops),
            step=self.done,
            total_steps=record.total_steps,
            score=scores[record.metric],
            kept_rank=adaptive.kept_rank(),
            points=points,
            done=done,
        )

    def _finish(self) -> None:
        record, splits = self.record, self.data.splits
        with _Timer(record, "evaluation"):
            for name in sorted(splits.keys() - {"train", "validation"}):
                same = splits[name] is splits["validation"]
                if not (same or self.trainer.training.score_test):
                    continue
                self.said[name] = self.said["validation"] if same else self.prepared.predict(name)
                for metric, value in self.said[name].scores(self.data.metrics).items():
                    record.scores[f"{name}/{metric}"] = value
            write_predictions(self.folder / PREDICTIONS_FILE, self.said)
            save_adapter(self.trainer.progress.model, self.folder / ADAPTER_FOLDER)
        base = model_location(RunConfig.model_validate(record.config).model)
        card = adapter_card(record, base, pair=len(splits["train"].texts) == 2)
        # PEFT leaves an empty form there.
        write_text(self.folder / ADAPTER_FOLDER / "README.md", card)
        parts = ("setup", "train", "evaluation", "diagnostics")
        record.timings["total"] = sum(record.timings[name] for name in parts)
        record.status, record.ended_ms = "completed", now_ms()
