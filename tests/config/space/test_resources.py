from __future__ import annotations

import pytest

from lora2_search.config.space.schema import Resources


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
