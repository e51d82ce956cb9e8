"""The syncer: a process of its own that carries a study's spool to MLflow while it grows.

``python -m lora2_search.tracking.delivery.syncer FOLDER --uri URI`` runs one by hand.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ...errors import UserError
from ...signals import EXIT_CODES
from ...store import PACKAGE
from .. import uri as uris
from ..spool.spool import TRACKING_FOLDER
from .cursor import cursor_path, load, pending
from .sync import sync_command

LOG_FILE = "syncer.log"

_POLL_SECONDS = 1.0

_BACK_OFF_SECONDS = (0.5, 15.0)

_LEAVE_SECONDS = 10.0

# A driver that was killed cannot say goodbye; its syncer does not haunt the machine for ever.
_ORPHAN_SECONDS = 600.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How far delivery came when the study was over.

    Attributes:
        points: Values that still wait in the spool.
        runs: Runs with anything that waits.
        refused: Pieces that MLflow would not take.
        message: The same in words, empty when all is delivered.
    """

    points: int
    runs: int
    refused: int
    message: str


class Handle:
    """The driver's end of a syncer."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, uri: str) -> None:
        self._process, self._folder, self._uri = process, folder, uri

    @property
    def pid(self) -> int:
        """Process id of the syncer."""
        return self._process.pid

    @property
    def was_killed(self) -> bool:
        """Whether somebody ended it from outside; what leaves by itself has its reasons."""
        code = self._process.poll()
        return code is not None and code < 0

    def finish(self, timeout: float = 10.0) -> Outcome:
        """Let the syncer deliver what there is and leave, for at most ``timeout`` seconds."""
        if not self._left_within(timeout):
            # Harmless: what it was sending is sent again and stored once.
            self._process.kill()
            self._process.wait()
        return outcome(self._folder, self._uri)

    def leave(self, timeout: float) -> Outcome:
        """Let the syncer deliver what there is and leave; after ``timeout`` seconds without us."""
        self._left_within(timeout)
        return outcome(self._folder, self._uri)

    def _left_within(self, timeout: float) -> bool:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True


def start_syncer(folder: Path, uri: str) -> Handle:
    """Start the syncer of the study in ``folder`` and return at once.

    It leaves by itself: when the study has ended and all is delivered, or when this process is
    gone and all is delivered (after ten minutes at the latest).
    """
    folder = folder.absolute()
    (folder / TRACKING_FOLDER).mkdir(exist_ok=True)
    # The URI may hold a password: environments are private, command lines are not.
    environment = {**os.environ, uris.VARIABLE: uri}
    with (folder / TRACKING_FOLDER / LOG_FILE).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder), "--attached"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
            # -m looks here first: never in a folder that only happens to be the current one.
            cwd=PACKAGE.parent,
            # Ctrl-C is for the driver, which then lets the syncer finish.
            start_new_session=True,
        )
    return Handle(process, folder, uri)


def outcome(folder: Path, uri: str) -> Outcome:
    """Say what of the study in ``folder`` the store at ``uri`` does not hold."""
    undelivered = pending(folder, uri)
    parts = []
    if undelivered.runs:
        trouble = load(cursor_path(folder, uri)).trouble
        parts.append(
            f"{undelivered.points} points of {undelivered.runs} runs are not in MLflow at "
            f"{uris.display_uri(uri)} yet"
            + (f" ({trouble})" if trouble else "")
            + f"; nothing is lost: {sync_command(folder, uri)} delivers them"
        )
    if undelivered.refused:
        parts.append(f"MLflow refused {undelivered.refused} pieces, see {folder / TRACKING_FOLDER}")
    parts += undelivered.damaged
    return Outcome(undelivered.points, undelivered.runs, undelivered.refused, "; ".join(parts))


class _Leaving:
    """When to leave: nobody asked yet, or asked, with a last moment."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._last: float | None = None

    def ask(self, seconds: float) -> None:
        last = time.monotonic() + seconds
        self._last = last if self._last is None else min(self._last, last)
        self._event.set()

    @property
    def asked(self) -> bool:
        return self._event.is_set()

    @property
    def overdue(self) -> bool:
        return self._last is not None and time.monotonic() > self._last

    def wait(self, seconds: float) -> None:
        if self.asked:
            time.sleep(min(seconds, 1.0))
        else:
            self._event.wait(seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a syncer until it is done; return 0 when all is delivered, else 1."""
    leaving = _Leaving()

    def on_signal(number: int, frame: FrameType | None) -> None:
        leaving.ask(_LEAVE_SECONDS)

    parser = argparse.ArgumentParser(prog="lora2_search.tracking.delivery.syncer")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--uri", default=None)
    parser.add_argument("--attached", action="store_true", help="exit when stdin closes")
    options = parser.parse_args(arguments)
    # A signal to a whole job is for its driver: that tells the end, and then closes stdin.
    for number in EXIT_CODES:
        signal.signal(number, signal.SIG_IGN if options.attached else on_signal)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # As Ray's workers: they would wait for a delivery that outranks them, and one far behind them
    # would never come through where something else keeps all cores busy.
    os.nice(15)
    if options.attached:
        threading.Thread(target=_watch_driver, args=(leaving,), daemon=True).start()
    from .client import quiet_environment

    with quiet_environment():
        return int(not _serve(options.folder.absolute(), uris.resolve_uri(options.uri), leaving))


def _watch_driver(leaving: _Leaving) -> None:
    # The kernel closes the pipe whatever way the driver ends, kill -9 included.
    sys.stdin.buffer.read()
    leaving.ask(_ORPHAN_SECONDS)


def _serve(folder: Path, uri: str, leaving: _Leaving) -> bool:
    """Take the study's lock and deliver; return whether all was delivered."""
    from filelock import Timeout

    from .delivery import delivery_lock

    if not folder.is_dir():
        _log.warning("%s is gone", folder)
        return False
    lock = delivery_lock(folder)
    while not leaving.overdue:
        try:
            with lock.acquire(timeout=0):
                return _deliver(folder, uri, leaving)
        except Timeout:
            # The syncer of a driver that was killed delivers the same files; wait for its end.
            leaving.wait(_POLL_SECONDS)
    return False


def _deliver(folder: Path, uri: str, leaving: _Leaving) -> bool:
    from .client import ExperimentDeleted, Unavailable
    from .delivery import Delivery

    delivery = Delivery(folder, uri)
    pause = first = _BACK_OFF_SECONDS[0]
    while not leaving.overdue:
        last_round = leaving.asked
        try:
            delivery.round(everything=last_round)
        except (Unavailable, OSError, UserError) as error:
            if pause == first:
                _log.warning("MLflow at %s cannot be reached: %s", uris.display_uri(uri), error)
            leaving.wait(pause)
            pause = min(pause * 2, _BACK_OFF_SECONDS[1])
            continue
        except ExperimentDeleted as error:
            _log.warning("%s", error)
            return False
        if pause != first:
            _log.info("MLflow is back")
        pause = first
        if delivery.finished or last_round:
            return True
        leaving.wait(_POLL_SECONDS)
    return False


if __name__ == "__main__":
    sys.exit(main())
