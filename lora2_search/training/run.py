"""One run from configuration to record: the one entry for every trial and every arm."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..adapter import count_parameters, default_modules_to_save
from ..config import RunConfig
from ..errors import UserError
from .accelerators import new_accelerator
from .checkpoint import Progress, load_checkpoint, remove_checkpoints, save_checkpoint
from .data import Data, load_data
from .environment import commit, peak_memory_mb, reset_peak_memory, versions
from .evaluation import Predictions, predict, write_predictions
from .loop import Diverged, Trainer, named_dropout, now_ms, optimizer_for, plan, schedule_for
from .methods import attach
from .models import load_base, load_tokenizer
from .record import (
    ADAPTER_FOLDER,
    PREDICTIONS_FILE,
    Point,
    RunRecord,
    read_record,
    write_json,
)
from .reporter import Report, Reporter, SilentReporter
from .tokens import Encoded, encode

CONFIG_FILE = "config.json"

_inputs: dict[str, tuple[Data, dict[str, Encoded]]] = {}


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
        work = _prepare(config, folder, record)
        yield from _train(work)
        return record
    except Exception as error:
        record.status = "failed"
        record.error = f"{type(error).__name__}: {error}"
        record.ended_ms = now_ms()
        record.write(folder)
        raise


@dataclass
class _Work:
    config: RunConfig
    folder: Path
    record: RunRecord
    data: Data
    encoded: dict[str, Encoded]
    trainer: Trainer
    base_model: nn.Module
    done: int = 0
    unreported: list[Point] = field(default_factory=list)
    last: dict[str, Predictions] = field(default_factory=dict)


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


def _prepare(config: RunConfig, folder: Path, record: RunRecord) -> _Work:
    start = time.perf_counter()
    reset_peak_memory()
    data, encoded, collate = _load_inputs(config)
    base = load_base(config.model, data.outputs, data.kind == "regression")
    accelerator = new_accelerator(config.training)
    model, adaptive = attach(base, config)
    steps = plan(config.training, len(encoded["train"]))
    adaptive.set_total_steps(steps.total)
    heads = default_modules_to_save(base.model_type)
    optimizer = optimizer_for(model.to(accelerator.device), config.training, heads)
    model, optimizer = accelerator.prepare(model, optimizer)
    scheduler = schedule_for(optimizer, config.training, steps.total)
    progress = Progress(model, adaptive, optimizer, scheduler, accelerator.scaler)
    trainer = Trainer(
        accelerator, progress, encoded["train"], collate, config.training, data.kind,
        config.seed, steps,
    )  # fmt: skip
    named_dropout(config.seed)
    record.data_hash, record.metric, record.majority = data.hash, data.metrics[0], data.majority
    record.sizes = {name: len(split) for name, split in data.splits.items()}
    record.total_steps, record.device = steps.total, str(accelerator.device)
    work = _Work(config, folder, record, data, encoded, trainer, model)
    _take_up(work)
    record.timings["setup"] = record.timings.get("setup", 0.0) + time.perf_counter() - start
    return work


def _load_inputs(config: RunConfig) -> tuple[Data, dict[str, Encoded], Any]:
    from transformers import DataCollatorWithPadding

    tokenizer = load_tokenizer(config.model)
    key = RunConfig(
        task=config.task, data=config.data, model=config.model, protocol=config.protocol
    ).fingerprint()
    if key not in _inputs:
        data = load_data(config)
        _inputs.clear()
        _inputs[key] = data, encode(data, tokenizer, config.data.max_length)
    data, encoded = _inputs[key]
    return data, encoded, DataCollatorWithPadding(tokenizer)


def _take_up(work: _Work) -> None:
    state = load_checkpoint(work.folder, work.trainer.progress)
    if state is None:
        return
    work.done = state["step"]
    work.record.history = [Point.model_validate(point) for point in state["history"]]
    work.record.timings = state["timings"]
    work.unreported = list(work.record.history)


def _train(work: _Work) -> Generator[Report, None, None]:
    stops = work.trainer.plan.stops
    if work.done in stops:
        # The checkpoint may be newer than the last report that anybody received.
        work.last = {"validation": _predict(work, "validation")}
        yield _report(work, stops.index(work.done))
    for index, stop in enumerate(stops):
        if stop <= work.done:
            continue
        _interval(work, stop)
        yield _report(work, index)


def _interval(work: _Work, stop: int) -> None:
    record, start = work.record, time.perf_counter()
    points = list(work.trainer.advance(work.done, stop))
    work.done = stop
    record.timings["train"] = record.timings.get("train", 0.0) + time.perf_counter() - start
    start = time.perf_counter()
    work.last = {"validation": _predict(work, "validation")}
    scores = work.last["validation"].scores(work.data.metrics)
    if not math.isfinite(scores[record.metric]):
        raise Diverged(
            f"the predictions are no longer finite at step {stop} of {record.total_steps}"
        )
    record.timings["evaluation"] = (
        record.timings.get("evaluation", 0.0) + time.perf_counter() - start
    )
    evaluated = {f"validation/{name}": value for name, value in scores.items()}
    points[-1] = points[-1].model_copy(update={"metrics": {**points[-1].metrics, **evaluated}})
    record.history += points
    work.unreported += points
    state = {"history": [p.model_dump() for p in record.history], "timings": record.timings}
    save_checkpoint(work.folder, stop, work.trainer.progress, state)


def _report(work: _Work, index: int) -> Report:
    record, steps = work.record, work.trainer.plan
    done = work.done == steps.total
    scores = work.last["validation"].scores(work.data.metrics)
    record.scores = {f"validation/{name}": value for name, value in scores.items()}
    record.rank_pattern = work.trainer.progress.adaptive.rank_pattern()
    record.counts = count_parameters(work.base_model)
    record.peak_memory_mb = peak_memory_mb()
    if done:
        _finish(work)
    record.write(work.folder)
    points, work.unreported = tuple(work.unreported), []
    return Report(
        interval=index + 1,
        intervals=len(steps.stops),
        step=work.done,
        total_steps=steps.total,
        score=scores[record.metric],
        kept_rank=work.trainer.progress.adaptive.kept_rank(),
        points=points,
        done=done,
    )


def _finish(work: _Work) -> None:
    record, start = work.record, time.perf_counter()
    shared = work.data.splits["test"] is work.data.splits["validation"]
    for split in sorted(work.data.splits.keys() - {"train", "validation"}):
        reuse = shared and split == "test"
        work.last[split] = work.last["validation"] if reuse else _predict(work, split)
        for name, value in work.last[split].scores(work.data.metrics).items():
            record.scores[f"{split}/{name}"] = value
    write_predictions(work.folder / PREDICTIONS_FILE, work.last)
    save_adapter(work.base_model, work.folder / ADAPTER_FOLDER)
    record.timings["evaluation"] += time.perf_counter() - start
    record.timings["total"] = sum(record.timings[name] for name in ("setup", "train", "evaluation"))
    record.status, record.ended_ms = "completed", now_ms()
    record.write(work.folder)
    remove_checkpoints(work.folder)


def _predict(work: _Work, split: str) -> Predictions:
    size = work.config.training.eval_batch_size
    trainer = work.trainer
    return predict(
        trainer.progress.model, work.encoded[split], trainer.collate, size, work.data.kind
    )


def save_adapter(model: Any, folder: Path) -> None:
    """Save what was trained: a PEFT adapter folder, or ``head.safetensors`` for the head alone."""
    from safetensors.torch import save_file

    if hasattr(model, "peft_config"):
        model.save_pretrained(str(folder), save_embedding_layers=False)
        return
    folder.mkdir(parents=True, exist_ok=True)
    trained = {
        n: p.detach().cpu().contiguous() for n, p in model.named_parameters() if p.requires_grad
    }
    save_file(trained, folder / "head.safetensors")


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
