"""How long a run takes: one number, and its parts."""

from __future__ import annotations

import time

from .record import RunRecord


class Timer:
    """Adds the seconds spent inside to one of the record's timings."""

    def __init__(self, record: RunRecord, name: str) -> None:
        self._record, self._name = record, name

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        timings = self._record.timings
        timings[self._name] = timings.get(self._name, 0.0) + time.perf_counter() - self._start


class Clock:
    """Keeps the record's ``total``: the seconds that processes spent on the run, pauses left out.

    It starts when it is made.
    """

    def __init__(self, record: RunRecord) -> None:
        self._record, self._counted_to = record, time.perf_counter()

    def note(self) -> None:
        """Add the seconds since the last note, or since the start."""
        now, timings = time.perf_counter(), self._record.timings
        timings["total"] = timings.get("total", 0.0) + now - self._counted_to
        self._counted_to = now
