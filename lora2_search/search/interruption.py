"""Ends an execution in good order: Ctrl-C, SIGTERM, or the end of its time."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ENDING = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Whether an execution should end, and why.

    Attributes:
        requested: Whether Ctrl-C or SIGTERM came.
    """

    def __init__(self) -> None:
        self.requested = False
        self._deadline: float | None = None

    def end_in(self, seconds: float) -> None:
        """Let no more runs begin, and running ones end at their next evaluation, from then on."""
        self._deadline = time.time() + seconds

    @property
    def overdue(self) -> bool:
        """Whether the time is up."""
        return self._deadline is not None and time.time() >= self._deadline

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take Ctrl-C and SIGTERM as a request while the block runs, repeated ones too.

        Ray and Tune install handlers of their own when they start: listen again after that. Those
        from before are put back. Only the main thread can do so; elsewhere signals stay as they
        are.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (*_ENDING, signal.SIGUSR1)}
        for number in _ENDING:
            signal.signal(number, self._request)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _request(self, number: int, frame: Any) -> None:
        self.requested = True
