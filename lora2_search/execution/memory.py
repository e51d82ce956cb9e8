"""A worker that Ray ends because its node runs low on memory: one death of one run, no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError

_EXTENT = re.compile(r"was (\S+ used / \S+ limit)")


class LackOfMemory(RayActorError):
    """Ray ended a process because its node was low on memory."""

    def __init__(self, said: str) -> None:
        extent = _EXTENT.search(said)
        told = f" ({extent[1]})" if extent else ""
        super().__init__(
            error_msg=f"Ray ended it because its node was low on memory{told}; run fewer at a time "
            "(resources.concurrent), or lower training.batch_size"
        )


@contextmanager
def outliving_lack_of_memory() -> Iterator[None]:
    """Let Tune treat such an end as that of any other process, for the time of a block.

    Tune knows errors of actors and of their methods; `OutOfMemoryError` is neither, and ends the
    whole experiment as "unexpected" (ray 2.60, `RayActorManager._actor_task_failed`).
    """
    own = RayActorManager._actor_task_failed

    def failed(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, OutOfMemoryError):
            exception = LackOfMemory(str(exception))
        own(self, tracked_actor_task, exception)

    RayActorManager._actor_task_failed = failed
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = own
