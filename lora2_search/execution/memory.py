"""A worker that Ray ends because its node runs low on memory: one death of one run, no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError

from .amended import Method, amended

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
    whole experiment as "unexpected" (ray 2.60, `RayActorManager._actor_task_failed`). A process
    that is ended while it starts is told of in a page of advice.
    """
    with (
        amended(RayActorManager, "_actor_task_failed", _told_in_known_words),
        amended(RayActorManager, "_actor_start_failed", _told_in_known_words),
    ):
        yield


def _told_in_known_words(own: Method) -> Method:
    def failed(manager: Any, *, exception: Exception, **named: Any) -> None:
        own(manager, exception=_known(exception), **named)

    return failed


def _known(exception: Exception) -> Exception:
    """Return an error that Tune knows, and that says what to do."""
    if isinstance(exception, OutOfMemoryError):
        return LackOfMemory(str(exception))
    return exception
