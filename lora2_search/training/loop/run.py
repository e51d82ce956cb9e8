"""One run from configuration to record: the one entry for every trial and every arm."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path

import torch

from ...adapter import count_parameters
from ...config import RunConfig
from ...errors import BaseChanged, ConfigError, Preempted, UserError, is_disk_full
from ...store import (
    ADAPTER_FOLDER,
    CONFIG_FILE,
    PREDICTIONS_FILE,
    Point,
    RunRecord,
    read_record,
    write_json,
    write_rank_pattern,
    write_text,
)
from ..code import code_hash
from ..data.inputs import inputs_with
from ..data.undefined import undefined_problem
from ..events import Report, Reporter, SilentReporter
from ..export.adapter import save_adapter
from ..export.card import adapter_card
from ..export.chat import chat_of
from ..export.compress import truncate_model
from ..kinds.kind import Predictions
from ..models.files import model_location
from ..models.load import check_base, load_tokenizer
from .checkpoint import Kept, load_checkpoint, remove_checkpoints, save_checkpoint
from .diagnostics import diagnose
from .environment import (
    Clock,
    Timer,
    commit,
    memory_mb,
    peak_memory_mb,
    reset_peak_memory,
    versions,
)
from .evaluate import standard_error, write_predictions
from .launch import iterate_on
from .prepare import Prepared, forgetting, load_inputs, prepare
from .trainer import Diverged, now_ms


def run(
    config: RunConfig, folder: Path, reporter: Reporter | None = None, devices: int = 1
) -> RunRecord:
    """Train one configuration and return its record.

    A run with a checkpoint of the same configuration resumes there and, on CPU, ends bit for
    bit as if it had never stopped; the record of a complete run is returned as it is.

    Args:
        config: Everything that decides the result.
        folder: Where record, predictions, adapter and checkpoints go.
        reporter: Listens after every evaluation interval.
        devices: Processes that train together, each on a device of its own: a GPU where there
            are some, else a part of this process's threads.

    Raises:
        BaseChanged: The run wrote into weights that other runs share (the record says so too).
        ConfigError: Data, columns or model are missing, or have changed since the run began; the
            primary metric is undefined on the validation split.
        Diverged: The loss or a gradient is no longer finite (the record says so too).
        UserError: The folder holds another run, the hub cannot be reached, or one of several
            processes died.
    """
    reporter = reporter or SilentReporter()
    steps = iterate(config, folder, devices=devices)
    while True:
        try:
            reporter.report(next(steps))
        except StopIteration as end:
            record: RunRecord = end.value
            return record


def _stays() -> bool:
    return False


def iterate(
    config: RunConfig,
    folder: Path,
    metric: str | None = None,
    has_to_go: Callable[[], bool] = _stays,
    devices: int = 1,
) -> Generator[Report, None, RunRecord]:
    """Train one configuration, yielding after every evaluation interval; see :func:`run`.

    ``record.json`` is rewritten at every interval, so a run that is stopped early leaves a true
    record. ``metric`` is what the run is judged by, the task's primary one by default: the reports
    carry its standard error. ``has_to_go`` is asked at every point that is logged: the run then
    keeps its state and raises `Preempted`, its record still ``running``.
    """
    record = _begin(config, folder)
    if record.status == "completed":
        yield _finished(config, record)
        return record
    if devices > 1:
        return (yield from iterate_on(devices, config, folder, metric, has_to_go))
    clock = Clock(record)
    try:
        with Timer(record, "setup"):
            reset_peak_memory()
            data, *_ = load_inputs(config)
            if problem := undefined_problem(data, config, "validation"):
                raise ConfigError([problem])
            inputs = inputs_with(data, config)
            inputs.check_same(record)
            inputs.note(record)
            prepared = prepare(config)
            running = _Run(prepared, record, folder, clock, metric, has_to_go)
        yield from running.intervals()
        check_base()
        return record
    except Preempted:
        raise
    except Exception as raised:
        if is_disk_full(raised):
            raise  # the run is not at fault: with room again it goes on from its checkpoint
        error = _base_change() or raised
        record.status = "failed"
        record.error = f"{type(error).__name__}: {error}"
        record.ended_ms = now_ms()
        clock.note()
        record.write(folder)
        if error is raised:
            raise
        raise error from raised


def follow(config: RunConfig, folder: Path) -> None:
    """Take part in the steps of a run over several processes, as one that is not the first.

    Raises:
        UserError: The checkpoint in ``folder`` cannot be read.
    """
    trainer = prepare(config).trainer
    kept = load_checkpoint(folder, trainer.progress)
    done = kept.step if kept is not None else 0
    trainer.check_same(done)
    with suppress(Diverged):  # all of them find that; the first one says it
        for stop in trainer.plan.stops:
            if stop > done:
                deque(trainer.advance(done, stop), maxlen=0)
                done = stop


def _base_change() -> BaseChanged | None:
    try:
        check_base()
    except BaseChanged as changed:
        return changed
    return None


def _begin(config: RunConfig, folder: Path) -> RunRecord:
    folder.mkdir(parents=True, exist_ok=True)
    earlier = read_record(folder)
    if earlier is not None and earlier.fingerprint != config.fingerprint():
        raise UserError(
            f"{folder} holds run {earlier.fingerprint}, but this is {config.fingerprint()}: "
            "its settings differ; use another name or folder"
        )
    if earlier is not None and earlier.status == "completed":
        return earlier
    head, dirty = commit()
    record = RunRecord(
        fingerprint=config.fingerprint(),
        config=config.model_dump(mode="json"),
        code_hash=code_hash(),
        versions=versions(),
        commit=head,
        dirty=dirty,
        started_ms=earlier.started_ms if earlier else now_ms(),
        threads=torch.get_num_threads(),
    )
    if earlier is not None:
        # Until it is known that the run reads the same again.
        record.data_hash, record.data_parts = earlier.data_hash, earlier.data_parts
        record.model_hash, record.model_files = earlier.model_hash, earlier.model_files
    write_json(folder / CONFIG_FILE, record.config)
    record.write(folder)
    return record


def _finished(config: RunConfig, record: RunRecord) -> Report:
    intervals = max(1, min(config.training.evaluations, record.total_steps))
    return Report(
        interval=intervals,
        intervals=intervals,
        step=record.total_steps,
        total_steps=record.total_steps,
        score=record.scores[f"validation/{record.metric}"],
        kept_rank=record.kept_rank,
        points=tuple(record.history),
        done=True,
    )


class _Run:
    """A prepared run, from its checkpoint (if there is one) to its end."""

    def __init__(
        self,
        prepared: Prepared,
        record: RunRecord,
        folder: Path,
        clock: Clock,
        metric: str | None,
        has_to_go: Callable[[], bool],
    ) -> None:
        self.prepared, self.record, self.folder = prepared, record, folder
        self.clock, self.metric, self.has_to_go = clock, metric, has_to_go
        self.trainer, self.data = prepared.trainer, prepared.data
        self.done = 0
        self.unreported: list[Point] = []
        self.said: dict[str, Predictions] = {}
        record.metric = self.data.metrics[0]
        record.majority, record.constant = self.data.majority, self.data.constant
        record.commonest = self.data.commonest
        record.classes, record.left_out = list(self.data.classes), self.data.left_out
        record.sizes = {name: len(split) for name, split in self.data.splits.items()}
        record.total_steps = self.trainer.plan.total
        if (masking := self.trainer.kind.masking) is not None:
            record.example = masking.example
            record.cut, record.untrained = masking.cut, masking.untrained
        config = RunConfig.model_validate(record.config)
        # Now, when the examples have just been read with it: its file may change.
        self.chat = chat_of(load_tokenizer(config.model), config)
        record.device = self.trainer.accelerator.device.type
        record.processes = self.trainer.accelerator.num_processes
        kept = load_checkpoint(folder, self.trainer.progress)
        if kept is not None:
            self.done = kept.step
            record.history, record.timings = kept.history, kept.timings
            record.timings.setdefault("total", sum(record.timings.values()))
            self.trainer.health.load_state(kept.health)
            if kept.code_hash != record.code_hash:
                record.code_hash = ""  # begun by other code: no one code has made this run
            self.unreported = list(record.history)
        self.trainer.check_same(self.done)

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
            with Timer(record, "train"):
                points = self._trained_to(stop)
        finally:
            # A run that diverges here has in its record what went before.
            self._note_health()
        self.done = stop
        with Timer(record, "evaluation"):
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
        self.clock.note()
        self._keep(stop, record.history)

    def _trained_to(self, stop: int) -> list[Point]:
        points = []
        for point in self.trainer.advance(self.done, stop):
            points.append(point)
            if point.step < stop and self.has_to_go():
                # Between two points the trainer holds sums that no checkpoint has.
                self.clock.note()
                self._keep(point.step, [*self.record.history, *points])
                raise Preempted(f"left at step {point.step} of {self.record.total_steps}")
        return points

    def _keep(self, step: int, history: list[Point]) -> None:
        check_base()  # before the state is kept: a run that goes on from it relies on it
        kept = Kept(
            step=step,
            history=history,
            timings=self.record.timings,
            health=self.trainer.health.state(),
            code_hash=self.record.code_hash,
        )
        save_checkpoint(self.folder, self.trainer.progress, kept)

    def _look_closer(self, index: int, stop: int, score: float) -> dict[str, float]:
        """Judge the new score, and measure planes and ranks where that is due."""
        adaptive, said = self.trainer.progress.adaptive, self.said["validation"]
        with Timer(self.record, "diagnostics"):
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
        done = self.done == record.total_steps
        record.rank_pattern = adaptive.rank_pattern()
        record.counts = count_parameters(self.trainer.progress.model)
        highest = self._highest_rank()
        if done:
            self._cut()
        scores = self.said["validation"].scores(self.data.metrics)
        record.scores = {f"validation/{name}": value for name, value in scores.items()}
        if record.rank_pattern:
            write_rank_pattern(self.folder, record.rank_pattern, highest)
        self._note_health()
        if done:
            self._finish()
            check_base()  # before the record says that all is well
        self.clock.note()
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
            kept_rank=record.kept_rank,
            points=points,
            done=done,
            standard_error=standard_error(self.said["validation"], self.metric or record.metric),
        )

    def _highest_rank(self) -> int:
        """Return the rank at which every matrix began; of method peft PEFT knows it."""
        config = self.record.config
        if config["method"] != "peft":
            return int(config["adapter"]["r"])
        peft_configs = getattr(self.trainer.progress.model, "peft_config", {})
        settings = next(iter(peft_configs.values()), None)
        rank = getattr(settings, "init_r", None) or getattr(settings, "r", None)
        return rank if isinstance(rank, int) else 0

    def _cut(self) -> None:
        """Continue with the cut adapter, if one is asked for: it is what is scored and saved."""
        after, progress = RunConfig.model_validate(self.record.config).after, self.trainer.progress
        if after.svd_rank is None:
            return
        with Timer(self.record, "evaluation"):
            accelerator = self.trainer.accelerator
            progress.model = truncate_model(progress.model, after, self.record, accelerator)
            self.said = {"validation": self.prepared.predict("validation")}

    def _note_tokens(self) -> None:
        record, seconds = self.record, self.record.timings.get("train")
        tokens, positions = self.trainer.tokens(record.total_steps)
        if positions and seconds:
            record.tokens_per_second = tokens / seconds
            record.padding_share = 1 - tokens / positions

    def _finish(self) -> None:
        record, splits = self.record, self.data.splits
        with Timer(record, "evaluation"):
            for name in sorted(splits.keys() - {"train", "validation"}):
                same = splits[name] is splits["validation"]
                if not (same or self.trainer.training.score_test):
                    continue
                self.said[name] = self.said["validation"] if same else self.prepared.predict(name)
                for metric, value in self.said[name].scores(self.data.metrics).items():
                    record.scores[f"{name}/{metric}"] = value
            write_predictions(self.folder / PREDICTIONS_FILE, self.said)
            save_adapter(self.trainer.progress.model, self.folder / ADAPTER_FOLDER)
            record.forgetting = forgetting(self.prepared, RunConfig.model_validate(record.config))
        self._note_tokens()
        base = model_location(RunConfig.model_validate(record.config).model)
        card = adapter_card(record, base, pair=len(splits["train"].texts) == 2, chat=self.chat)
        # PEFT writes an empty template there.
        write_text(self.folder / ADAPTER_FOLDER / "README.md", card)
        self.chat.save(self.folder / ADAPTER_FOLDER)
        record.status, record.ended_ms = "completed", now_ms()
