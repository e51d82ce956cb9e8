from __future__ import annotations

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lora2_search.adapter.factors import Factors
from lora2_search.adapter.orthogonality import mean_overlap, overlap
from tests.support.adapters import matrices

SHAPES = [(9, 7), (5, 5), (9, 7), (7, 9)]


def dense(factors: Factors) -> Tensor:
    """The definition: both products built in weight space, `[P-1]`."""
    products = [
        functools.reduce(torch.matmul, [*factors.left[:p], *reversed(factors.right[:p])])
        for p in range(1, len(factors.left) + 1)
    ]
    return torch.stack(
        [
            (a * b).sum() ** 2 / (a.square().sum() * b.square().sum())
            for a, b in zip(products[:-1], products[1:], strict=True)
        ]
    )


@settings(max_examples=40, deadline=None)
@given(
    widths=st.lists(st.integers(2, 10), min_size=1, max_size=3),
    rank=st.integers(1, 10),
)
def test_the_small_form_equals_the_dense_one_with_its_gradients(
    widths: list[int], rank: int
) -> None:
    ours, theirs = (matrices(widths, rank, SHAPES) for _ in range(2))
    found, expected = overlap(ours), torch.stack([dense(m) for m in theirs])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    found.sum().backward()
    expected.sum().backward()
    for mine, reference in zip(ours, theirs, strict=True):
        for a, b in zip((*mine[0], *mine[2]), (*reference[0], *reference[2]), strict=True):
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-8, atol=1e-11)


def test_gradients_hold_against_finite_differences() -> None:
    leaves = [f for m in matrices([3], 2, [(5, 4)]) for f in (*m.left, m.values, *m.right)]

    def measured(u: Tensor, inner_u: Tensor, values: Tensor, v: Tensor, inner_v: Tensor) -> Tensor:
        return overlap([Factors((u, inner_u), values, (v, inner_v))])

    assert torch.autograd.gradcheck(lambda *f: measured(f[0], f[1], f[2], f[3], f[4]), leaves)


def test_planes_in_the_same_and_in_orthogonal_directions_are_told_apart() -> None:
    def planes(middle: Tensor) -> Factors:
        return Factors((torch.eye(4, 2), middle), torch.ones(2), (torch.eye(2, 3), torch.eye(2)))

    same, orthogonal = torch.eye(2), torch.tensor([[1.0, 0.0], [0.0, -1.0]])
    assert overlap([planes(same), planes(orthogonal)]).tolist() == [[1.0], [0.0]]


@pytest.mark.parametrize(("k", "r"), [([1], 3), ([4], 0)])
def test_what_says_nothing_is_nan_and_left_out_of_the_mean(k: list[int], r: int) -> None:
    undefined, defined = matrices(k, r, [(5, 6)])[0], matrices([4], 3, [(5, 6)])[0]
    found = overlap([undefined, defined])
    assert found.isnan().tolist() == [[True], [False]]
    mean = mean_overlap([undefined, defined])
    assert mean.item() == found[1].item()
    mean.backward()
    assert defined.left[0].grad.isfinite().all() and defined.left[0].grad.any()
    assert undefined.left[0].grad is None or not undefined.left[0].grad.any()
    assert mean_overlap([undefined]).item() == 0


def test_factors_of_zero_have_no_direction_and_no_nan_gradient() -> None:
    (factors,) = matrices([3], 2, [(5, 4)])
    factors.left[1].data.zero_()
    assert overlap([factors]).isnan().all()
    mean_overlap([factors]).backward()
    assert factors.left[1].grad is None or factors.left[1].grad.isfinite().all()


def test_a_single_plane_has_no_neighbour() -> None:
    assert overlap(matrices([], 3, SHAPES)).shape == (4, 0)
    assert mean_overlap(matrices([], 3, SHAPES)).item() == 0


def test_half_precision_is_measured_in_float32() -> None:
    half = matrices([4], 3, SHAPES, dtype=torch.bfloat16)
    wide = [
        Factors(tuple(f.float() for f in m.left), m.values, tuple(f.float() for f in m.right))
        for m in half
    ]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(overlap(half), overlap(wide))
