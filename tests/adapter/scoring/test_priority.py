from __future__ import annotations

import torch

from lora2_search.adapter.scoring.priority import RandomScoring
from tests.support.adapters import matrices


def test_random_priorities_depend_on_seed_and_matrix_and_never_change() -> None:
    def priorities(names: list[str], seed: int) -> torch.Tensor:
        return RandomScoring(names, [3] * len(names), seed).scores()

    assert torch.equal(priorities(["a", "b"], 0), priorities(["a", "b"], 0))
    assert torch.equal(priorities(["a", "b"], 0)[3:], priorities(["b"], 0))
    assert not torch.equal(priorities(["a"], 0), priorities(["a"], 1))
    assert not torch.equal(priorities(["a"], 0), priorities(["b"], 0))
    scoring = RandomScoring(["a"], [3], 0)
    before = scoring.scores().clone()
    scoring.update(matrices([3], 3, [(3, 2)]))
    assert torch.equal(scoring.scores(), before)
