from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lora2_search.adapter.config import Lora2Config
from lora2_search.adapter.layer import Linear
from tests.support.adapters import scramble


def layer(d_out: int, d_in: int, dtype: torch.dtype = torch.float64, **config: Any) -> Linear:
    torch.manual_seed(0)
    settings_ = Lora2Config(**config)
    base = nn.Linear(d_in, d_out, dtype=dtype).requires_grad_(False)
    built = Linear(base, "default", settings_, settings_.r, "layer")
    scramble(built)
    return built


def dense_forward(module: Linear, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The published definition with its dense product, on copies of the factors."""
    factors = module.factors("default")
    leaves = [
        t.detach().clone().requires_grad_() for t in (*factors.left, factors.values, *factors.right)
    ]
    planes = len(factors.left)
    chain = [*leaves[:planes], torch.diag(leaves[planes]), *reversed(leaves[planes + 1 :])]
    delta = module.scaling["default"] * functools.reduce(torch.matmul, chain)
    return module.base_layer(x) + x @ delta.T, leaves


@settings(max_examples=40, deadline=None)
@given(
    k=st.lists(st.integers(1, 7), max_size=3),
    r=st.integers(1, 7),
    d_out=st.integers(1, 9),
    d_in=st.integers(1, 9),
)
def test_forward_and_gradients_equal_the_dense_definition(
    k: list[int], r: int, d_out: int, d_in: int
) -> None:
    module = layer(d_out, d_in, k=k, r=r, lora_alpha=5)
    x = torch.randn(3, 2, d_in, dtype=torch.float64, requires_grad=True)
    twin = x.detach().clone().requires_grad_()
    expected, leaves = dense_forward(module, twin)
    output = module(x)
    torch.testing.assert_close(output, expected)
    weights = torch.randn_like(output)
    (output * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(x.grad, twin.grad)
    factors = module.factors("default")
    ours = (*factors.left, factors.values, *factors.right)
    for a, b in zip(ours, leaves, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


class Shapes(TorchDispatchMode):
    """Notes the shape of everything that is computed; the frozen weight's transpose is a view."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[int, ...]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and not func.is_view:
            self.seen.add(tuple(result.shape))
        return result


@pytest.mark.parametrize(("k", "r"), [(3, 2), (2, 5), ([4, 3], 2), ([], 3)])
def test_training_never_builds_a_dense_product(k: Any, r: int) -> None:
    module = layer(13, 17, k=k, r=r)
    with Shapes() as shapes:
        module(torch.randn(5, 17, dtype=torch.float64)).sum().backward()
    assert (5, 13) in shapes.seen
    assert shapes.seen.isdisjoint({(13, 17), (17, 13)})
    with Shapes() as shapes:
        module.get_delta_weight("default")
    assert (13, 17) in shapes.seen


def test_only_lambda_has_a_gradient_on_the_first_step() -> None:
    config = Lora2Config(k=3, r=4)
    module = Linear(nn.Linear(5, 6), "default", config, 4, "layer")
    module(torch.randn(2, 5)).sum().backward()
    factors = module.factors("default")
    assert (factors.values.grad != 0).all()
    assert all((f.grad == 0).all() for f in (*factors.left, *factors.right))


@pytest.mark.parametrize("k", [1, 3, [4, 3], []])
def test_merged_weight_equals_the_unmerged_forward_and_comes_apart_again(k: Any) -> None:
    module = layer(6, 5, k=k, r=4)
    x = torch.randn(3, 5, dtype=torch.float64)
    weight, unmerged = module.weight.clone(), module(x)
    module.merge(safe_merge=True)
    assert module.merged and not torch.equal(module.weight, weight)
    torch.testing.assert_close(module(x), unmerged)
    module.unmerge()
    torch.testing.assert_close(module.weight, weight)
    torch.testing.assert_close(module(x), unmerged)


def test_safe_merge_refuses_a_broken_adapter_and_changes_nothing() -> None:
    module = layer(6, 5, k=3, r=4)
    weight = module.weight.clone()
    module.lora2_lambda["default"].data[0] = float("nan")
    with pytest.raises(ValueError, match="The adapter default seems to be broken"):
        module.merge(safe_merge=True)
    assert torch.equal(module.weight, weight) and not module.merged


def test_dropout_acts_on_the_increment_in_training_alone() -> None:
    module = layer(6, 5, k=3, r=4, lora_dropout=0.5)
    x = torch.randn(64, 5, dtype=torch.float64)
    module.eval()
    calm = module(x)
    torch.testing.assert_close(calm, dense_forward(module, x)[0])
    module.train()
    assert not torch.allclose(module(x), calm)
    module.lora2_lambda["default"].data.zero_()
    torch.testing.assert_close(module(x), module.base_layer(x))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_factors_in_half_precision_still_run_and_merge(dtype: torch.dtype) -> None:
    module = layer(6, 5, dtype=dtype, k=3, r=4)
    x = torch.randn(3, 5, dtype=dtype)
    assert module.factors("default").values.dtype == dtype
    output = module(x)
    assert output.dtype == dtype
    module.merge()
    torch.testing.assert_close(module(x), output, rtol=0.05, atol=0.05)
