"""The driver's queue of runs: what each one came to, reported once to source and observers."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..config import RunInfo
from ..errors import UserError, says_disk_full
from ..store import (
    CHECKPOINT_FOLDER,
    BucketCopy,
    Damaged,
    RunRecord,
    Status,
    copy_of,
    read_record,
    readable_record,
    remove_folder,
    set_aside,
)
from ..training import Observer, State
from .disk import DiskLimit
from .loss import Loss
from .result import COMPLETED, FAILED, INTERVAL, SCORE, Result, report_of, report_of_record
from .trainable import Task
from .watchdog import write_failure_marker

# A process that died by itself is replaced so often; lost nodes and preemptions do not count.
MAX_DEATHS = 3

# What Tune itself allows of both kinds together: a cluster that keeps none of its nodes.
MOST_LOSSES = 200


class RunSource(Protocol):
    """Where runs come from, and who keeps what became of them.

    Attributes:
        final: Record states that stand when a run is taken up again; others run anew.
    """

    final: frozenset[Status]

    def next(self) -> RunInfo | None:
        """Return the next run, ``None`` when there is none, or none yet: see `waits`."""

    def waits(self) -> bool:
        """Return whether the end of a run under way may bring further ones."""

    def past(self, run: RunInfo) -> Mapping[int, float]:
        """Return the scores by evaluation that a run had before a resume."""

    def reported(self, run: RunInfo, interval: int, score: float) -> None:
        """Keep the score of an evaluation (1, 2 ...); the same one may come again."""

    def stopping(self, run: RunInfo) -> str:
        """Return why a run is to stop at this evaluation; empty where it goes on."""

    def ended(self, run: RunInfo, state: State, score: float | None, reason: str) -> None:
        """Keep how a run ended; ``score`` only when it is complete."""


@dataclass(frozen=True)
class RunLimits:
    """What holds for every run of an execution; see `Task`."""

    threads: int
    gpu: bool
    interval_seconds: float | None
    devices: int = 1


@dataclass
class _Entry:
    run: RunInfo
    last: int = 0
    deaths: list[str] = field(default_factory=list)
    moves: int = 0
    stopping: str = ""


class RunQueue:
    """Knows the runs that are under way, by Tune's trial id.

    Args:
        source: Where runs come from.
        observers: Who is notified.
        terms: What holds for every run.
        stopped: Returns why a run that neither completed nor failed was stopped.
        disk: Says whether there is room for another run.
        held: Makes sure that what is written is not lost, and raises where it would be.
    """

    def __init__(
        self,
        source: RunSource,
        observers: Sequence[Observer],
        terms: RunLimits,
        stopped: Callable[[int], str],
        disk: DiskLimit | None = None,
        held: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = source
        self._observers = list(observers)
        self._terms = terms
        self._stopped = stopped
        self._disk = disk
        self._held = held
        self._live: dict[str, _Entry] = {}
        self._read: dict[str, RunRecord] = {}

    def next(self, trial_id: str) -> Task | None:
        """Return the task of a new trial, ``None`` when there are no more runs.

        A run whose record is final already (the driver died before it reported it) is reported now.
        """
        self._held()
        if self._disk is not None and self._disk.refused:
            return None
        while (run := self._source.next()) is not None:
            record = _sound_record(run.folder)
            if record is not None and record.fingerprint != run.config.fingerprint():
                raise UserError(
                    f"{run.folder} holds a run with other settings than {run.name}; "
                    "choose another name"
                )
            if record is None or record.status not in self._source.final:
                if self._disk is not None and not self._disk.allows(len(self._live)):
                    return None  # a resume takes it up
                self._live[trial_id] = _Entry(run)
                return self._task(run)
            self._settle(run, record)
        return None

    def waits(self) -> bool:
        """Return whether there may be further runs once one that is under way has ended."""
        return not (self._disk is not None and self._disk.refused) and self._source.waits()

    def started(self, trial_id: str) -> None:
        """A process took the run up."""
        for observer in self._observers:
            observer.started(self._live[trial_id].run)

    def reported(self, trial_id: str, result: Result) -> None:
        """A result came; a failure is reported when the run ends.

        Raises:
            OSError: The run's process says that its disk is full; the run is not over.
        """
        self._held()
        entry = self._live[trial_id]
        if says_disk_full(str(result[FAILED])):
            raise OSError(errno.ENOSPC, result[FAILED], str(entry.run.folder))
        report = report_of(result)
        if report is None:
            return
        self._fill(entry, report.interval)
        self._source.reported(entry.run, report.interval, result[SCORE])
        entry.last = report.interval
        for observer in self._observers:
            observer.reported(entry.run, report)

    def stops(self, trial_id: str) -> bool:
        """Return whether somebody asked for the end of a run that has just been evaluated."""
        entry = self._live.get(trial_id)
        if entry is not None:
            entry.stopping = self._source.stopping(entry.run)
        return entry is not None and bool(entry.stopping)

    def lost(self, trial_id: str, loss: Loss) -> bool:
        """The process of the run is gone; another one goes on from its checkpoint.

        Returns:
            Whether that happened too often by the run's own doing: the next process only says so.
        """
        self._held()
        entry = self._live[trial_id]
        if not loss.own:
            entry.moves += 1
            return False
        entry.deaths.append(loss.reason)
        if len(entry.deaths) <= MAX_DEATHS:
            return False
        write_failure_marker(
            entry.run.folder, f"its process died {len(entry.deaths)} times: {loss.reason}"
        )
        copy_of(entry.run.folder).send()
        return True

    def ended(self, trial_id: str, result: Result | None, error: bool) -> None:
        """A trial is over, in whatever way: ``result`` is its last one.

        =====================================  ========
        what Tune says                         state
        =====================================  ========
        error, or a result that failed or NaN  FAIL
        a result with our ``completed``        COMPLETE
        anything else, also no result          PRUNED
        =====================================  ========
        """
        entry = self._live.get(trial_id)
        if entry is None:
            return
        self._held()
        state, reason = self._verdict(entry, result, error)
        copy_of(entry.run.folder).fetch(heavy=state == "COMPLETE")
        record = readable_record(entry.run.folder)
        if state != "FAIL" and record and (changed := self._other_inputs(entry.run, record)):
            state, reason = "FAIL", changed
        score = result[SCORE] if state == "COMPLETE" and result is not None else None
        self._tell(entry.run, state, score, reason)
        # Last: what could not be written is not over.
        del self._live[trial_id]

    def _verdict(self, entry: _Entry, result: Result | None, error: bool) -> tuple[State, str]:
        if error and entry.moves and not entry.deaths:
            return "FAIL", f"its process had to move {entry.moves} times and no other one took over"
        if error:
            deaths = entry.deaths or ["killed, or out of memory"]
            return (
                "FAIL",
                f"its process died {len(deaths) + bool(entry.deaths)} times: {deaths[-1]}",
            )
        if result and result.get(FAILED):
            return "FAIL", str(result[FAILED])
        if result and SCORE in result and math.isnan(result[SCORE]):
            return "FAIL", "diverged: the score is NaN"
        if result and result.get(COMPLETED):
            return "COMPLETE", ""
        interval = int(result.get(INTERVAL, 0)) if result else 0
        if entry.stopping:
            return "PRUNED", f"stopped after evaluation {interval}: {entry.stopping}"
        return "PRUNED", self._stopped(interval)

    def _other_inputs(self, run: RunInfo, record: RunRecord) -> str:
        """Return what a run read that differs from what the first one like it read, or nothing.

        The data or the model were changed while runs that are compared were under way.
        """
        if not record.data_hash:
            return ""
        from ..training import changes_between, reading

        first = self._read.setdefault(reading(run.config), record)
        changes = [f"{setting}: {words}" for setting, words in changes_between(first, record)]
        return f"{'; '.join(changes)} since the runs before" if changes else ""

    def _tell(self, run: RunInfo, state: State, score: float | None, reason: str) -> None:
        record = _mark(run, state, reason)
        # Before the study knows: else nobody would look at the run again.
        copy_of(run.folder).send()
        self._source.ended(run, state, score, reason)
        for observer in self._observers:
            observer.ended(run, state, record, reason)

    def _settle(self, run: RunInfo, record: RunRecord) -> None:
        if record.status == "completed":
            self._other_inputs(run, record)
        for observer in self._observers:
            observer.started(run)
        if record.status == "failed":
            self._tell(run, "FAIL", None, record.error or "")
            return
        for interval, value in enumerate(_measured(run, record), start=1):
            self._source.reported(run, interval, value)
        for observer in self._observers:
            observer.reported(run, report_of_record(record, run.metric))
        if record.status == "pruned":
            self._tell(run, "PRUNED", None, record.error or "")
            return
        score = record.score("validation", run.metric)
        if score is None:
            name = run.metric or record.metric
            self._tell(run, "FAIL", None, f"objective.metric: no validation/{name} was measured")
        else:
            self._tell(run, "COMPLETE", score, "")

    def _fill(self, entry: _Entry, interval: int) -> None:
        """Keep the evaluations that a dead driver never received: the record has them."""
        if interval <= entry.last + 1:
            return
        copy_of(entry.run.folder).fetch(heavy=False)
        record = readable_record(entry.run.folder)
        known = self._source.past(entry.run)
        for earlier, score in enumerate(_measured(entry.run, record) if record else [], start=1):
            if earlier < interval and earlier not in known:
                self._source.reported(entry.run, earlier, score)

    def _task(self, run: RunInfo) -> Task:
        copy = copy_of(run.folder)
        return Task(
            key=run.key,
            config=run.config.model_dump_json(),
            folder=str(Path(run.folder).absolute()),
            bucket=copy.url if isinstance(copy, BucketCopy) else "",
            inside=copy.inside if isinstance(copy, BucketCopy) else "",
            metric=run.metric,
            threads=self._terms.threads,
            gpu=self._terms.gpu,
            devices=self._terms.devices,
            interval_seconds=self._terms.interval_seconds,
            cwd=os.getcwd(),
            past=[[i, score] for i, score in sorted(self._source.past(run).items())],
            judged=run.competes,
        )


def _sound_record(folder: Path) -> RunRecord | None:
    """Return the record of a run; a damaged one is set aside, and the run goes on without it."""
    try:
        return read_record(folder)
    except Damaged as damage:
        set_aside(damage.path)
        return None


def _measured(run: RunInfo, record: RunRecord) -> list[float]:
    name = f"validation/{run.metric or record.metric}"
    return [point.metrics[name] for point in record.history if name in point.metrics]


def _mark(run: RunInfo, state: State, reason: str) -> RunRecord:
    """Make the record say how the run ended, where its own process could not."""
    record = readable_record(run.folder) or RunRecord(
        fingerprint=run.config.fingerprint(), config=run.config.model_dump(mode="json")
    )
    if state == "COMPLETE" or (state == "FAIL" and record.status == "failed"):
        return record
    record.status = "pruned" if state == "PRUNED" else "failed"
    record.error = record.error or reason
    run.folder.mkdir(parents=True, exist_ok=True)
    record.write(run.folder)
    if state == "PRUNED":
        # Nobody takes it up again, and its optimiser state is the bulk of its disk.
        remove_folder(run.folder / CHECKPOINT_FOLDER)
    return record
