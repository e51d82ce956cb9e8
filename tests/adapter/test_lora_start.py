"""`init: lora`: u₁ = 0, λ = 1, every other factor orthonormal."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from lora2_search.adapter.accounting import count_parameters
from lora2_search.adapter.compression import compress
from lora2_search.adapter.config import Lora2Config
from lora2_search.adapter.factors import Factors
from lora2_search.adapter.layer import Linear
from lora2_search.adapter.orthogonality import mean_overlap, outer_growth
from lora2_search.adapter.pruning import prune
from lora2_search.config.vocabulary import ALLOCATIONS, BUDGETS, SCALINGS, SCORINGS
from tests.support.adapters import (
    adapted_bert,
    close,
    factors_of,
    labels,
    optimizer_of,
    run,
    tiny_bert,
    tokens,
)

# One, two and three planes; r below, at and above the widths; planes that widen.
SHAPES = [([], 3), (4, 3), (4, 4), (4, 7), (1, 1), ([6, 3], 2), ([3, 6], 4), ([5, 4], 9)]
SCORED = [name for name in SCORINGS if name != "none"]


def layer(k: Any, r: int, d_out: int = 12, d_in: int = 9, **settings: Any) -> Linear:
    torch.manual_seed(0)
    config = Lora2Config(k=k, r=r, init="lora", **settings)
    return Linear(nn.Linear(d_in, d_out), "default", config, r, "layer")


def between(factors: Factors) -> Tensor:
    """What stands between u₁ and v₁ but the scale: u₂ … u_P diag(λ) v_P … v₂."""
    middle = torch.diag(factors.values)
    for u, v in zip(factors.left[:0:-1], factors.right[:0:-1], strict=True):
        middle = u @ middle @ v
    return middle


@pytest.mark.parametrize(("k", "r"), SHAPES)
@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_start_gives_the_pretrained_logits_to_the_bit(k: Any, r: int, scaling: str) -> None:
    expected = tiny_bert()(tokens()).logits
    model = adapted_bert(k=k, r=r, init="lora", scaling=scaling)
    assert torch.equal(model(tokens()).logits, expected)
    with torch.no_grad():
        factors_of(model)[0].left[0].fill_(1.0)
    assert not torch.equal(model(tokens()).logits, expected)


@pytest.mark.parametrize(("k", "r"), SHAPES)
def test_all_factors_but_u1_start_orthonormal_and_values_at_one(k: Any, r: int) -> None:
    factors = layer(k, r).factors("default")
    assert not factors.left[0].any() and torch.equal(factors.values, torch.ones(r))
    for x in (*factors.left[1:], *factors.right):
        gram = x.mT @ x if x.shape[0] >= x.shape[1] else x @ x.mT
        torch.testing.assert_close(gram, torch.eye(len(gram)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("k", "r"), [(4, 7), ([3, 6], 8), (4, 16), ([3, 5], 5)])
def test_planes_that_widen_lose_no_gain(k: Any, r: int) -> None:
    middle = between(layer(k, r).factors("default"))
    torch.testing.assert_close(middle, torch.eye(len(middle)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("k", "r"), SHAPES)
@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_first_gradient_is_the_closed_form_and_only_u1_has_one(
    k: Any, r: int, scaling: str
) -> None:
    adapted = layer(k, r, scaling=scaling).double()
    factors = adapted.factors("default")
    x = torch.randn(5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    upstream = torch.randn(5, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (adapted(x) * upstream).sum().backward()
    scale = adapted.scaling["default"]
    # y = s u₁ M v₁ x, so ∂L/∂u₁ = s (∂L/∂y)ᵀ x v₁ᵀ Mᵀ; every other path leads through u₁ = 0.
    expected = scale * upstream.T @ x @ factors.right[0].T @ between(factors).T
    torch.testing.assert_close(factors.left[0].grad, expected, rtol=1e-12, atol=1e-12)
    for other in (*factors.left[1:], factors.values, *factors.right):
        assert not other.grad.any()


def test_at_k_equal_to_r_the_first_step_is_loras_with_an_orthonormal_a() -> None:
    ours = adapted_bert(k=4, r=4, init="lora", gamma=0.0, target_modules=["query", "value"])
    config = LoraConfig(
        r=4, lora_alpha=16, target_modules=["query", "value"], modules_to_save=["classifier"]
    )
    lora = get_peft_model(tiny_bert(), config).eval()
    pairs = [
        (module, lora.get_submodule(name))
        for name, module in ours.named_modules()
        if isinstance(module, Linear)
    ]
    assert pairs
    for mine, theirs in pairs:
        factors = mine.factors("default")
        a = between(factors) @ factors.right[0]
        torch.testing.assert_close(a @ a.T, torch.eye(4), rtol=0, atol=1e-5)
        theirs.lora_A["default"].weight.data.copy_(a)
    before = [mine.get_delta_weight("default").clone() for mine, _ in pairs]
    assert not any(delta.any() for delta in before)
    for model in (ours, lora):
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
        model(tokens(), labels=labels()).loss.backward()
        optimizer.step()
    for mine, theirs in pairs:
        delta = mine.get_delta_weight("default")
        assert delta.any()
        torch.testing.assert_close(delta, theirs.get_delta_weight("default"), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("k", [[], 3, [4, 2]])
def test_hard_orthogonality_leaves_u1_alone_and_holds_every_other_factor(
    k: int | list[int],
) -> None:
    model = adapted_bert(k=k, r=3, init="lora", orthogonality="hard")
    model.base_model.set_total_steps(5)
    optimizer = optimizer_of(model)
    for step in range(1, 6):
        model(tokens(), labels=labels()).loss.backward()
        optimizer.step()
        stepped = [m.left[0].detach().clone() for m in model.base_model.matrices()]
        model.base_model.update_and_allocate(step)
        optimizer.zero_grad()
    for matrix, u1 in zip(model.base_model.matrices(), stepped, strict=True):
        assert u1.any() and torch.equal(matrix.left[0], u1)
        for factor in (*matrix.left[1:], *matrix.right):
            small = factor if factor.shape[0] <= factor.shape[1] else factor.T
            gram = small @ small.T
            torch.testing.assert_close(gram, torch.eye(len(gram)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("scoring", SCORED)
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_it_prunes_to_the_budget_with_every_scoring(
    scoring: str, budget: str, allocation: str
) -> None:
    settings = {"scoring": scoring, "budget": budget, "allocation": allocation}
    model = adapted_bert(
        k=4, r=5, init="lora", target_rank=2, t_init=2, t_final=3, gamma_cross=0.1, **settings
    )
    model.base_model.set_total_steps(8)
    run(model, optimizer_of(model), 1, 8)
    kept = sum(int(factors.values.count_nonzero()) for factors in factors_of(model))
    assert kept == model.base_model.kept_rank() == 24
    if allocation == "per-matrix":
        assert set(model.base_model.rank_pattern().values()) == {2}


@pytest.mark.parametrize(("k", "r"), [([], 4), (4, 4), ([5, 3], 4)])
def test_trained_it_is_cut_compressed_counted_and_merged_like_every_other(k: Any, r: int) -> None:
    model = adapted_bert(k=k, r=r, init="lora", target_rank=2, t_init=2, t_final=3)
    model.base_model.set_total_steps(8)
    run(model, optimizer_of(model), 1, 8)
    expected = model(tokens()).logits
    counts = count_parameters(model)
    lora = compress(model)
    close(lora(tokens()).logits, expected)
    assert count_parameters(lora)["trained_adapter"] == counts["compressed_adapter"]
    prune(model)
    close(model(tokens()).logits, expected)
    assert count_parameters(model)["trained_adapter"] == counts["kept_adapter"]
    close(model.merge_and_unload()(tokens()).logits, expected)


def test_an_untrained_adapter_keeps_all_its_ranks() -> None:
    model = adapted_bert(k=4, r=5, init="lora")
    assert set(prune(model).values()) == {5}


def test_the_term_of_u1_stands_apart_and_both_sum_to_the_planes() -> None:
    model = adapted_bert(k=4, r=4, init="lora", gamma=[0.4, 0.2])
    terms = model.base_model.regularization()
    assert list(terms) == ["u1", "outer", "inner"]
    # R(0) = ‖−I‖ = √k for half of the factors of the outer plane.
    assert terms["u1"].item() == pytest.approx(0.4 / 2 / 2 * 4**0.5)
    assert terms["outer"].item() < 1e-5
    run(model, optimizer_of(model), 1, 3)
    apart = model.base_model.regularization()
    model.peft_config["default"].init = "orthonormal"
    together = model.base_model.regularization()
    assert list(together) == ["outer", "inner"]
    torch.testing.assert_close(apart["u1"] + apart["outer"], together["outer"])


def test_u1_can_be_left_out_of_the_regularisers_or_weighed_by_itself() -> None:
    free = adapted_bert(k=4, r=4, init="lora", gamma=0.4, gamma_u1=0.0)
    terms = free.base_model.regularization()
    assert terms["u1"].item() == 0 and not terms["u1"].requires_grad
    heavy = adapted_bert(k=4, r=4, init="gaussian", gamma=0.4, gamma_u1=0.8)
    apart = heavy.base_model.regularization()
    heavy.peft_config["default"].gamma_u1 = 0.4
    even = heavy.base_model.regularization()
    torch.testing.assert_close(apart["u1"], 2 * even["u1"])
    heavy.peft_config["default"].gamma_u1 = None
    torch.testing.assert_close(
        even["u1"] + even["outer"], heavy.base_model.regularization()["outer"]
    )


def test_the_cross_term_begins_as_u1_grows() -> None:
    model = adapted_bert(k=4, r=3, init="lora", gamma=0.0, gamma_cross=1.0)
    assert model.base_model.regularization()["cross"].item() == 0
    tiny, grown = (_cross_gradient(model, size) for size in (1e-6, 1.0))
    assert 0 < tiny < 1e-3 * grown


def _cross_gradient(model: nn.Module, size: float) -> float:
    generator = torch.Generator().manual_seed(3)
    for factors in factors_of(model):
        drawn = torch.linalg.qr(torch.randn(factors.left[0].shape, generator=generator)).Q
        factors.left[0].data.copy_(size * drawn)
    model.zero_grad()
    model.base_model.regularization()["cross"].backward()
    gradients = [factors.left[0].grad for factors in factors_of(model)]
    return float(functools.reduce(torch.add, [g.norm() for g in gradients]))


@pytest.mark.parametrize("k", [4, 100], ids=["tall", "wider than the layer"])
def test_growth_is_the_share_of_its_norm_that_u1_has_reached(k: int) -> None:
    matrices = factors_of(adapted_bert(k=k, r=3, init="orthonormal"))
    matrices[0].left[0].data.mul_(0.5)
    growth = outer_growth(matrices)
    assert growth[0].item() == pytest.approx(0.25, rel=1e-5)
    torch.testing.assert_close(growth[1:], torch.ones(len(matrices) - 1))
    assert mean_overlap(matrices, torch.zeros(len(matrices))).item() == 0
