"""The same mistake is refused from Python and from YAML, for the same reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lora2_search.adapter.config import Lora2Config
from lora2_search.config.run import RunConfig, validate
from lora2_search.config.yaml import read_yaml
from lora2_search.errors import ConfigError

# What is set, what both sentences name, and what the rule is called in either.
MISTAKES: list[tuple[dict[str, Any], str, str, type[Exception]]] = [
    ({"k": 0}, "k", "at least|greater than or equal", ValueError),
    ({"k": -3}, "k", "at least|greater than or equal", ValueError),
    ({"k": [8, 0]}, "k", "at least|greater than or equal", ValueError),
    ({"k": 2.5}, "k", "whole number|integer", TypeError),
    ({"k": "8"}, "k", "whole number|integer", TypeError),
    ({"k": True}, "k", "whole number|integer", TypeError),
    ({"r": 0}, "r", "at least|greater than or equal", ValueError),
    ({"r": 1.5}, "r", "whole number|integer", TypeError),
    ({"r": 4, "target_rank": 5}, "target_rank", "exceed|at most", ValueError),
    ({"lora_alpha": 0}, "lora_alpha", "greater than 0", ValueError),
    ({"lora_dropout": 1.0}, "lora_dropout", r"in \[0, 1\)|less than 1", ValueError),
    ({"lora_dropout": -0.1}, "lora_dropout", r"in \[0, 1\)|greater than or equal to 0", ValueError),
    ({"gamma": -0.1}, "gamma", "at least 0|greater than or equal to 0", ValueError),
    ({"gamma": [0.1, -1.0]}, "gamma", "at least 0|greater than or equal to 0", ValueError),
    ({"gamma": [0.1, 0.1, 0.1]}, "gamma", "one per plane", ValueError),
    ({"k": [], "gamma": [0.1, 0.1]}, "gamma", "one per plane", ValueError),
    ({"gamma": float("nan")}, "gamma", "finite", ValueError),
    ({"gamma": "much"}, "gamma", "number", TypeError),
    ({"gamma_cross": -1.0}, "gamma_cross", "at least 0|greater than or equal to 0", ValueError),
    ({"gamma_cross": float("inf")}, "gamma_cross", "finite", ValueError),
    ({"orthogonality": "strict"}, "orthogonality", "soft", ValueError),
    ({"penalty": "frobenious"}, "penalty", "frobenius", ValueError),
    ({"init": "svds"}, "init", "svd", ValueError),
    ({"init_std": 0.0}, "init_std", "greater than 0", ValueError),
    ({"scoring": "reduce"}, "scoring", "reduced", ValueError),
    ({"layers_to_transform": -1}, "layers_to_transform", "at least 0|or equal to 0", ValueError),
    ({"layers_to_transform": "1"}, "layers_to_transform", "whole number|integer", TypeError),
    (
        {"target_modules": "all-linear", "layers_to_transform": 0},
        "layers_to_transform",
        "cannot be used when .?target_modules",
        ValueError,
    ),
    (
        {"target_modules": "all-linear", "layers_pattern": "layer"},
        "layers_pattern",
        "cannot be used when .?target_modules",
        ValueError,
    ),
    ({"layers_pattern": "layer"}, "layers_pattern", "layers_to_transform", ValueError),
    ({"target_rank": -0.5}, "target_rank", "at least 0|or equal to 0", ValueError),
    ({"target_rank": 8.5}, "target_rank", "must not exceed|at most", ValueError),
    ({"target_rank": float("nan")}, "target_rank", "finite", ValueError),
    ({"target_rank": "4"}, "target_rank", "number", TypeError),
    ({"rank_pattern": {"query": -1}}, "rank_pattern", "at least 0|or equal to 0", ValueError),
    ({"delta_t": 0}, "delta_t", "at least 1|greater than 0", ValueError),
    ({"beta1": 1.0}, "beta1", "both excluded|less than 1", ValueError),
    ({"t_init": 0.5, "t_final": 0.5}, "t_init", "less than", ValueError),
]


@pytest.mark.parametrize(("settings", "key", "rule", "kind"), MISTAKES, ids=str)
def test_a_mistake_is_refused_for_the_same_reason_from_python_and_from_yaml(
    settings: dict[str, Any], key: str, rule: str, kind: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(kind, match=rf"(?is)`{key}.*({rule})"):
        Lora2Config(**settings)
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump({"task": "sentiment", "adapter": settings}))
    with pytest.raises(ConfigError, match=rf"(?is)\b{key}\b.*({rule})") as caught:
        validate(read_yaml(file), RunConfig)
    assert all("adapter" in problem.key for problem in caught.value.problems)


def test_what_is_refused_nowhere_is_accepted_by_both(tmp_path: Path) -> None:
    settings = {
        "k": [4, 16, 2], "r": 3, "gamma": [0.1, 0.0, 0.2, 0.3], "gamma_cross": 0.5,
        "orthogonality": "hard", "penalty": "squared", "init": "svd", "exclude_modules": ["key"],
        "target_modules": ["query", "key"], "layers_to_transform": [0], "layers_pattern": "layer",
        "rank_pattern": {"query": 0}, "target_rank": 1.5,
    }  # fmt: skip
    assert Lora2Config(**settings).widths == [4, 16, 2]
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump({"task": "sentiment", "adapter": settings}))
    config = validate(read_yaml(file), RunConfig)
    Lora2Config(**config.adapter.lora2_settings())
