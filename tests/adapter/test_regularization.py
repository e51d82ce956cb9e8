from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lora2_search.adapter.factors import initial_factor, named_generator
from lora2_search.adapter.orthogonality import overlap
from lora2_search.adapter.regularization import (
    mean_orthogonality_error,
    orthogonality_loss,
    plane_names,
)
from tests.support.adapters import adapted_bert, factors_of, matrices, optimizer_of, scramble

SHAPES = [(9, 7), (9, 7), (7, 9), (5, 5)]


def error(x: Tensor) -> Tensor:
    """R(X) by its definition, one matrix at a time."""
    gram = x.T @ x if x.shape[0] >= x.shape[1] else x @ x.T
    return (gram - torch.eye(len(gram), dtype=x.dtype)).square().sum().sqrt()


@settings(max_examples=40, deadline=None)
@given(
    widths=st.lists(st.integers(1, 10), max_size=3),
    rank=st.integers(1, 10),
    gamma=st.floats(0.01, 2.0),
    penalty=st.sampled_from(["frobenius", "squared"]),
    outer_norm=st.sampled_from([1.0, 2.5]),
)
def test_batched_losses_and_gradients_equal_the_definition(
    widths: list[int], rank: int, gamma: float, penalty: str, outer_norm: float
) -> None:
    planes = len(widths) + 1
    gammas = [gamma / (p + 1) for p in range(planes)]
    ours, theirs = (matrices(widths, rank, SHAPES) for _ in range(2))
    losses = list(orthogonality_loss(ours, gammas, penalty, outer_norm).values())
    power = {"frobenius": 1, "squared": 2}[penalty]
    errors = [
        torch.stack([error(f[p] / (1 if p else outer_norm)) for m in theirs for f in (m[0], m[2])])
        for p in range(planes)
    ]
    expected = [gammas[p] / planes * (errors[p] ** power).mean() for p in range(planes)]
    torch.testing.assert_close(torch.stack(losses), torch.stack(expected))
    sum(losses).backward()
    sum(expected).backward()
    for mine, reference in zip(ours, theirs, strict=True):
        for a, b in zip((*mine[0], *mine[2]), (*reference[0], *reference[2]), strict=True):
            torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("penalty", ["frobenius", "squared"])
def test_an_orthonormal_matrix_has_no_error_and_a_finite_gradient(penalty: str) -> None:
    x = torch.eye(6, 3, requires_grad=True)
    loss = mean_orthogonality_error([x], penalty)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(x.grad, torch.zeros(6, 3))


@pytest.mark.parametrize("penalty", ["frobenius", "squared"])
def test_gradients_hold_against_finite_differences(penalty: str) -> None:
    factors = [f for m in matrices([3], 2, [(5, 4), (5, 4)]) for f in (*m.left, *m.right)]
    assert torch.autograd.gradcheck(lambda *f: mean_orthogonality_error(f, penalty), factors)


def test_the_published_norm_pushes_alike_at_any_error_and_the_squared_one_lets_go() -> None:
    pushes: dict[str, list[float]] = {"frobenius": [], "squared": []}
    for penalty, found in pushes.items():
        for size in (1e-3, 1e-1):
            x = torch.eye(6, 3, dtype=torch.float64).mul_(1 + size).requires_grad_()
            mean_orthogonality_error([x], penalty).backward()
            found.append(x.grad.norm().item())
    assert pushes["frobenius"] == pytest.approx([2, 2], rel=0.2)
    assert pushes["squared"][1] / pushes["squared"][0] == pytest.approx(100, rel=0.2)


@pytest.mark.parametrize("shape", [(32, 8), (8, 32), (8, 8)])
def test_the_orthonormal_start_has_a_loss_of_about_zero(shape: tuple[int, int]) -> None:
    x = initial_factor(shape, "orthonormal", 0.0, named_generator(0, "x"))
    assert mean_orthogonality_error([x]).item() < 1e-5


