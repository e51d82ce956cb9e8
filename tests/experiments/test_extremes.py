"""The smallest and the largest adapter of a space, found at its corners."""

from __future__ import annotations

from typing import Any

import pytest

from lora2_search.config.run import RunConfig
from lora2_search.experiments.extremes import extreme_adapters
from tests.support.spaces import space_of


def size(config: RunConfig) -> int:
    if config.method == "head-only":
        return 0
    return int(config.adapter.r) * (1 if config.method == "lora" else 10)


R = {"type": "int", "low": 4, "high": 12}
RANK = {"type": "int", "low": 1, "high": 4}
METHOD = {"type": "categorical", "choices": ["lora2", "lora"]}


@pytest.mark.parametrize(
    ("search", "smallest", "largest"),
    [
        ({"adapter.r": R}, (40, {"adapter.r": 4}), (120, {"adapter.r": 12})),
        ({"training.lr": {"type": "float", "low": 1e-4, "high": 1e-3}}, (80, {}), (80, {})),
        (
            {"adapter.r": R, "adapter.target_rank": RANK, "method": METHOD},
            (4, {"method": "lora", "adapter.r": 4}),
            (120, {"method": "lora2", "adapter.r": 12}),
        ),
        (
            {"adapter.r": R | {"when": {"method": ["lora2"]}}, "method": METHOD},
            (8, {"method": "lora"}),
            (120, {"method": "lora2", "adapter.r": 12}),
        ),
    ],
)
def test_they_are_found_with_the_settings_that_decide_them(
    search: dict[str, Any], smallest: Any, largest: Any
) -> None:
    found = extreme_adapters(space_of(search=search), size)
    assert found is not None
    assert [(item.parameters, item.settings) for item in found] == [smallest, largest]


def test_more_combinations_than_anybody_waits_for_are_not_counted() -> None:
    choices = {"type": "categorical", "choices": list(range(1, 71))}
    assert extreme_adapters(space_of(search={"adapter.k": choices}), size) is None
