from __future__ import annotations

import pytest

from lora2_search.config.space.schema import Resources
from lora2_search.errors import ConfigError
from lora2_search.execution.cluster import max_concurrent_runs


@pytest.mark.parametrize(
    ("resources", "nodes", "expected"),
    [
        ({"cpus_per_trial": 2}, [(4, 0), (3, 0)], 3),
        ({"cpus_per_trial": 2, "concurrent": 2}, [(4, 0), (3, 0)], 2),
        ({"gpus_per_trial": 1}, [(4, 0), (4, 2)], 2),
        ({"cpus_per_trial": 1, "devices_per_trial": 2}, [(5, 0), (3, 0), (1, 0)], 3),
        ({"gpus_per_trial": 1, "devices_per_trial": 2}, [(8, 3), (8, 1), (8, 4)], 3),
    ],
)
def test_runs_are_counted_node_by_node(
    resources: dict[str, float], nodes: list[tuple[float, float]], expected: int
) -> None:
    assert max_concurrent_runs(Resources.model_validate(resources), nodes) == expected


@pytest.mark.parametrize(
    ("resources", "nodes", "problems"),
    [
        (
            {"gpus_per_trial": 2},
            [(4, 0), (4, 1)],
            {"resources.gpus_per_trial": "asks for 2 GPUs, but no node has more than 1;"},
        ),
        (
            {"cpus_per_trial": 8, "gpus_per_trial": 1},
            [(4, 0)],
            {
                "resources.cpus_per_trial": "asks for 8 CPUs, but no node has more than 4;",
                "resources.gpus_per_trial": "asks for 1 GPUs, but no node has more than 0;",
            },
        ),
        (
            {"cpus_per_trial": 2, "devices_per_trial": 3},
            [(4, 0), (5, 0)],
            {
                "resources.devices_per_trial": "6 CPUs for its 3 devices, but no node has more "
                "than 5;"
            },
        ),
        (
            {"gpus_per_trial": 1, "devices_per_trial": 3},
            [(8, 2), (8, 2)],
            {
                "resources.devices_per_trial": "3 GPUs for its 3 devices, but no node has more "
                "than 2;"
            },
        ),
        (
            {"cpus_per_trial": 16, "devices_per_trial": 2},
            [(4, 0)],
            {
                "resources.cpus_per_trial": "asks for 32 CPUs for its 2 devices, but no node has "
                "more than 4;"
            },
        ),
        (
            {"cpus_per_trial": 8, "gpus_per_trial": 1},
            [(8, 0), (4, 1)],
            {"resources.gpus_per_trial": "no single node has 1 GPUs and 8 CPUs"},
        ),
    ],
)
def test_a_run_that_fits_nowhere_is_refused_by_the_keys_at_fault(
    resources: dict[str, float], nodes: list[tuple[float, float]], problems: dict[str, str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        max_concurrent_runs(Resources.model_validate(resources), nodes)
    found = {problem.key: problem.message for problem in caught.value.problems}
    assert found.keys() == problems.keys()
    assert all(words in found[key] for key, words in problems.items())
