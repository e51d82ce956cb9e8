"""A cut is the best there is of its rank, told by dense SVDs in numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from lora2_search.adapter.allocation import shares
from lora2_search.adapter.truncation import truncate

Pairs = list[tuple[Tensor, Tensor]]


def draw(shapes: list[tuple[int, int, int]], seed: int = 0) -> Pairs:
    """B and A for each (d_out, width, d_in)."""
    generator = torch.Generator().manual_seed(seed)

    def normal(rows: int, columns: int) -> Tensor:
        return torch.randn(rows, columns, generator=generator, dtype=torch.float64)

    return [(normal(rows, width), normal(width, columns)) for rows, width, columns in shapes]


def dense(pairs: Pairs) -> list[NDArray[np.float64]]:
    return [(b @ a).numpy() for b, a in pairs]


def best(pairs: Pairs, kept: list[int]) -> list[NDArray[np.float64]]:
    """The best approximation of these ranks, by numpy, of the dense products."""
    cut = []
    for product, rank in zip(dense(pairs), kept, strict=True):
        u, values, v = np.linalg.svd(product, full_matrices=False)
        cut.append((u[:, :rank] * values[:rank]) @ v[:rank])
    return cut


def globally_kept(pairs: Pairs, budget: int) -> list[int]:
    """How many of the `budget` largest singular values each matrix has, by numpy."""
    told = [
        (-value, index)
        for index, (product, (_, a)) in enumerate(zip(dense(pairs), pairs, strict=True))
        for value in np.linalg.svd(product, compute_uv=False)[: len(a)]
    ]
    kept = [index for _, index in sorted(told)[:budget]]
    return [kept.count(index) for index in range(len(pairs))]


SHAPES = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 7), st.integers(1, 9)), min_size=1, max_size=5
)


@settings(max_examples=150, deadline=None)
@given(shapes=SHAPES, rank=st.integers(0, 8), half=st.booleans(), seed=st.integers(0, 99))
def test_a_global_cut_keeps_the_largest_singular_values_of_all_matrices(
    shapes: list[tuple[int, int, int]], rank: int, half: bool, seed: int
) -> None:
    pairs = draw(shapes, seed)
    mean = rank + 0.5 * half
    cut = truncate(pairs, mean)
    kept = globally_kept(pairs, math.floor(mean * len(pairs)))
    for found, wanted in zip(dense(cut.pairs), best(pairs, kept), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    whole = sum((product**2).sum() for product in dense(pairs))
    left = sum((product**2).sum() for product in best(pairs, kept))
    assert cut.kept_norm == pytest.approx(left / whole if whole else 1.0, rel=1e-12)


@settings(max_examples=150, deadline=None)
@given(shapes=SHAPES, rank=st.integers(0, 8), half=st.booleans(), seed=st.integers(0, 99))
def test_a_cut_per_matrix_keeps_as_many_in_each(
    shapes: list[tuple[int, int, int]], rank: int, half: bool, seed: int
) -> None:
    pairs = draw(shapes, seed)
    widths = [min(shape) for shape in shapes]
    cut = truncate(pairs, rank + 0.5 * half, "per-matrix")
    kept = [min(rank, width) for width in widths]
    if half:
        kept = shares(int((rank + 0.5) * len(pairs)), [min(rank + 1, width) for width in widths])
    for found, wanted in zip(dense(cut.pairs), best(pairs, kept), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    assert all(
        len(a) <= max(k, 0) or k == width
        for (_, a), k, width in zip(cut.pairs, kept, widths, strict=True)
    )


@pytest.mark.parametrize("allocation", ["global", "per-matrix"])
def test_nothing_cut_leaves_every_factor_as_it_is(allocation: str) -> None:
    pairs = draw([(6, 4, 8), (3, 5, 2), (7, 0, 7), (5, 2, 5)])
    cut = truncate(pairs, 5, allocation)
    assert cut.kept_norm == 1.0
    for (b, a), (old_b, old_a) in zip(cut.pairs, pairs, strict=True):
        assert b is old_b and a is old_a


def test_a_matrix_from_which_nothing_is_cut_keeps_its_factors_among_others_that_are() -> None:
    (large, small) = draw([(6, 3, 6), (6, 3, 6)])
    pairs = [(large[0] * 1e3, large[1]), small]
    cut = truncate(pairs, 2)
    assert cut.pairs[0][0] is pairs[0][0] and cut.pairs[0][1] is pairs[0][1]
    assert len(cut.pairs[1][1]) == 1


def test_of_equal_singular_values_the_earlier_matrix_keeps_its_own() -> None:
    pairs = [(torch.eye(4, dtype=torch.float64)[:, :2], torch.eye(2, 4, dtype=torch.float64))] * 3
    assert [len(a) for _, a in truncate(pairs, 1).pairs] == [2, 1, 0]
    assert [len(a) for _, a in truncate(pairs, 1.5, "per-matrix").pairs] == [2, 1, 1]


def test_a_fraction_counts_as_it_is_written() -> None:
    pairs = draw([(5, 5, 5)] * 30)
    assert sum(len(a) for _, a in truncate(pairs, 4.1).pairs) == 123


@pytest.mark.parametrize(
    ("rank", "allocation", "says"),
    [
        (-1, "global", "at least 0, but got -1"),
        (math.nan, "global", "at least 0, but got nan"),
        (math.inf, "global", "at least 0, but got inf"),
        (True, "global", "must be a number"),
        ("4", "global", "must be a number"),
        (2, "each", "one of global, per-matrix, but got 'each'"),
    ],
)
def test_a_budget_that_is_none_is_refused(rank: Any, allocation: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        truncate(draw([(4, 4, 4)]), rank, allocation)


def test_numbers_that_are_not_finite_are_refused() -> None:
    (b, a), other = draw([(4, 4, 4), (4, 4, 4)])
    with pytest.raises(ValueError, match="not finite"):
        truncate([(b * math.nan, a), other], 1)
