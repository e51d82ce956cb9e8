"""Puts spool files on disk from a thread of its own: an fsync takes milliseconds on a busy disk."""

from __future__ import annotations

import logging
import os
import queue
import threading
from typing import BinaryIO

# Each waiting file holds a descriptor; beyond this the caller waits instead.
_MAX_WAITING = 64

_log = logging.getLogger(__name__)


class Flusher:
    """Calls ``fsync`` soon, in order. Only a crash of the whole machine could tell the delay."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="spool-flusher", daemon=True)
        self._thread.start()

    def flush(self, file: BinaryIO) -> None:
        """Have ``file`` on disk soon; it may be closed meanwhile."""
        if self._waiting.qsize() < _MAX_WAITING:
            self._waiting.put(os.dup(file.fileno()))
        else:
            os.fsync(file.fileno())

    def close(self, timeout: float = 2.0) -> None:
        """Wait for what was asked for, at most ``timeout`` seconds."""
        self._waiting.put(None)
        self._thread.join(timeout)

    def _work(self) -> None:
        while (descriptor := self._waiting.get()) is not None:
            try:
                os.fsync(descriptor)
            except OSError as error:
                _log.warning("the disk did not take the spool: %s", error)
            finally:
                os.close(descriptor)
