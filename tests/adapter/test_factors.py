from __future__ import annotations

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lora2_search.adapter.factors import (
    Factors,
    delta_weight,
    factor_shapes,
    initial_factor,
    named_generator,
    through_planes,
)
from tests.support.adapters import matrices

sizes = st.integers(1, 6)


def dense(factors: Factors, scaling: float) -> Tensor:
    """The definition, multiplied out from left to right."""
    chain = [*factors.left, torch.diag(factors.values), *reversed(factors.right)]
    return scaling * functools.reduce(torch.matmul, chain)


@settings(max_examples=60, deadline=None)
@given(widths=st.lists(sizes, max_size=3), rank=st.integers(0, 6), d_out=sizes, d_in=sizes)
def test_planes_multiply_to_the_dense_increment(
    widths: list[int], rank: int, d_out: int, d_in: int
) -> None:
    (factors,) = matrices(widths, rank, [(d_out, d_in)])
    x = torch.randn(3, d_in, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = through_planes(x @ factors.right[0].T, factors) @ factors.left[0].T
    torch.testing.assert_close(y, x @ dense(factors, 1.0).T, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(delta_weight(factors, 1.7), dense(factors, 1.7))


@settings(max_examples=60, deadline=None)
@given(widths=st.lists(sizes, max_size=3), rank=st.integers(0, 6), d_out=sizes, d_in=sizes)
def test_shapes_chain_from_the_output_to_the_input(
    widths: list[int], rank: int, d_out: int, d_in: int
) -> None:
    left, right = factor_shapes(d_out, d_in, widths, rank)
    chain = [*left, (rank, rank), *reversed(right)]
    assert [b for _, b in chain[:-1]] == [a for a, _ in chain[1:]]
    assert (chain[0][0], chain[-1][1]) == (d_out, d_in)
    assert len(left) == len(right) == len(widths) + 1


@pytest.mark.parametrize("shape", [(12, 4), (4, 12), (5, 5), (7, 1), (1, 7)])
def test_the_orthonormal_start_is_orthonormal_on_the_smaller_side(shape: tuple[int, int]) -> None:
    x = initial_factor(shape, "orthonormal", 0.02, named_generator(0, "a"))
    gram = x.T @ x if shape[0] >= shape[1] else x @ x.T
    torch.testing.assert_close(gram, torch.eye(min(shape)), rtol=0, atol=1e-5)


def test_the_gaussian_start_has_the_given_deviation() -> None:
    x = initial_factor((200, 200), "gaussian", 0.02, named_generator(0, "a"))
    assert abs(float(x.std()) - 0.02) < 5e-4
    assert abs(float(x.mean())) < 5e-4


def test_generators_differ_by_seed_and_by_every_name() -> None:
    keys = [(0, "a", "u0"), (1, "a", "u0"), (0, "b", "u0"), (0, "a", "u1"), (0, "au", "0")]
    draws = {float(torch.rand((), generator=named_generator(*key))) for key in keys}
    assert len(draws) == len(keys)


def test_a_name_means_the_same_generator_in_every_process() -> None:
    # Written down once: Python's own `hash` would give another number each time.
    assert named_generator(3, "layer", "u0").initial_seed() == 2068212539753250171
