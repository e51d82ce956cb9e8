from __future__ import annotations

from itertools import combinations

import torch
from hypothesis import given
from hypothesis import strategies as st

from lora2_search.verification.probes.agreement import shared, swapped

SCORES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=7)


@given(SCORES)
def test_swapped_pairs_are_those_in_strictly_opposite_order(pairs: list[tuple[int, int]]) -> None:
    one, other = (torch.tensor(side, dtype=torch.float32) for side in zip(*pairs, strict=True))
    opposite = [(a[0] - b[0]) * (a[1] - b[1]) < 0 for a, b in combinations(pairs, 2)]
    assert swapped(one, other) == (len(opposite), sum(opposite))


def test_the_share_is_of_what_is_kept() -> None:
    one = torch.tensor([True, True, False, False])
    assert shared(one, one) == 1
    assert shared(one, torch.tensor([True, False, True, False])) == 0.5
    assert shared(~torch.ones(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)) == 1
