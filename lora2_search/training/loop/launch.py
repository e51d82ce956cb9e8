"""A run over several processes, one per device: started here, watched, and ended with this one.

This process is none of them. It loads no model and joins no group, so that it outlives whatever
happens to them, hears the signals, and has nothing left of the run when the run is over.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch

from ...config import RunConfig
from ...errors import BaseChanged, Preempted, UserError, is_disk_full
from ...store import PACKAGE, RunRecord, readable_record
from ..events import Report
from ..models.accelerator import without_launcher
from .trainer import now_ms
from .work import NEXT, Work

_PROGRAM = "lora2_search.training.loop.rank"

_PAUSE_SECONDS = 0.5  # between two looks at whether the run has to go

_DEATH_SECONDS = 2.0  # from the end of a process's connections to its exit code


def iterate_on(
    devices: int,
    config: RunConfig,
    folder: Path,
    metric: str | None,
    has_to_go: Callable[[], bool],
) -> Generator[Report, None, RunRecord]:
    """Train one configuration over several processes; see `iterate`.

    This process's torch threads are divided among them.

    Raises:
        UserError: One of the processes died (the record says so too); or as `iterate`.
    """
    with tempfile.TemporaryDirectory(prefix="lora2-run-") as scratch:
        threads = max(1, torch.get_num_threads() // devices)
        place = Path(scratch)
        work = Work(config, folder.absolute(), metric, 0, devices, threads, place, os.getcwd())
        with _started(work) as ranks:
            try:
                while True:
                    came = ranks.next(has_to_go)
                    if isinstance(came, RunRecord):
                        return came
                    yield came
            except Exception as error:
                ranks.end()  # they may be writing the record
                if not isinstance(error, Preempted) and not is_disk_full(error):
                    _note_failure(folder, error)
                raise


def _note_failure(folder: Path, error: Exception) -> None:
    """Say in the record why the run failed, as the first process may not have been able to."""
    record = readable_record(folder)
    if record is not None:
        record.status, record.error = "failed", f"{type(error).__name__}: {error}"
        record.ended_ms = record.ended_ms or now_ms()
        record.write(folder)


@dataclass
class _Rank:
    number: int
    process: subprocess.Popen[bytes]
    connection: Connection
    log: Path

    def tell(self, what: Work | str) -> None:
        with suppress(OSError):  # it is gone, which the next look at it finds
            self.connection.send(what)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.connection.close()
        assert self.process.stdin is not None
        self.process.stdin.close()

    def death(self) -> str | None:
        """Return how it died; ``None`` where it lives, or ended in good order."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_DEATH_SECONDS)
        code = self.process.poll()
        if code is None or code == 0:
            return None
        if code < 0:
            more = ", perhaps because memory ran out" if code == -signal.SIGKILL else ""
            return f"was killed ({signal.Signals(-code).name}){more}"
        last = self.log.read_text(errors="replace").strip().splitlines()[-1:]
        return f"ended with exit code {code}" + "".join(f": {line}" for line in last)


class _Ranks:
    """The processes of a run, the first of which reports."""

    def __init__(self, ranks: Sequence[_Rank]) -> None:
        self._all = list(ranks)
        self._live = list(ranks)

    def next(self, has_to_go: Callable[[], bool]) -> Report | RunRecord:
        """Let them train one interval, and return what the first one says of it.

        Raises:
            Exception: What one of them raised, or a `UserError` that one died.
        """
        first, told = self._all[0], False
        first.tell(NEXT)
        while True:
            if not told and has_to_go():
                first.tell("go")
                told = True
            for ready in wait([rank.connection for rank in self._live], _PAUSE_SECONDS):
                rank = next(rank for rank in self._live if rank.connection is ready)
                try:
                    came = rank.connection.recv()
                except (EOFError, OSError):
                    self._left(rank)
                    continue
                if isinstance(came, BaseException):
                    raise self._cause(came)
                assert isinstance(came, Report | RunRecord)
                return came

    def end(self) -> None:
        """End all of them, whatever they do."""
        for rank in self._all:
            rank.end()

    def _left(self, rank: _Rank) -> None:
        self._live.remove(rank)
        how = rank.death()
        if how is not None or rank is self._all[0]:
            raise self._died(rank, how or "left before the end of the run")

    def _cause(self, error: BaseException) -> BaseException:
        """Return what is behind an error: that another process is gone, or the error itself."""
        own = isinstance(error, UserError | Preempted | BaseChanged)
        if own or (isinstance(error, Exception) and is_disk_full(error)):
            return error
        end = time.monotonic() + _DEATH_SECONDS
        while time.monotonic() < end:
            for rank in self._all:
                if rank.process.poll() and (how := rank.death()):
                    return self._died(rank, how)
            time.sleep(_DEATH_SECONDS / 20)
        return error

    def _died(self, rank: _Rank, how: str) -> UserError:
        return UserError(f"process {rank.number + 1} of {len(self._all)} {how}")


@contextmanager
def _started(work: Work) -> Iterator[_Ranks]:
    ranks: list[_Rank] = []
    try:
        for number in range(work.count):
            ranks.append(_start(replace(work, rank=number)))
        yield _Ranks(ranks)
    finally:
        for rank in ranks:
            rank.end()


def _start(work: Work) -> _Rank:
    ours, theirs = Pipe()
    log = work.place / f"process-{work.rank}.log"
    # They meet on this machine: their ports are nobody else's business.
    only_here = {"GLOO_SOCKET_IFNAME": "lo"} if Path("/sys/class/net/lo").exists() else {}
    environment = {
        **only_here,
        **without_launcher(os.environ),
        "OMP_NUM_THREADS": str(work.threads),
        "TOKENIZERS_PARALLELISM": "false",
    }
    with theirs, log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", _PROGRAM, str(theirs.fileno())],
            # The kernel closes it whatever way this process ends, and that is their end too.
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=[theirs.fileno()],
            env=environment,
            # -m looks here first: never in a folder that only happens to be the current one.
            cwd=PACKAGE.parent,
            # Ctrl-C is for this process, which ends them.
            start_new_session=True,
        )
    rank = _Rank(work.rank, process, ours, log)
    rank.tell(work)
    return rank
