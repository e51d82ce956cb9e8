from __future__ import annotations

from typing import Any

import pytest

from lora2_search.config.space.schema import Resources
from lora2_search.errors import ConfigError
from tests.support.spaces import K, space_of


@pytest.mark.parametrize(
    ("asked", "device", "has_gpu", "gpus"),
    [
        (None, "auto", True, 1.0),
        (None, "auto", False, 0.0),
        (None, "cpu", True, 0.0),
        (0.5, "cpu", True, 0.5),
        (0.0, "auto", True, 0.0),
    ],
)
def test_a_run_takes_a_gpu_where_there_is_one_and_nothing_else_was_asked_for(
    asked: float | None, device: str, has_gpu: bool, gpus: float
) -> None:
    assert Resources(gpus_per_trial=asked).with_gpus(device, has_gpu).gpus_per_trial == gpus


@pytest.mark.parametrize(
    ("cpus_per_trial", "gpus_per_trial", "cpus", "gpus", "fit"),
    [(1, 0, 16, 1, 16), (1, 1, 16, 1, 1), (1, 0.5, 16, 1, 2), (4, 1, 16, 8, 4), (1, 1, 16, 0, 0)],
)
def test_runs_fit_on_a_node_by_cores_and_by_gpus(
    cpus_per_trial: float, gpus_per_trial: float, cpus: int, gpus: int, fit: int
) -> None:
    one = Resources(cpus_per_trial=float(cpus_per_trial), gpus_per_trial=float(gpus_per_trial))
    assert one.fit(cpus, gpus) == fit


def test_a_run_takes_as_much_for_each_of_its_devices() -> None:
    two = Resources(cpus_per_trial=3, gpus_per_trial=1, devices_per_trial=2)
    assert (two.cpus, two.gpus) == (6, 2)
    assert [two.fit(*node) for node in [(12, 4), (12, 3), (11, 4), (5, 8)]] == [2, 1, 1, 0]


BATCH = "training.batch_size"


def searched(**values: Any) -> dict[str, Any]:
    return {"search": {**K, BATCH: values}}


@pytest.mark.parametrize(
    ("changes", "key", "got"),
    [
        ({"training": {"batch_size": 20}}, BATCH, 20),
        (searched(type="categorical", choices=[12, 16]), f"search.{BATCH}", 16),
        (searched(type="int", low=9, high=29, step=4), f"search.{BATCH}", 13),
        (searched(type="int", low=9, high=30), f"search.{BATCH}", 10),
        (
            {"training": {"batch_size": 30}, "references": {"small": {BATCH: 8}}},
            f"references.small.{BATCH}",
            8,
        ),
    ],
)
def test_a_batch_that_the_devices_cannot_share_is_refused_where_it_is_written(
    changes: dict[str, Any], key: str, got: int
) -> None:
    with pytest.raises(ConfigError) as caught:
        space_of(resources={"devices_per_trial": 3}, **changes)
    (problem,) = caught.value.problems
    assert problem.key == key
    assert f"multiple of the 3 devices that share each batch, but got {got}" in problem.message


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"batch_size": 30}},
        {**searched(type="int", low=9, high=30, step=3), "training": {"batch_size": 7}},
    ],
)
def test_batches_that_the_devices_can_share_are_accepted(changes: dict[str, Any]) -> None:
    assert space_of(resources={"devices_per_trial": 3}, **changes).resources.devices_per_trial == 3


@pytest.mark.parametrize(
    ("gpus", "refused"), [(0.5, True), (2.0, True), (1.0, False), (0.0, False)]
)
def test_each_of_several_devices_is_one_whole_gpu_or_none(gpus: float, refused: bool) -> None:
    resources = {"devices_per_trial": 2, "gpus_per_trial": gpus}
    if not refused:
        assert space_of(resources=resources).resources.gpus == 2 * gpus
        return
    with pytest.raises(ConfigError, match=rf"must be 1 or 0, but got gpus_per_trial={gpus:g}"):
        space_of(resources=resources)
