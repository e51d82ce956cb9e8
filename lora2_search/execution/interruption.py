"""Ends an execution in good order: a signal, or the end of its time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from signal import Signals
from types import FrameType

from .. import signals


class Interruption:
    """Whether an execution should end, and why.

    Attributes:
        signal: The signal that asks for it, the first one; ``None`` while none came.
    """

    def __init__(self) -> None:
        self.signal: Signals | None = None
        self._deadline: float | None = None

    @property
    def requested(self) -> bool:
        """Whether a signal came."""
        return self.signal is not None

    def end_in(self, seconds: float) -> None:
        """Let no more runs begin, and running ones end at their next evaluation, from then on."""
        self._deadline = time.time() + seconds

    def lift_deadline(self) -> None:
        """Let what comes from now on take as long as it takes."""
        self._deadline = None

    @property
    def overdue(self) -> bool:
        """Whether the time is up."""
        return self._deadline is not None and time.time() >= self._deadline

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the ending signals (`signals.EXIT_CODES`) as a request while the block runs."""
        with signals.handle_signals(self._request):
            yield

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.signal = self.signal or Signals(number)
