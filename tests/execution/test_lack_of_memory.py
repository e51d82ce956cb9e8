"""What Ray's memory monitor ends is one death of one run; tests/cluster does it for real."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError

from lora2_search.execution.loss import last_loss
from lora2_search.execution.memory import LackOfMemory, outliving_lack_of_memory

SAID = (
    "1 worker(s) were killed due to the node running low on memory. Memory on the node "
    "(IP: 10.0.0.7, ID: 1fa4) was 6.36GB used / 23.54GB limit (0.269976)\nOOM kill reason: ..."
)


def tell(exception: Exception) -> list[Exception]:
    """Let Tune's actor manager hear of the end of an actor's method."""
    heard: list[Exception] = []
    actor = SimpleNamespace(actor_id=1, _on_error=lambda _, error: heard.append(error))
    task: Any = SimpleNamespace(_tracked_actor=actor, _on_error=None)
    manager: Any = SimpleNamespace(_failed_actor_ids=set(), _cleanup_actor=lambda **_: None)
    RayActorManager._actor_task_failed(manager, tracked_actor_task=task, exception=exception)
    return heard


def test_a_node_without_memory_costs_one_actor_and_not_the_experiment() -> None:
    with outliving_lack_of_memory():
        (error,) = tell(OutOfMemoryError(SAID))
        assert isinstance(error, RayActorError)
        assert "low on memory (6.36GB used / 23.54GB limit); run fewer at a time" in str(error)
        other = RayActorError()
        assert tell(other) == [other]
    # Once Ray knows it, what stands in between can go.
    with pytest.raises(RuntimeError, match="Caught unexpected exception"):
        tell(OutOfMemoryError(SAID))


def test_a_process_that_is_ended_while_it_starts_is_told_of_in_the_same_words() -> None:
    heard: list[Exception] = []
    actor: Any = SimpleNamespace(actor_id=1, _on_error=lambda _, error: heard.append(error))
    manager: Any = SimpleNamespace(_failed_actor_ids=set(), _cleanup_actor=lambda **_: None)
    with outliving_lack_of_memory():
        error = OutOfMemoryError(SAID)
        RayActorManager._actor_start_failed(manager, tracked_actor=actor, exception=error)
    assert isinstance(heard[0], LackOfMemory)


def test_the_reason_is_told_without_the_name_of_a_class(tmp_path: Any) -> None:
    path = tmp_path / "error.txt"
    name = f"{LackOfMemory.__module__}.{LackOfMemory.__name__}"
    path.write_text(f"Failure # 1 (occurred at now)\nTraceback\n{name}: {LackOfMemory(SAID)}\n")
    loss = last_loss(str(path))
    assert loss.own and loss.reason.startswith("Ray ended it because its node was low on memory (")
