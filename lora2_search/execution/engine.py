"""Many runs on Ray: both studies and suites are executed here."""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from .. import signals
from ..config import RunInfo
from ..config.space import Resources
from ..errors import Argument, RequestError
from ..store import RunRecord, Status, check_held, copy_of, variables
from ..training import Observer, Report, State
from .cluster import capacity
from .disk import DiskLimit
from .interruption import Interruption
from .memory import outliving_lack_of_memory
from .run_queue import MOST_LOSSES, RunLimits, RunQueue, RunSource
from .searcher import InterruptionStopper, Leaving, Listener, TruthfulSearcher
from .starting import letting_workers_start
from .trainable import TrialTrainable

_SCRATCH = ".ray"

# How old the bucket's copy of a study may get while no run begins.
_SEND_SECONDS = 30.0

_TUNE_SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Tune's snapshots are never restored: the records and the study are the state.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # It guesses from the past that more resources would help, on stderr.
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000",
}


class RunList:
    """A source that hands out given runs, first to last; what became of them is in their records.

    Args:
        runs: In their order.
        final: Record states that stand. By default a run that failed earlier runs again, from its
            checkpoint.
    """

    def __init__(
        self, runs: Sequence[RunInfo], final: frozenset[Status] = frozenset({"completed"})
    ) -> None:
        self._runs = list(runs)
        self.final = final

    def next(self) -> RunInfo | None:
        """Return the next run, ``None`` when there are no more."""
        return self._runs.pop(0) if self._runs else None

    def waits(self) -> bool:
        """Return false: no run brings another one."""
        return False

    def past(self, run: RunInfo) -> Mapping[int, float]:
        """Return nothing: no scheduler looks at it."""
        return {}

    def reported(self, run: RunInfo, interval: int, score: float) -> None:
        """Do nothing: the run's record has it."""

    def stopping(self, run: RunInfo) -> str:
        """Return nothing: no run is stopped by hand."""
        return ""

    def ended(self, run: RunInfo, state: State, score: float | None, reason: str) -> None:
        """Do nothing: the run's record has it."""


def execute(
    source: RunSource,
    folder: Path,
    resources: Resources,
    *,
    observers: Sequence[Observer] = (),
    scheduler: TrialScheduler | None = None,
    interruption: Interruption | None = None,
    trainable: type[TrialTrainable] = TrialTrainable,
) -> bool:
    """Run everything that a source hands out, on a Ray that is connected already.

    Args:
        source: Hands out runs and keeps what became of them.
        folder: Where Tune may put its own files, held by this process (`lock_folder`); on a
            cluster every node must see it.
        resources: What one run takes, ``resolve_gpus``.
        observers: Notified in this process, in order.
        scheduler: Stops weak runs early; ``None`` stops none.
        interruption: Ends the execution early; by default only a signal does.
        trainable: The class that runs one run.

    Returns:
        Whether it was interrupted, so that there is something left to do. Runs under way end at
        once, and go on from their last evaluation when they are taken up.

    Raises:
        FolderGone: The folder vanished.
        OSError: The disk is full, here or where a run takes place.
        RequestError: The folder has reached ``resources.max_disk_gb``; runs under way ended first.
    """
    interruption = interruption or Interruption()
    if interruption.requested:
        return True
    limit = resources.interval_minutes
    terms = RunLimits(
        threads=max(1, int(resources.cpus_per_trial)),
        gpu=bool(resources.gpus_per_trial),
        devices=resources.devices_per_trial,
        interval_seconds=limit and limit * 60,
    )
    disk = DiskLimit(folder, resources.max_disk_gb)
    everyone = [*observers, _Sender(folder)]
    why = _why_stopped(interruption)
    queue = RunQueue(source, everyone, terms, why, disk, partial(check_held, folder))
    with interruption.listening(), variables(_TUNE_SETTINGS), _scratch(folder) as scratch:
        try:
            # Tune would take SIGUSR1 for itself, to end as if all were done.
            with (
                signals.preserve_handlers(),
                outliving_lack_of_memory(),
                letting_workers_start(),
            ):
                _tune(trainable, queue, resources, scheduler, interruption, scratch)
        except Leaving as leaving:
            if leaving.error is not None:
                raise leaving.error from None
        # Tune's processes end when nothing refers to them: on a Ray that goes on, too.
        gc.collect()
    if disk.refused and not interruption.requested:
        raise RequestError(
            f"{disk.refused}; the runs under way have ended; free some space there, or raise it (",
            *(Argument("overrides", "resources.max_disk_gb=N"), "), then resume with "),
            Argument("resume", folder.name),
        )
    return interruption.requested


class _Sender:
    """Sends what the driver writes to the bucket of its folder, where that has one.

    That a run begins, before its process sends anything of it: a driver that takes over must know
    its settings. The rest at times; the record of a run that has ended says what it came to.
    """

    def __init__(self, folder: Path) -> None:
        self._copy = copy_of(folder)
        self._sent = time.monotonic()

    def started(self, run: RunInfo) -> None:
        self._send()

    def reported(self, run: RunInfo, report: Report) -> None:
        self._send_at_times()

    def ended(self, run: RunInfo, state: State, record: RunRecord | None, reason: str) -> None:
        self._send_at_times()

    def _send_at_times(self) -> None:
        if time.monotonic() - self._sent >= _SEND_SECONDS:
            self._send()

    def _send(self) -> None:
        self._copy.send()
        self._sent = time.monotonic()


def _tune(
    trainable: type[TrialTrainable],
    queue: RunQueue,
    resources: Resources,
    scheduler: TrialScheduler | None,
    interruption: Interruption,
    scratch: Path,
) -> None:
    # Not a `Tuner`: it pickles its callbacks, and observers may hold what cannot be pickled.
    tune.run(
        trainable,
        name="tune",
        stop=InterruptionStopper(interruption, queue),
        search_alg=TruthfulSearcher(queue),
        scheduler=scheduler,
        callbacks=[Listener(queue)],
        num_samples=-1,
        resources_per_trial={"cpu": resources.cpus, "gpu": resources.gpus},
        max_concurrent_trials=capacity(resources),
        max_failures=MOST_LOSSES,
        reuse_actors=True,
        storage_path=str(scratch),
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        trial_dirname_creator=_directory,
        raise_on_failed_trial=False,
        verbose=0,
    )


def _why_stopped(interruption: Interruption) -> Callable[[int], str]:
    def why(interval: int) -> str:
        cause = "the hours were over" if interruption.overdue else "weaker than others"
        return f"stopped after evaluation {interval}: {cause}"

    return why


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    path = folder.absolute() / _SCRATCH
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _directory(trial: Trial) -> str:
    # Tune's default name holds every parameter.
    return f"{trial.config['key']}_{trial.trial_id}"
