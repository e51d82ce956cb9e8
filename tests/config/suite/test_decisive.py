from __future__ import annotations

from typing import Any

import pytest

from lora2_search.config.run import RunConfig, with_settings
from lora2_search.config.suite.canonical import canonical_settings

BASE = with_settings(RunConfig(task="sentiment"), {"adapter.target_rank": 4})

SECOND_BLOCK = {"adapter.layers_to_transform": [1]}


@pytest.mark.parametrize(
    "given, changed",
    [
        ({"method": "head-only"}, {"adapter.k": 2}),
        ({"method": "head-only", "training.head_lr": 0.01}, {"training.lr": 0.5}),
        ({"method": "lora"}, {"adapter.gamma": 0.0}),
        ({"method": "lora"}, {"adapter.scoring": "random"}),
        ({"method": "full"}, {"adapter.r": 4}),
        ({"method": "dora"}, {"adapter.k": 2}),
        ({"method": "adalora"}, {"adapter.k": 2}),
        ({"method": "adalora"}, {"adapter.scoring": "full"}),
        ({"method": "adalora", "adapter.gamma": 0.0}, {"adapter.orthogonality": "none"}),
        ({"adapter.orthogonality": "hard"}, {"adapter.gamma": 0.5}),
        ({"adapter.orthogonality": "none"}, {"adapter.score_loss": "task"}),
        ({"adapter.scoring": "magnitude"}, {"adapter.beta2": 0.5}),
        ({"adapter.scoring": "sensitivity"}, {"adapter.beta2": 0.5}),
        ({}, {"adapter.k": [8]}),
        ({"adapter.target_rank": None}, {"adapter.scoring": "random"}),
        ({"adapter.target_rank": None}, {"adapter.target_rank": 8}),
        ({"adapter.scoring": "none"}, {"adapter.t_init": 0.2}),
        ({"adapter.scoring": "random"}, {"adapter.beta1": 0.5}),
        ({"adapter.init": "orthonormal"}, {"adapter.init_std": 0.1}),
        ({}, {"adapter.gamma": [0.1, 0.1]}),
        ({}, {"training.head_lr": 0.001}),
        ({"training.steps": 10}, {"training.epochs": 1.0}),
        ({"adapter.k": []}, {"adapter.scoring": "full"}),
        ({"adapter.k": []}, {"adapter.gamma_cross": 0.1}),
        ({"adapter.gamma": 0.0}, {"adapter.orthogonality": "none"}),
        ({"adapter.gamma": [0.0, 0.0]}, {"adapter.penalty": "squared"}),
        ({}, {"after.svd_allocation": "per-matrix"}),
    ],
)
def test_a_setting_that_no_run_looks_at_makes_no_other_run(
    given: dict[str, Any], changed: dict[str, Any]
) -> None:
    one = with_settings(BASE, given)
    other = with_settings(one, changed)
    assert one != other and canonical_settings(one) == canonical_settings(other)


@pytest.mark.parametrize(
    "given, changed",
    [
        ({}, {"adapter.gamma": 0.0}),
        ({}, {"adapter.gamma": [0.1, 0.0]}),
        ({}, {"adapter.scoring": "random"}),
        ({}, {"adapter.beta1": 0.5}),
        ({}, {"adapter.init_std": 0.1}),
        ({}, {"training.lr": 0.5}),
        ({}, {"seed": 1}),
        ({"method": "lora"}, {"adapter.r": 4}),
        ({"method": "lora", **SECOND_BLOCK}, {"adapter.layers_pattern": "layer"}),
        (SECOND_BLOCK, {"adapter.layers_pattern": "layer"}),
        ({"method": "lora"}, {"method": "dora"}),
        ({"method": "dora"}, {"adapter.rank_pattern": {"query": 2}}),
        ({"method": "adalora"}, {"adapter.gamma": 0.0}),
        ({"method": "adalora"}, {"adapter.orthogonality": "none"}),
        ({"method": "adalora"}, {"adapter.t_final": 0.2}),
        ({"method": "full"}, {"training.lr": 0.5}),
        ({}, {"adapter.gamma_cross": 0.1}),
        ({"adapter.scoring": "sensitivity"}, {"adapter.beta1": 0.5}),
        ({"method": "head-only"}, {"training.lr": 0.5}),
        ({"adapter.scoring": "random"}, {"adapter.t_init": 0.2}),
        ({}, {"adapter.scoring": "full"}),
        ({"adapter.k": []}, {"adapter.gamma": 0.0}),
        ({"adapter.gamma": 0.0}, {"adapter.gamma_cross": 0.1}),
        ({"adapter.gamma": 0.0}, {"adapter.orthogonality": "hard"}),
        ({}, {"after.svd_rank": 2}),
        ({"method": "lora", "after.svd_rank": 2}, {"after.svd_allocation": "per-matrix"}),
    ],
)
def test_a_setting_that_can_matter_makes_another_run(
    given: dict[str, Any], changed: dict[str, Any]
) -> None:
    one = with_settings(BASE, given)
    assert canonical_settings(one) != canonical_settings(with_settings(one, changed))
