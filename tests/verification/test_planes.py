from __future__ import annotations

import math

import pytest
import torch
from scipy.linalg import subspace_angles

from lora2_search.adapter.factors import Factors, delta_weight, factor_shapes
from lora2_search.verification.probes.planes import geometry, sign_flips


def matrix(seed: int, widths: list[int], rank: int) -> Factors:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    left, right = factor_shapes(12, 9, widths, rank)
    return Factors(tuple(draw(*s) for s in left), draw(rank), tuple(draw(*s) for s in right))


def cos2(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one * other).sum() ** 2 / (one.square().sum() * other.square().sum()))


@pytest.mark.parametrize(("k", "r"), [(4, 3), (3, 3), (2, 5)])
def test_overlap_and_increment_are_those_of_the_dense_products(k: int, r: int) -> None:
    m = matrix(0, [k], r)
    (u, big_u), (v, big_v) = m.left, m.right
    found = geometry([m])
    assert found.overlap == pytest.approx(cos2(u @ v, u @ big_u @ big_v @ v), rel=1e-9)
    assert found.with_increment == pytest.approx(cos2(u @ v, delta_weight(m, 1.0)), rel=1e-9)


def test_with_three_planes_the_increment_is_that_of_all_of_them() -> None:
    m = matrix(1, [5, 4], 3)
    dense = cos2(m.left[0] @ m.right[0], delta_weight(m, 0.5))
    assert geometry([m]).with_increment == pytest.approx(dense, rel=1e-9)


def test_the_inner_plane_never_leaves_the_outer_one_and_two_matrices_do() -> None:
    one, other = matrix(2, [4], 3), matrix(3, [4], 3)
    found = geometry([one, other])
    assert found.angle == pytest.approx(0, abs=1e-9)
    expected = subspace_angles(one.left[0].numpy(), other.left[0].numpy()).max()
    assert found.contrast == pytest.approx(math.degrees(expected), rel=1e-6)


def test_an_increment_that_is_0_points_nowhere() -> None:
    m = matrix(4, [4], 3)
    zero = m._replace(values=torch.zeros(3, dtype=torch.float64))
    assert geometry([zero]).with_increment is None


def test_flipped_signs_leave_the_increment_and_change_the_overlap() -> None:
    found = sign_flips([matrix(5, [4], 3), matrix(6, [4], 3)])
    assert found.increment == 0
    assert found.flips == 6
    assert 0 < found.mean <= found.largest
