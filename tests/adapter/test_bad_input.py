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

# What is set, what is said of it in both, and whether Python calls it a value or a type.
MISTAKES: list[tuple[dict[str, Any], str, type[Exception]]] = [
    ({"k": 0}, "k must be at least 1, but got 0", ValueError),
    ({"k": -3}, "k must be at least 1, but got -3", ValueError),
    ({"k": [8, 0]}, "k must be at least 1, but got 0", ValueError),
    ({"r": 0}, "r must be at least 1, but got 0", ValueError),
    ({"r": 4, "target_rank": 5}, "target_rank must be at most r, but got", ValueError),
    ({"lora_alpha": 0}, "lora_alpha must be greater than 0, but got 0", ValueError),
    ({"lora_dropout": 1.0}, "lora_dropout must be in [0, 1), but got 1.0", ValueError),
    ({"lora_dropout": -0.1}, "lora_dropout must be in [0, 1), but got -0.1", ValueError),
    ({"gamma": -0.1}, "gamma must be at least 0, but got -0.1", ValueError),
    ({"gamma": [0.1, -1.0]}, "gamma must be at least 0, but got -1.0", ValueError),
    ({"gamma": [0.1, 0.1, 0.1]}, "gamma must be one number or one per plane (2)", ValueError),
    ({"k": [], "gamma": [0.1, 0.1]}, "gamma must be one number or one per plane (1)", ValueError),
    ({"gamma_u1": -1.0}, "gamma_u1 must be at least 0, but got -1.0", ValueError),
    ({"gamma_cross": -1.0}, "gamma_cross must be at least 0, but got -1.0", ValueError),
    ({"init_std": 0.0}, "init_std must be greater than 0, but got 0.0", ValueError),
    ({"scoring": "reduce"}, "but got 'reduce'; did you mean \"reduced\"?", ValueError),
    ({"layers_to_transform": -1}, "layers_to_transform must be at least 0", ValueError),
    ({"target_modules": []}, "target_modules must name a module, but got none", ValueError),
    ({"target_modules": "*query"}, "target_modules must be a regular expression", ValueError),
    (
        {"target_modules": "all-linear", "layers_to_transform": 0},
        "layers_to_transform cannot be used when target_modules is one string",
        ValueError,
    ),
    (
        {"target_modules": "all-linear", "layers_pattern": "layer"},
        "layers_pattern cannot be used when target_modules is one string",
        ValueError,
    ),
    ({"layers_pattern": "layer"}, "without layers_to_transform; set both", ValueError),
    ({"target_rank": -0.5}, "target_rank must be at least 0, but got -0.5", ValueError),
    ({"target_rank": 8.5}, "target_rank must be at most r, but got", ValueError),
    ({"rank_pattern": {"query": -1}}, "must be at least 0, but got -1 for 'query'", ValueError),
    ({"t_init": -3}, "t_init must be at least 0, but got -3", ValueError),
    ({"t_init": 1.5}, "t_init must be a whole number of steps or a fraction below 1", ValueError),
    ({"delta_t": 0}, "delta_t must be at least 1, but got 0", ValueError),
    ({"delta_t": 0.0}, "delta_t must be a whole number of steps or a fraction", ValueError),
    ({"beta1": 1.0}, "beta1 must be between 0 and 1, both excluded, but got 1.0", ValueError),
    ({"t_init": 0.5, "t_final": 0.5}, "t_init + t_final must be less than", ValueError),
    # pydantic finds these by their types, before any rule is asked, in words of its own.
    ({"k": 2.5}, "k must be a whole number|k must be a valid integer", TypeError),
    ({"k": "8"}, "k must be a whole number|k must be a valid integer", TypeError),
    ({"k": True}, "k must be a whole number|k must be a valid integer", TypeError),
    ({"r": 1.5}, "r must be a whole number|r must be a valid integer", TypeError),
    ({"gamma": "much"}, "gamma must be a number|gamma must be a valid number", TypeError),
    ({"gamma": float("nan")}, "gamma must be finite|gamma must be a finite", ValueError),
    (
        {"gamma_cross": float("inf")},
        "gamma_cross must be finite|cross must be a finite",
        ValueError,
    ),
    ({"target_rank": float("nan")}, "target_rank must be finite|must be a finite", ValueError),
    ({"target_rank": "4"}, "target_rank must be a number|rank must be a valid", TypeError),
    ({"layers_to_transform": "1"}, "must be a whole number|must be a valid", TypeError),
    ({"orthogonality": "strict"}, "must be one of none, soft|must be 'none', 'soft'", ValueError),
    ({"penalty": "frobenious"}, "did you mean \"frobenius\"|must be 'frobenius' or", ValueError),
    ({"init": "svds"}, "did you mean \"svd\"|must be 'gaussian'", ValueError),
]


@pytest.mark.parametrize(("settings", "sentence", "kind"), MISTAKES, ids=str)
def test_a_mistake_is_refused_in_the_same_words_from_python_and_from_yaml(
    settings: dict[str, Any], sentence: str, kind: type[Exception], tmp_path: Path
) -> None:
    python, _, yaml_ = sentence.partition("|")
    with pytest.raises(kind) as caught:
        Lora2Config(**settings)
    assert python in str(caught.value).replace("`", "")
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump({"task": "sentiment", "adapter": settings}))
    with pytest.raises(ConfigError) as refused:
        validate(read_yaml(file), RunConfig)
    assert (yaml_ or python) in str(refused.value).replace(": must", " must")
    assert all("adapter" in problem.key for problem in refused.value.problems)


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
