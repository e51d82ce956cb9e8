from __future__ import annotations

from typing import Any

import pytest

from lora2_search.analysis.edges import winner_edges
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
def test_a_winner_at_an_end_of_its_range_has_a_wider_one(
    name: str, item: dict[str, Any], value: float, end: str | None
) -> None:
    space = stored_plan(Space, {"name": "edges", "task": "sentiment", "search": {name: item}})
    found = winner_edges(space, {name: value})
    assert [edge.end for edge in found] == ([] if end is None else [end])
    for edge in found:
        low, high = edge.wider.low, edge.wider.high
        assert low is not None and high is not None
        assert (low < item["low"], high > item["high"]) == (end == "lower", end == "upper")
        # What is proposed can be searched.
        wider = stored_plan(
            Space,
            {"name": "wider", "task": "sentiment", "search": {name: edge.wider.model_dump()}},
        )
        for value in wider.search[name].endpoints():
            wider.run_config({name: value})


def test_a_wider_range_ends_at_a_round_number_and_keeps_its_step() -> None:
    search = {
        "training.lr": LOG,
        "adapter.r": {"type": "int", "low": 4, "high": 16, "step": 4},
    }
    space = stored_plan(Space, {"name": "edges", "task": "sentiment", "search": search})
    lr, rank = winner_edges(space, {"training.lr": 0.019, "adapter.r": 16})
    assert lr.wider.high == 0.1 and lr.wider.low == 1e-3
    assert rank.wider.high == 24 and rank.wider.step == 4


def test_a_setting_that_the_winner_does_not_use_has_no_end() -> None:
    space = stored_plan(
        Space, {"name": "edges", "task": "sentiment", "search": {"training.lr": LOG}}
    )
    assert winner_edges(space, {}) == []
