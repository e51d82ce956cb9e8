"""Workers that are still starting while runs end: no run takes another one's place from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune.execution.tune_controller import TuneController

from .amended import Method, amended


@contextmanager
def letting_workers_start() -> Iterator[None]:
    """Let a run whose worker is starting wait for it, for the time of a block.

    Tune gives it the worker of a run that has just ended and kills its own, half started, then
    starts one for the next run (ray 2.60, `TuneController._maybe_reuse_cached_actor`). Where runs
    are shorter than a worker's start, all of them pass through one worker, and the others start
    and are killed until the end. The next run takes the free worker; where there is no next run, a
    waiting one still does.
    """

    def amend(own: Method) -> Method:
        def reuse(controller: Any, trial: Any) -> bool:
            return False if _worker_starts(controller, trial) else own(controller, trial)

        return reuse

    with amended(TuneController, "_maybe_reuse_cached_actor", amend):
        yield


def _worker_starts(controller: Any, trial: Any) -> bool:
    """Whether a run's own worker is on its way, and another run can take the free one."""
    if trial in controller._resetting_trials or not _has_place(controller, trial):
        return False
    others = (other for other in controller._pending_trials if other is not trial)
    return any(not _has_place(controller, other) for other in others)


def _has_place(controller: Any, trial: Any) -> bool:
    # A worker that still waits for a place may wait for the very place of the free one.
    worker = controller._trial_to_actor.get(trial)
    return worker is not None and controller._actor_manager.is_actor_started(worker)
