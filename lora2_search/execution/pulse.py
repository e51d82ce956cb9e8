"""Whether a cluster that was joined still lives; Ray itself notices after a minute, and aborts."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import Signals

import ray

from .. import signals

# Ray's own limit is 60 s, at which it ends the process in C++. A head that is only slow answers
# within seconds.
PATIENCE_SECONDS = 12.0

_PAUSE_SECONDS = 1.0

# Every Unix socket that a process of this machine has open, by its path.
_SOCKETS = Path("/proc/net/unix")

_KNOCK_SECONDS = 3.0


@contextmanager
def watched(address: str) -> Iterator[Callable[[], bool]]:
    """Watch the head of a cluster, and the raylet of this machine, while the block runs.

    When one of them has not answered for `PATIENCE_SECONDS`, the process is told to end as by a
    scheduler that takes the machine: SIGTERM, with the cause in words.

    Args:
        address: What the user calls the cluster.

    Yields:
        Whether the cluster was found dead.
    """
    head = ray.get_runtime_context().gcs_address
    raylet = ray._private.worker._global_node.raylet_socket_name
    over, dead = threading.Event(), threading.Event()

    def watch() -> None:
        answered = time.monotonic()
        while not over.wait(_PAUSE_SECONDS):
            silent = _silent(head, raylet)
            if not silent:
                answered = time.monotonic()
            elif time.monotonic() - answered >= PATIENCE_SECONDS:
                dead.set()
                signals.pretend(Signals.SIGTERM, f"the Ray cluster at {address} is gone: {silent}")
                return

    thread = threading.Thread(target=watch, name="pulse", daemon=True)
    thread.start()
    try:
        yield dead.is_set
    finally:
        over.set()


def _silent(head: str, raylet: str) -> str:
    """Return what of the cluster does not answer; nothing where all is well."""
    host, _, port = head.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_SECONDS).close()
    except OSError:
        return f"its head does not answer at {head}"
    # Not by a connection: the raylet would note each one in its log.
    with suppress(OSError):
        if f"{raylet}\n" not in _SOCKETS.read_text():
            return "the raylet of this machine has died"
    return ""
