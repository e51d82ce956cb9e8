from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from peft import PeftModel

from lora2_search.training.loop.diagnostics import diagnose, entropy, geometry
from lora2_search.training.models.methods import Fixed
from tests.support.adapters import adapted_bert, factors_of


def trained(**settings: object) -> PeftModel:
    """An adapter whose λ is no longer 0."""
    model = adapted_bert(**settings)
    for factors in factors_of(model):
        factors.values.data.normal_(generator=torch.Generator().manual_seed(0))
    return model


@pytest.mark.parametrize(
    ("k", "names"),
    [
        ([], ["outer"]),
        (4, ["outer", "inner", "overlap"]),
        ([6, 4], ["outer", "middle", "inner", "overlap"]),
    ],
)
def test_geometry_is_what_dense_algebra_says_of_every_plane(
    k: int | list[int], names: list[str]
) -> None:
    matrices = factors_of(trained(k=k, r=3))
    found = geometry(matrices)
    assert list(found) == [f"geometry/{name}" for name in names]
    planes = len(matrices[0].left)
    for plane in range(planes):
        errors = []
        for matrix in matrices:
            for factor in (matrix.left[plane], matrix.right[plane]):
                x = factor.detach().double().numpy()
                x = x if x.shape[0] >= x.shape[1] else x.T
                errors.append(np.linalg.norm(x.T @ x - np.eye(x.shape[1])))
        assert found[f"geometry/{names[plane]}"] == pytest.approx(np.mean(errors), rel=1e-5)
    if planes > 1:
        cosines = []
        for matrix in matrices:
            left, right = np.eye(matrix.left[0].shape[0]), np.eye(matrix.right[0].shape[1])
            spanned = []
            for u, v in zip(matrix.left, matrix.right, strict=True):
                left, right = left @ u.detach().numpy(), v.detach().numpy() @ right
                spanned.append((left @ right).ravel())
            for a, b in zip(spanned, spanned[1:], strict=False):
                cosines.append((a @ b) ** 2 / ((a @ a) * (b @ b)))
        assert found["geometry/overlap"] == pytest.approx(np.mean(cosines), rel=1e-4)


def test_an_overlap_that_is_not_defined_is_left_out() -> None:
    model = trained(k=1, r=2)
    assert "geometry/overlap" not in diagnose(model.base_model)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([2.0, 2.0, 2.0], 1.0),
        ([0.0, 5.0, 0.0], 0.0),
        ([1.0, 1.0, 0.0, 0.0], 0.5),
        ([0.0, 0.0], math.nan),
        ([1.0, -1.0, 3.0], math.nan),
        ([1.0, math.inf], math.nan),
        ([1.0], math.nan),
    ],
)
def test_entropy_lies_between_one_for_all_and_one_has_all(
    scores: list[float], expected: float
) -> None:
    assert entropy(torch.tensor(scores)) == pytest.approx(expected, nan_ok=True)


def test_looking_changes_neither_weights_nor_chance() -> None:
    model = trained(k=4, r=3, target_rank=2)
    model.base_model.set_total_steps(10)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    chance = torch.get_rng_state()
    found = diagnose(model.base_model)
    assert (found["rank/lowest"], found["rank/median"], found["rank/highest"]) == (3, 3, 3)
    # Nothing was scored yet.
    assert "rank/importance_entropy" not in found
    assert torch.equal(torch.get_rng_state(), chance)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_method_without_ranks_has_nothing_to_look_at() -> None:
    assert diagnose(Fixed()) == {}
