from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora2_search.store.rank_pattern import block_and_kind, rank_grid, write_rank_pattern

PATTERN = {
    "bert.encoder.layer.10.attention.self.query": 3,
    "bert.encoder.layer.2.attention.self.query": 5,
    "bert.encoder.layer.2.output.dense": 0,
    "lm_head": 1,
}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("deberta.encoder.layer.11.output.dense", ("11", "output.dense")),
        ("model.layers.0.mlp.experts.3.up_proj", ("0", "mlp.experts.3.up_proj")),
        ("classifier", ("–", "classifier")),
    ],
)
def test_a_module_is_placed_by_the_first_number_in_its_name(
    module: str, expected: tuple[str, str]
) -> None:
    assert block_and_kind(module) == expected


def test_blocks_are_in_the_order_of_their_numbers_and_gaps_stay_gaps() -> None:
    grid = rank_grid(PATTERN)
    assert grid.layers == ("2", "10", "–")
    assert grid.kinds == ("attention.self.query", "output.dense", "lm_head")
    assert grid.ranks == ((5, 0, None), (3, None, None), (None, None, 1))


def test_the_file_holds_the_ranks_by_name_and_as_a_heat_map(tmp_path: Path) -> None:
    told = json.loads(write_rank_pattern(tmp_path, PATTERN, highest=8).read_text())
    assert told["r"] == 8 and told["modules"] == PATTERN
    assert (len(told["ranks"]), len(told["ranks"][0])) == (len(told["layers"]), len(told["kinds"]))
    assert told["ranks"][1] == [3, None, None]
