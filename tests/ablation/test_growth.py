from __future__ import annotations

import pytest

from lora2_search.config.suite.schema import as_grown, with_more_seeds
from lora2_search.errors import UserError
from tests.ablation.test_runner import suite


@pytest.mark.parametrize(
    ("seeds", "count", "expected"),
    [(2, 3, [0, 1, 2, 3, 4]), ([7, 2], 2, [7, 2, 8, 9]), ([20, 21], 1, [20, 21, 22])],
)
def test_seeds_are_added_after_the_largest(
    seeds: int | list[int], count: int, expected: list[int]
) -> None:
    assert with_more_seeds(suite(seeds=seeds), count).seed_list == expected


@pytest.mark.parametrize("count", [0, -1])
def test_no_seeds_are_no_addition(count: int) -> None:
    with pytest.raises(UserError, match=f"1 or more, but got {count}"):
        with_more_seeds(suite(), count)


def test_added_seeds_are_noted_and_stay_noted() -> None:
    stored = suite(seeds=[4, 5])
    once = as_grown(with_more_seeds(stored, 2), stored)
    assert once.added_seeds == [6, 7]
    twice = as_grown(with_more_seeds(once, 1), once)
    assert (twice.seed_list, twice.added_seeds) == ([4, 5, 6, 7, 8], [6, 7, 8])
    assert as_grown(stored, stored).added_seeds == []


def test_seeds_that_a_plan_foresees_are_no_addition() -> None:
    stored = suite(seeds=[4, 5], until_decided=True)
    assert as_grown(with_more_seeds(stored, 2), stored).added_seeds == []


@pytest.mark.parametrize("seeds", [[4], [5, 4], [4, 6, 5]])
def test_seeds_are_never_taken_away(seeds: list[int]) -> None:
    with pytest.raises(UserError, match=r"must keep those of the suite tiny, \[4, 5\]"):
        as_grown(suite(seeds=seeds, comparisons=[], floor=None), suite(seeds=[4, 5]))
