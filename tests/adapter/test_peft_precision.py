"""Half and double precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import get_peft_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from lora2_search.adapter.config import Lora2Config
from lora2_search.adapter.layer import Linear
from tests.support.adapters import factors_of, run, scramble, tiny_bert, tokens


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_factors_follow_the_base_except_below_float32(dtype: torch.dtype) -> None:
    model = get_peft_model(tiny_bert().to(dtype), Lora2Config(k=4, r=5)).eval()
    expected = torch.float32 if dtype == torch.bfloat16 else dtype
    assert {f.values.dtype for f in factors_of(model)} == {expected}
    scramble(model)
    logits = model(tokens()).logits
    assert logits.dtype == dtype
    merged = model.merge_and_unload()(tokens()).logits
    torch.testing.assert_close(merged, logits, rtol=0.05, atol=0.05)


def plain_descent(model: nn.Module) -> torch.optim.Optimizer:
    """AdamW divides 0 by 0 in float16, where its ε is 0."""
    return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("k", [[], 4, [4, 3]])
def test_factors_kept_in_half_precision_train_prune_and_merge(dtype: torch.dtype, k: Any) -> None:
    config = Lora2Config(k=k, r=5, target_rank=2, t_init=1, t_final=2, gamma_cross=0.1)
    model = get_peft_model(tiny_bert().to(dtype), config, autocast_adapter_dtype=False).eval()
    assert {p.dtype for p in model.parameters()} == {dtype}
    scramble(model)
    terms = model.base_model.regularization()
    assert {term.dtype for term in terms.values()} == {torch.float32}
    model.base_model.set_total_steps(5)
    run(model, plain_descent(model), 1, 5)
    assert all(f.left[0].isfinite().all() for f in factors_of(model))
    assert model.base_model.kept_rank() == 24
    logits = model(tokens()).logits
    assert logits.dtype == dtype
    model.merge_adapter(safe_merge=True)
    torch.testing.assert_close(model(tokens()).logits, logits, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_hard_orthogonality_holds_to_rounding_in_half_precision(dtype: torch.dtype) -> None:
    config = Lora2Config(k=4, r=5, orthogonality="hard")
    model = get_peft_model(tiny_bert().to(dtype), config, autocast_adapter_dtype=False).eval()
    run(model, plain_descent(model), 1, 3)
    for factors in factors_of(model):
        u = factors.left[0].float()
        assert (u.T @ u - torch.eye(4)).abs().max() < 0.03


@settings(max_examples=40, deadline=None)
@given(
    k=st.lists(st.integers(1, 7), max_size=3),
    r=st.integers(0, 7),
    dropout=st.sampled_from([0.0, 0.3]),
    base=st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16]),
    kept=st.booleans(),
    turned=st.booleans(),
)
def test_any_shape_dtype_and_dropout_keeps_the_frozen_layers_dtype(
    k: list[int], r: int, dropout: float, base: torch.dtype, kept: bool, turned: bool
) -> None:
    frozen = (Conv1D(6, 5) if turned else nn.Linear(5, 6)).to(base)
    layer = Linear(frozen, "default", Lora2Config(k=k, lora_dropout=dropout), r, "layer")
    if not kept:
        layer.to(torch.promote_types(base, torch.float32))
        frozen.to(base)
    x = torch.randn(2, 3, 5, dtype=base, requires_grad=True)
    start = layer(x)
    assert torch.equal(start, frozen(x))
    scramble(layer)
    output = layer(x)
    assert output.dtype == base and output.shape == (2, 3, 6)
    output.sum().backward()
    assert x.grad.isfinite().all()
    layer.eval()
    delta = layer.get_delta_weight("default").to(torch.float64)
    dense = frozen(x).to(torch.float64) + x.to(torch.float64) @ (delta if turned else delta.T)
    tolerance = {torch.float64: 1e-6, torch.float32: 1e-4}.get(base, 0.1)
    torch.testing.assert_close(layer(x).to(torch.float64), dense, rtol=tolerance, atol=tolerance)
