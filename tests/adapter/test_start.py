from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lora2_search.adapter.config import Lora2Config
from lora2_search.adapter.layer import Linear, leading_directions
from tests.support.adapters import adapted_bert, factors_of, layers_of


def started(d_out: int, d_in: int, **settings: Any) -> tuple[Linear, Tensor]:
    torch.manual_seed(0)
    config = Lora2Config(**settings)
    base = nn.Linear(d_in, d_out)
    weight = base.weight.detach().clone()
    return Linear(base, "default", config, config.r, "layer"), weight


@pytest.mark.parametrize("shape", [(9, 14), (14, 9), (6, 6)])
def test_leading_directions_give_the_best_approximation_of_that_rank(
    shape: tuple[int, int],
) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    u, v = leading_directions(weight, 3)
    values = torch.linalg.svdvals(weight)
    error = (weight - u @ u.mT @ weight @ v.mT @ v).square().sum()
    # Eckart and Young: what is left are the squares of the other singular values.
    torch.testing.assert_close(error, values[3:].square().sum())


@pytest.mark.parametrize(("k", "r"), [(4, 3), (4, 4), (4, 7), ([6, 3], 2), ([3, 6], 4), ([], 5)])
def test_the_svd_start_spans_the_weights_leading_directions(k: Any, r: int) -> None:
    layer, weight = started(12, 9, k=k, r=r, init="svd")
    factors = layer.factors("default")
    width = factors.left[0].shape[1]
    u, _, v = torch.linalg.svd(weight, full_matrices=False)
    for found, expected in (
        (factors.left[0] @ factors.left[0].mT, u[:, :width] @ u[:, :width].mT),
        (factors.right[0].mT @ factors.right[0], v[:width].mT @ v[:width]),
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    for x in (*factors.left, *factors.right):
        gram = x.mT @ x if x.shape[0] >= x.shape[1] else x @ x.mT
        torch.testing.assert_close(gram, torch.eye(len(gram)), rtol=0, atol=1e-5)
    # A value between two zero directions would have no gradient, for ever.
    assert factors.left[-1].abs().sum(0).all() and factors.right[-1].abs().sum(1).all()


def test_planes_that_do_not_widen_start_as_the_identity() -> None:
    factors = started(12, 9, k=[6, 4], r=3, init="svd")[0].factors("default")
    assert [torch.equal(f.detach(), torch.eye(*f.shape)) for f in factors.left] == [
        False,
        True,
        True,
    ]
    assert torch.equal(factors.right[1], torch.eye(4, 6))


def test_a_matrix_with_too_few_directions_starts_orthonormal() -> None:
    small = started(3, 9, k=5, r=2, init="svd")[0].factors("default")
    drawn = started(3, 9, k=5, r=2, init="orthonormal")[0].factors("default")
    assert torch.equal(small.left[0], drawn.left[0])


@pytest.mark.parametrize("init", ["gaussian", "orthonormal", "svd"])
def test_a_start_is_the_same_whatever_was_drawn_before(init: str) -> None:
    torch.manual_seed(1)
    first = factors_of(adapted_bert(k=4, r=3, init=init))
    torch.rand(7)
    second = factors_of(adapted_bert(k=4, r=3, init=init))
    for a, b in zip(first, second, strict=True):
        assert all(
            torch.equal(x, y) for x, y in zip(a.left + a.right, b.left + b.right, strict=True)
        )


def test_the_svd_start_of_a_half_precision_base_is_computed_in_float32() -> None:
    config = Lora2Config(k=2, r=2, init="svd")
    base = nn.Linear(6, 8, dtype=torch.bfloat16)
    factors = Linear(base, "default", config, 2, "layer").factors("default")
    u, _ = leading_directions(base.weight.detach().float(), 2)
    assert torch.equal(factors.left[0], u.bfloat16())


def test_nothing_is_computed_on_the_meta_device(monkeypatch: pytest.MonkeyPatch) -> None:
    from lora2_search.adapter import layer

    monkeypatch.setattr(layer, "start_planes", lambda *_: pytest.fail("a start was computed"))
    with torch.device("meta"):
        base = nn.Linear(6, 8)
    built = Linear(base, "default", Lora2Config(k=2, r=2, init="svd"), 2, "layer")
    assert all(p.is_meta for p in built.parameters())
    assert [tuple(f.shape) for f in built.factors("default").left] == [(8, 2), (2, 2)]


def test_low_cpu_mem_usage_computes_no_start_either(monkeypatch: pytest.MonkeyPatch) -> None:
    from lora2_search.adapter import layer

    model = adapted_bert(k=2, r=2)
    monkeypatch.setattr(layer, "start_planes", lambda *_: pytest.fail("a start was computed"))
    model.add_adapter("other", Lora2Config(k=2, r=2, init="svd"), low_cpu_mem_usage=True)
    others = [x.factors("other") for x in layers_of(model)]
    assert all(f.values.is_meta and f.left[0].is_meta for f in others)
