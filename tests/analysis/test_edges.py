from __future__ import annotations

from typing import Any

import pytest

from lora2_search.analysis.study import edges
from lora2_search.config.space.schema import Space
from lora2_search.config.stored import stored_plan

LOG = {"type": "float", "low": 1e-3, "high": 2e-2, "log": True}
WHOLE = {"type": "int", "low": 2, "high": 8}
CHOICE = {"type": "categorical", "choices": [4, 8, 16]}
SHARE = {"type": "float", "low": 0.0, "high": 0.5}


@pytest.mark.parametrize(
    ("name", "item", "value", "end"),
    [
        ("training.lr", LOG, 0.0181, "upper"),
        ("training.lr", LOG, 1.05e-3, "lower"),
        ("training.lr", LOG, 5e-3, None),
        ("training.lr", LOG, 1.5e-2, None),
        ("adapter.lora_dropout", SHARE, 0.49, "upper"),
        ("adapter.lora_dropout", SHARE, 0.0, None),  # nothing is below 0
        ("adapter.r", WHOLE, 8, "upper"),
        ("adapter.r", WHOLE, 2, "lower"),
        ("adapter.r", WHOLE, 7, None),
        # Beyond r no target rank is valid, and so there is nothing to widen.
        ("adapter.target_rank", WHOLE, 8, None),
        ("adapter.target_rank", WHOLE, 2, "lower"),
        ("adapter.k", CHOICE, 16, None),
    ],
)
def test_a_winner_at_an_end_of_its_range_says_what_to_widen(
    name: str, item: dict[str, Any], value: float, end: str | None
) -> None:
    space = stored_plan(Space, {"name": "edges", "task": "sentiment", "search": {name: item}})
    said = edges(space, {name: value})
    assert len(said) == (end is not None)
    if end is not None:
        assert f"is at the {end} end of its range" in said[0]
        assert said[0].endswith(f"widen {name}.")


def test_a_setting_that_the_winner_does_not_use_has_no_end() -> None:
    space = stored_plan(
        Space, {"name": "edges", "task": "sentiment", "search": {"training.lr": LOG}}
    )
    assert edges(space, {}) == []