def test_the_smaller_side_is_taken_when_the_rank_is_below_k() -> None:
    wide = torch.eye(3, 8)
    assert mean_orthogonality_error([wide, wide.T]).item() == 0


def test_a_plane_without_weight_is_a_constant_zero() -> None:
    factors = matrices([3], 4, SHAPES)
    losses = orthogonality_loss(factors, [0.0, 0.5])
    assert losses["outer"].item() == 0
    assert not losses["outer"].requires_grad
    assert losses["inner"].item() > 0
    sum(losses.values()).backward()
    assert factors[0].left[0].grad is None


def test_a_matrix_of_rank_zero_counts_as_orthonormal() -> None:
    full, cut = matrices([3], 2, [(5, 5)])[0], matrices([3], 0, [(5, 5)])[0]
    both = orthogonality_loss([full, cut], [0.1, 0.1])["inner"]
    assert both.item() == pytest.approx(orthogonality_loss([full], [0.1, 0.1])["inner"].item() / 2)


def test_half_precision_factors_are_measured_in_float32() -> None:
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        measured = mean_orthogonality_error([x])
    assert measured.dtype == torch.float32
    torch.testing.assert_close(measured, error(x.float()))


@pytest.mark.parametrize(
    ("planes", "names"),
    [
        (1, ["outer"]),
        (2, ["outer", "inner"]),
        (3, ["outer", "middle", "inner"]),
        (4, ["outer", "middle", "middle2", "inner"]),
    ],
)
def test_planes_have_names(planes: int, names: list[str]) -> None:
    assert plane_names(planes) == names


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"gamma_cross": 0.5}, ["outer", "inner", "cross"]),
        ({"gamma_cross": 0.0}, ["outer", "inner"]),
        ({"gamma_cross": 0.5, "orthogonality": "hard"}, ["outer", "inner"]),
        ({"gamma_cross": 0.5, "orthogonality": "none"}, ["outer", "inner"]),
        ({"gamma_cross": 0.5, "k": [6, 4]}, ["outer", "middle", "inner", "cross"]),
        ({"gamma_cross": 0.5, "k": []}, ["outer", "cross"]),
    ],
)
def test_every_regulariser_has_its_name_and_cross_only_where_it_counts(
    settings: dict[str, Any], names: list[str]
) -> None:
    model = adapted_bert(**{"k": 4, "r": 5, **settings})
    scramble(model)
    terms = model.base_model.regularization()
    assert list(terms) == names
    if settings.get("orthogonality"):
        assert sum(terms.values()).item() == 0
    sum(terms.values(), torch.zeros((), requires_grad=True)).backward()


def test_the_cross_term_is_the_weighted_mean_overlap_and_lowers_it_when_trained() -> None:
    model = adapted_bert(k=4, r=5, gamma=0.0, gamma_cross=0.5)
    scramble(model)
    found = overlap(factors_of(model))
    assert found.shape == (12, 1)
    terms = model.base_model.regularization()
    torch.testing.assert_close(terms["cross"], 0.5 * found.mean())
    optimizer = optimizer_of(model)
    for _ in range(20):
        optimizer.zero_grad()
        model.base_model.regularization()["cross"].backward()
        optimizer.step()
    assert overlap(factors_of(model)).mean() < 0.5 * found.mean()


def test_the_squared_penalty_is_the_square_for_a_single_matrix() -> None:
    settings = {"k": [], "r": 3, "gamma": 1.0, "target_modules": ["layer.0.attention.self.query"]}
    terms = []
    for penalty in ("frobenius", "squared"):
        model = adapted_bert(layers=1, penalty=penalty, **settings)
        factors = factors_of(model)[0]
        with torch.no_grad():  # both sides off by the same amount, so that a mean hides nothing
            factors.left[0].copy_(2 * torch.eye(16, 3))
            factors.right[0].copy_(2 * torch.eye(3, 16))
        terms.append(model.base_model.regularization()["outer"].item())
    assert terms == pytest.approx([27**0.5, 27])
