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

In a command of ours (`interrupt_at_first`) every thread holds these signals back, but for one that
waits for them: it hears them while the main thread is in a library's C code, and whatever handlers
that library has put in place.
"""

from __future__ import annotations

import _thread
import math
import os
import signal
import sys
import threading
import time
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

# Ends a wait in the main thread, so that it looks at what came; nobody else uses it, and where no
# handler is in place it does nothing.
_WAKE = Signals.SIGURG
_WAKE_AGAIN_SECONDS = 0.2
_LAST_WORDS_SECONDS = 1.0
# What there is still to do after a wait for another process.
_RESERVE_SECONDS = 1.0

# Libraries reach `signal.signal` by that name, which `preserve_handlers` lends to another function.
_set_handler = signal.signal


class Interrupted(KeyboardInterrupt):
    """A signal ended the work; what was done is kept.

    Args:
        number: The signal.
        advice: How to resume, where there is something to resume.

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
        _set_handler(number, come)
    return before


def give_back(before: Mapping[Signals, Any]) -> None:
    """Give the ending signals back to whom `take` took them from."""
    for number, handler in before.items():
        _set_handler(number, handler)


@contextmanager
def handle_signals(handler: Handler) -> Iterator[None]:
    """Let ``handler`` have the ending signals while the block runs."""
    before = take(handler)
    try:
        yield
    finally:
        give_back(before)


@contextmanager
def preserve_handlers() -> Iterator[None]:
    """Keep whose the ending signals are over a block in which a library would take some.

    What it would put in place is passed over: there is no moment at which it has them.
    """
    before, lent = _handlers(), signal.signal
    if not before:
        yield
        return

    def others(signalnum: int, handler: Any) -> Any:
        return before[Signals(signalnum)] if signalnum in before else lent(signalnum, handler)

    signal.signal = others
    try:
        yield
    finally:
        signal.signal = lent
        # A library in C does not ask for leave.
        give_back(before)


@contextmanager
def unheard() -> Iterator[None]:
    """Let ending signals pass without effect while the block runs: it ends soon, and must."""
    with handle_signals(lambda number, frame: None):
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
    """What this process knows of its own end, when it is a command of ours.

    Attributes:
        listens: Whether a thread waits for the signals.
        first: The signal that ends it; ``None`` while none came.
        cause: Why nobody had to send it; empty for a real one.
        told: How often the main thread was told.
        end: When it ends by force, on the monotonic clock.
        last_words: What is done when it ends by force.
    """

    def __init__(self) -> None:
        self.listens = False
        self.first: Signals | None = None
        self.cause = ""
        self.told = 0
        self.end = math.inf
        self.last_words: list[Callable[[Signals], object]] = []

    def leaves(self, number: Signals) -> None:
        self.first = self.first or number
        self.told += 1


_command = _Command()


def interrupt_at_first(seconds: float) -> None:
    """Raise `Interrupted` in the main thread at the first ending signal, from now on.

    The processes that this one starts from now on are deaf to these signals, unless they call
    `let_through`.

    Args:
        seconds: How long the process may take to end after that, whoever has the signals then;
            after them it ends by force, with the signal's exit code.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        if _command.told == 1:
            raise Interrupted(number)

    taken_now = set(take(interrupt))
    _set_handler(_WAKE, lambda number, frame: None)
    # Threads that begin later have what this one has, and so has the one that listens.
    signal.pthread_sigmask(signal.SIG_BLOCK, taken_now)
    listener = threading.Thread(target=_listen, args=(taken_now, seconds), daemon=True)
    listener.start()
    _command.listens = True


def pretend(number: Signals, cause: str) -> None:
    """Let this process end as if a signal had come to it, which nobody sent.

    Outside a command of ours it reaches a handler in Python alone: no program dies of it.

    Args:
        number: The signal.
        cause: What happened, for `cause`.
    """
    _command.cause = _command.cause or cause
    if _command.listens:
        os.kill(os.getpid(), number)
    else:
        _thread.interrupt_main(number)


def cause() -> str:
    """Return what ends this process, where that is no signal that somebody sent; else nothing."""
    return _command.cause


def is_leaving() -> bool:
    """Return whether this is a command of ours that was told to end."""
    return _command.listens and _command.first is not None


def let_through() -> None:
    """Hear ending signals in a process that one of our commands started."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, EXIT_CODES)


@contextmanager
def last_words(action: Callable[[Signals], object]) -> Iterator[None]:
    """Let ``action`` be done if the command has to end by force while the block runs.

    It is done in another thread, beside whatever hangs, and has about a second.
    """
    _command.last_words.append(action)
    try:
        yield
    finally:
        _command.last_words.remove(action)


def patience(seconds: float) -> float:
    """Return how long to wait for another process: as asked, or to just before the end by force."""
    return min(seconds, max(0.0, _command.end - time.monotonic() - _RESERVE_SECONDS))


def hurry(code: object) -> None:
    """End this process now if a signal told it to; Python takes seconds to put itself away."""
    if _command.first is not None and isinstance(code, int):
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        # What typer makes of every interrupt that comes before the verb has begun.
        os._exit(EXIT_CODES[_command.first] if code == EXIT_CODES[Signals.SIGINT] else code)


def _handlers() -> dict[Signals, Any]:
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.getsignal(number) for number in EXIT_CODES}


def _listen(numbers: set[Signals], seconds: float) -> None:
    first = Signals(signal.sigwait(numbers))
    _command.end = time.monotonic() + seconds
    _tell_main_thread(first)
    while (left := _command.end - time.monotonic()) > 0:
        came = signal.sigtimedwait(numbers, min(left, _WAKE_AGAIN_SECONDS))
        if came is not None:
            _tell_main_thread(Signals(came.si_signo))
        elif not _command.told:
            # It may have begun to wait just after it was told.
            _wake_main_thread()
    _leave_by_force(first)


def _tell_main_thread(number: Signals) -> None:
    _thread.interrupt_main(number)
    _wake_main_thread()


def _wake_main_thread() -> None:
    main = threading.main_thread().ident
    assert main is not None
    with suppress(ProcessLookupError):
        signal.pthread_kill(main, _WAKE)


def _leave_by_force(number: Signals) -> None:
    with suppress(OSError):
        os.write(2, b"something hangs: left without waiting for it\n")
    end = time.monotonic() + _LAST_WORDS_SECONDS
    # Each on its own: what hangs must not keep the others from being done.
    speakers = [
        threading.Thread(target=_speak, args=(action, number), daemon=True)
        for action in _command.last_words
    ]
    for speaker in speakers:
        speaker.start()
    for speaker in speakers:
        speaker.join(max(0.0, end - time.monotonic()))
    os._exit(EXIT_CODES[number])


def _speak(action: Callable[[Signals], object], number: Signals) -> None:
    with suppress(Exception):  # nobody is left to tell
        action(number)


def _forget_closed(terminals: list[int]) -> None:
    """Let what is written to a terminal that is gone go nowhere: to write there is an error."""
    for stream in terminals:
        if not os.isatty(stream):
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, stream)
            os.close(nowhere)
