"""Whether a worker has to go: its node is announced to end, or somebody sent it SIGTERM."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import ray
from ray._private.state import state as cluster_state

_PAUSE_SECONDS = 2.0

# A cluster that does not answer is no notice: who dies with it is taken up elsewhere.
_FAILURES = (ray.exceptions.RayError, OSError, RuntimeError, ValueError)


class Notice:
    """The notice of this process; there is one, given when its first run begins.

    Spot instances, autoscalers and ``ray start --block`` on SIGTERM let Ray drain the node: it
    takes no new work, and ends at a deadline. A job's end sends SIGTERM to each process.

    Attributes:
        reason: Why it has to go; empty while nobody said so.
        busy: Whether a step is under way, which leaves by itself; between steps SIGTERM ends the
            process as Ray has it, and the last evaluation has its checkpoint.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.busy = False
        if not ray.is_initialized() or ray.get_runtime_context().get_actor_id() is None:
            return  # no worker: its signals are its command's
        if threading.current_thread() is threading.main_thread():
            self._before = signal.getsignal(signal.SIGTERM)
            signal.signal(signal.SIGTERM, self._on_signal)
        threading.Thread(target=self._watch, name="notice", daemon=True).start()

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Let a step that takes notice run in the block."""
        self.busy = True
        try:
            yield
        finally:
            self.busy = False

    def given(self) -> bool:
        """Return whether the process has to go."""
        return bool(self.reason)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.reason = self.reason or "its process was told to end (SIGTERM)"
        if not self.busy and callable(self._before):
            self._before(number, frame)

    def _watch(self) -> None:
        node = ray.get_runtime_context().get_node_id()
        while not self.given():
            time.sleep(_PAUSE_SECONDS)
            try:
                draining = node in cluster_state.get_draining_nodes()
            except _FAILURES:
                continue
            if draining:
                self.reason = self.reason or "its node is about to end (Ray drains it)"
