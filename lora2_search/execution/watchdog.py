"""Ends a process whose evaluation interval hangs, and says so to the one that takes its place."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..store import write_text

OVERDUE_FILE = "overdue"

OVERDUE_EXIT_CODE = 75

_SEND_SECONDS = 15.0


@contextmanager
def time_limit(folder: Path, seconds: float | None, send: Callable[[], None]) -> Iterator[None]:
    """End this process when the block takes longer, leaving a marker for whoever resumes.

    A hung training step cannot be interrupted from within Python, and Tune waits for ever.

    Args:
        folder: The run's folder.
        seconds: How long; ``None`` for no limit.
        send: Sends the marker to where the next process looks, which may be another machine.
    """
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, _give_up, (folder, seconds, send))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def pop_failure_marker(folder: Path) -> str | None:
    """Return what an earlier process of this run left when it gave up, and forget it."""
    marker = folder / OVERDUE_FILE
    if not marker.is_file():
        return None
    text = marker.read_text(encoding="utf-8", errors="replace")
    marker.unlink()
    return text


def write_failure_marker(folder: Path, reason: str) -> None:
    """Tell the process that takes the run up after this one why the run has failed.

    For a process that must not go on to other runs: it ends, Tune starts another one in its place
    and gives it the same run, which then fails with this reason.
    """
    write_text(folder / OVERDUE_FILE, reason)


def _give_up(folder: Path, seconds: float, send: Callable[[], None]) -> None:
    write_failure_marker(
        folder, f"an evaluation interval took longer than {seconds / 60:g} minutes"
    )
    # In a thread: what made the step hang may make this hang, too.
    sender = threading.Thread(target=_attempted, args=(send,), daemon=True)
    sender.start()
    sender.join(_SEND_SECONDS)
    os._exit(OVERDUE_EXIT_CODE)


def _attempted(send: Callable[[], None]) -> None:
    with suppress(Exception):  # the process ends either way
        send()
