"""The signals that end a command in good order, and the exit code that each one stands for.

=========================  =====  ===============================================================
signal                     code   whose it is
=========================  =====  ===============================================================
SIGINT                     130    Ctrl-C
SIGHUP                     129    a terminal that was closed; `nohup` keeps it away
SIGTERM, SIGUSR1, SIGUSR2  85     a scheduler that wants the machine back: put the job back in line
=========================  =====  ===============================================================

Whoever sends them sends them to the whole process group, or to every process of a job, and often
more than once: the first one counts. Only the main thread can take signals; in another one these
functions leave them as they are.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from signal import Signals
from types import FrameType
from typing import Any

PREEMPTED = 85
EXIT_CODES: Mapping[Signals, int] = {
    Signals.SIGINT: 130,
    Signals.SIGHUP: 129,
    Signals.SIGTERM: PREEMPTED,
    Signals.SIGUSR1: PREEMPTED,
    Signals.SIGUSR2: PREEMPTED,
}

Handler = Callable[[int, FrameType | None], Any]


class Interrupted(KeyboardInterrupt):
    """A signal ended the work; what was done is kept.

    Args:
        number: The signal.
        advice: How to go on, where there is something to go on with.

    Attributes:
        signal: The signal.
    """

    def __init__(self, number: int = Signals.SIGINT, advice: str = "") -> None:
        super().__init__(*([advice] if advice else []))
        self.signal = Signals(number)


def signal_of(interrupt: KeyboardInterrupt) -> Signals:
    """Return what was sent; Python's own interrupt is Ctrl-C."""
    return interrupt.signal if isinstance(interrupt, Interrupted) else Signals.SIGINT


def take(handler: Handler) -> dict[Signals, Any]:
    """Let ``handler`` have the ending signals from now on; return whose they were, for `give_back`.

    A SIGHUP that is ignored stays so: that is what `nohup` asks for.
    """
    before = _handlers()
    if before.get(Signals.SIGHUP) == signal.SIG_IGN:
        del before[Signals.SIGHUP]
    terminals = [stream for stream in (0, 1, 2) if os.isatty(stream)]

    def come(number: int, frame: FrameType | None) -> None:
        if number == Signals.SIGHUP:
            _forget_closed(terminals)
        _command.leaves(Signals(number))
        handler(number, frame)

    for number in before:
        signal.signal(number, come)
    return before


def give_back(before: Mapping[Signals, Any]) -> None:
    """Give the ending signals back to whom `take` took them from."""
    for number, handler in before.items():
        signal.signal(number, handler)


@contextmanager
def taken(handler: Handler) -> Iterator[None]:
    """Let ``handler`` have the ending signals while the block runs."""
    before = take(handler)
    try:
        yield
    finally:
        give_back(before)


@contextmanager
def kept() -> Iterator[None]:
    """Keep whose the ending signals are over a block in which a library takes some."""
    before = _handlers()
    try:
        yield
    finally:
        give_back(before)


@contextmanager
def unheard() -> Iterator[None]:
    """Let ending signals pass without effect while the block runs: it ends soon, and must."""
    with taken(lambda number, frame: None):
        yield


@contextmanager
def blocked() -> Iterator[None]:
    """Hold ending signals back while the block runs.

    Threads and processes that are started in it are deaf to them for ever, and so are the
    processes that those start.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, EXIT_CODES)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Command:
    """What this process knows of its own end, when it is a command of ours."""

    def __init__(self) -> None:
        self.seconds: float | None = None
        self.told = 0

    def leaves(self, number: Signals) -> None:
        self.told += 1
        if self.told == 1 and self.seconds is not None:
            timer = threading.Timer(self.seconds, _leave_by_force, [EXIT_CODES[number]])
            timer.daemon = True
            timer.start()


_command = _Command()


def interrupt_at_first(seconds: float) -> None:
    """Raise `Interrupted` in the main thread at the first ending signal, from now on.

    Args:
        seconds: How long the process may take to end after that, whoever has the signals then;
            after them it ends by force, with the signal's exit code.
    """
    _command.seconds = seconds

    def interrupt(number: int, frame: FrameType | None) -> None:
        if _command.told == 1:
            raise Interrupted(number)

    take(interrupt)


def hurry(code: object) -> None:
    """End this process now if a signal told it to; Python takes seconds to put itself away."""
    if _command.told and isinstance(code, int):
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _handlers() -> dict[Signals, Any]:
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.getsignal(number) for number in EXIT_CODES}


def _leave_by_force(code: int) -> None:
    with suppress(OSError):
        os.write(2, b"something hangs: left without waiting for it\n")
    os._exit(code)


def _forget_closed(terminals: list[int]) -> None:
    """Let what is written to a terminal that is gone go nowhere: to write there is an error."""
    for stream in terminals:
        if not os.isatty(stream):
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, stream)
            os.close(nowhere)
