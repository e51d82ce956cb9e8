from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lora2_search.adapter.orthogonality import polar, retract
from tests.support.adapters import (
    adapted_bert,
    factors_of,
    matrices,
    optimizer_of,
    run,
    scramble,
    train,
)


def nearest_orthonormal(x: Tensor) -> Tensor:
    """The polar factor by its definition, from a singular value decomposition."""
    u, _, v = torch.linalg.svd(x, full_matrices=False)
    return u @ v


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 12), columns=st.integers(1, 12), seed=st.integers(0, 99))
def test_the_polar_factor_equals_that_of_a_singular_value_decomposition(
    rows: int, columns: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, rows, columns, generator=generator, dtype=torch.float64)
    side = min(rows, columns)
    # Away from a rank that is lost, where the nearest matrix jumps.
    x = x + 2 * torch.eye(rows, columns, dtype=torch.float64)
    if torch.linalg.svdvals(x).min() > 0.05:
        torch.testing.assert_close(polar(x), nearest_orthonormal(x), rtol=1e-9, atol=1e-9)
    gram = polar(x) @ polar(x).mT if rows < columns else polar(x).mT @ polar(x)
    assert gram.shape[-1] == side


@pytest.mark.parametrize("shape", [(12, 4), (4, 12), (5, 5)])
def test_torchs_own_parametrisation_accepts_it_as_orthogonal(shape: tuple[int, int]) -> None:
    x = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    layer = nn.utils.parametrizations.orthogonal(nn.Linear(shape[1], shape[0]))
    retracted = polar(x)[0]
    layer.weight = retracted  # raises unless it is orthonormal on the smaller side
    torch.testing.assert_close(layer.weight, retracted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("outer_norm", [1.0, 3.0])
@pytest.mark.parametrize("k", [[], [1], [4], [16, 3], [4, 16, 2]])
def test_every_factor_is_retracted_in_place_and_the_values_stay(
    k: list[int], outer_norm: float
) -> None:
    found, before = (matrices(k, 3, [(9, 7), (9, 7), (7, 9), (5, 5)]) for _ in range(2))
    retract(found, outer_norm)
    for mine in found:
        for outer in (mine.left[0], mine.right[0]):
            outer.data /= outer_norm
    for mine, old in zip(found, before, strict=True):
        assert torch.equal(mine.values, old.values)
        for a, b in zip((*mine.left, *mine.right), (*old.left, *old.right), strict=True):
            torch.testing.assert_close(a, nearest_orthonormal(b), rtol=1e-6, atol=1e-6)


def test_a_lost_direction_and_an_empty_factor_stay_finite() -> None:
    lost = matrices([3], 0, [(5, 4)])
    lost[0].left[0].data[:, 1] = 0
    retract(lost)
    assert lost[0].left[0].isfinite().all()
    assert not lost[0].left[0][:, 1].any()


def test_half_precision_factors_are_retracted_in_float32_and_rounded_once() -> None:
    half = matrices([4], 3, [(9, 7)], dtype=torch.bfloat16)
    expected = polar(half[0].left[0].detach().float())
    retract(half)
    assert torch.equal(half[0].left[0], expected.bfloat16())


def test_a_diverged_matrix_stays_nan_and_spoils_no_other() -> None:
    good, bad, alone = (matrices([3], 2, [(5, 4)])[0] for _ in range(3))
    bad.left[0].data[0, 0] = torch.nan
    retract([good, bad])
    retract([alone])
    assert bad.left[0].isnan().all()
    assert torch.equal(good.left[0], alone.left[0])


def orthogonality_errors(model: nn.Module) -> Tensor:
    factors = [f for m in factors_of(model) for f in (*m.left, *m.right)]
    grams = [f.T @ f if f.shape[0] >= f.shape[1] else f @ f.T for f in factors]
    return torch.stack([(g - torch.eye(len(g))).abs().max() for g in grams])


@pytest.mark.parametrize("pruning", [{}, {"target_rank": 2, "t_init": 1, "t_final": 2}])
@pytest.mark.parametrize("init", ["gaussian", "orthonormal", "svd"])
def test_hard_orthogonality_holds_from_the_start_and_after_every_step(
    pruning: dict[str, int], init: str
) -> None:
    model = adapted_bert(k=[4, 6], r=5, orthogonality="hard", init=init, gamma_cross=0.5, **pruning)
    model.base_model.set_total_steps(5)
    assert orthogonality_errors(model).max() < 1e-5
    assert set(model.base_model.regularization()) == {"outer", "middle", "inner"}
    for _ in train(model, optimizer_of(model, lr=0.1), 1, 5):
        assert orthogonality_errors(model).max() < 1e-5
    assert sum(model.base_model.regularization().values()).item() == 0
    assert model.base_model.kept_rank() == (24 if pruning else 60)


def test_without_hard_orthogonality_factors_are_left_where_the_optimiser_put_them() -> None:
    model = adapted_bert(k=4, r=5, orthogonality="none")
    scramble(model)
    run(model, optimizer_of(model), 1, 2)
    assert orthogonality_errors(model).max() > 0.1
