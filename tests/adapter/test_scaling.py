from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor

from lora2_search.adapter.regularization import orthogonality_errors
from tests.support.adapters import adapted_bert, factors_of, labels, tokens


def outermost(model: PeftModel) -> list[Tensor]:
    return [side[0] for factors in factors_of(model) for side in (factors.left, factors.right)]


def loss(model: PeftModel) -> Tensor:
    task = model(input_ids=tokens(), labels=labels()).loss
    return task + sum(model.base_model.regularization().values())


@pytest.mark.parametrize(
    ("settings", "alpha"),
    [
        ({"k": 4, "r": 8}, 32),
        ({"k": 4, "r": 8, "init": "orthonormal", "orthogonality": "hard"}, 32),
        ({"k": [4, 2], "r": 3, "init": "orthonormal"}, 24),
    ],
)
def test_balanced_scaling_is_a_learning_rate_of_its_own_for_the_outermost_factors(
    settings: dict[str, Any], alpha: float
) -> None:
    """A model with factors half as large (k = 4), moved half as fast by Adam, is the same one."""
    balanced = adapted_bert(scaling="balanced", **settings)
    published = adapted_bert(lora_alpha=alpha, **settings)
    with torch.no_grad():
        for large, small in zip(outermost(balanced), outermost(published), strict=True):
            torch.testing.assert_close(large, 2 * small)
    slow = set(outermost(published))
    fast = [p for p in published.parameters() if p.requires_grad and p not in slow]
    groups = [{"params": list(slow), "lr": 5e-3}, {"params": fast, "lr": 1e-2}]
    optimizers = [
        torch.optim.Adam([p for p in balanced.parameters() if p.requires_grad], lr=1e-2, eps=1e-30),
        torch.optim.Adam(groups, eps=1e-30),
    ]
    for model in (balanced, published):
        model.base_model.set_total_steps(6)
    # λ = 0 gives the planes no gradient but rounding, which Adam would blow up to whole steps.
    with torch.no_grad():
        for model in (balanced, published):
            for factors in factors_of(model):
                factors.values.fill_(0.1)
    for step in range(1, 7):
        losses = [loss(model) for model in (balanced, published)]
        torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-5)
        for model, optimizer in zip((balanced, published), optimizers, strict=True):
            loss(model).backward()
            optimizer.step()
            model.base_model.update_and_allocate(step)
            optimizer.zero_grad()
    assert losses[0] < loss(adapted_bert(scaling="balanced", **settings))


@pytest.mark.parametrize("init", ["orthonormal", "svd"])
def test_a_start_of_norm_one_and_one_of_norm_root_k_have_no_error(init: str) -> None:
    for scaling, norm in (("published", 1.0), ("balanced", 2.0)):
        model = adapted_bert(k=4, r=3, init=init, scaling=scaling)
        assert model.base_model.outer_norm == norm
        errors = orthogonality_errors(model.base_model.matrices(), norm)
        assert max(map(float, errors.values())) < 1e-5
        assert {float(x.norm(dim=0).mean().round(decimals=4)) for x in outermost(model)[::2]} == {
            norm
        }


def test_one_plane_and_the_published_scaling_hold_norm_one() -> None:
    assert adapted_bert(k=[], r=4, scaling="balanced").base_model.outer_norm == 1
    assert adapted_bert(k=9, r=4).base_model.outer_norm == 1
