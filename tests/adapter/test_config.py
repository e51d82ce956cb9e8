from __future__ import annotations

from typing import Any

import pytest
from peft import PeftConfig

from lora2_search.adapter.config import Lora2Config


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"k": 0}, "`k` must be at least 1, but got 0"),
        ({"k": [8, 0]}, "`k` must be at least 1, but got 0"),
        ({"r": 0}, "`r` must be at least 1, but got 0"),
        ({"r": 4, "target_rank": 5}, "target_rank=5, r=4"),
        ({"target_rank": -1}, "`target_rank` must be at least 0, but got -1"),
        ({"rank_pattern": {"query": -1}}, "rank_pattern"),
        ({"gamma": -0.1}, "`gamma` must be at least 0, but got -0.1"),
        ({"gamma": [0.1, -1]}, "`gamma` must be at least 0"),
        ({"gamma": [0.1, 0.1, 0.1]}, "one per plane .2."),
        ({"gamma": float("nan")}, "`gamma` must be finite"),
        ({"beta1": 0.0}, "`beta1` must be between 0 and 1"),
        ({"beta2": 1.0}, "`beta2` must be between 0 and 1"),
        ({"lora_alpha": 0}, "`lora_alpha` must be greater than 0"),
        ({"lora_dropout": 1.0}, "`lora_dropout` must be in"),
        ({"init_std": 0.0}, "`init_std` must be greater than 0"),
        ({"scoring": "reduce"}, 'did you mean "reduced"'),
        ({"init": "orthonormals"}, 'did you mean "orthonormal"'),
        ({"init": "zeros?"}, "gaussian, orthonormal"),
        ({"t_init": 1.5}, "`t_init` must be a whole number of steps or a fraction"),
        ({"t_final": -3}, "`t_final` must be at least 0, but got -3"),
        ({"delta_t": 0}, "`delta_t` must be at least 1, but got 0"),
        ({"t_init": 0.5, "t_final": 0.5}, "t_init=0.5, t_final=0.5"),
        ({"layers_pattern": "layer"}, "without layers_to_transform; set both"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_rule(
    settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        Lora2Config(**settings)


@pytest.mark.parametrize("targets", [[], ""])
def test_targets_that_name_nothing_are_refused(targets: Any) -> None:
    with pytest.raises(ValueError, match="`target_modules` must name a module"):
        Lora2Config(target_modules=targets)


@pytest.mark.parametrize(
    "settings", [{"k": 2.5}, {"r": "8"}, {"k": True}, {"gamma": "much"}, {"seed": 0.5}]
)
def test_a_value_of_the_wrong_type_is_a_type_error(settings: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"`{next(iter(settings))}` must be"):
        Lora2Config(**settings)


@pytest.mark.parametrize(
    ("settings", "prunes"),
    [
        ({}, False),
        ({"target_rank": 8}, False),
        ({"target_rank": 3}, True),
        ({"target_rank": 3, "scoring": "random"}, True),
        ({"target_rank": 3, "scoring": "none"}, False),
        ({"target_rank": 0}, True),
    ],
)
def test_pruning_needs_a_scoring_and_a_target_below_the_start(
    settings: dict[str, Any], prunes: bool
) -> None:
    assert Lora2Config(**settings).prunes is prunes


@pytest.mark.parametrize(
    ("settings", "widths", "gammas"),
    [
        ({}, [8], [0.1, 0.1]),
        ({"gamma": [0.3, 0]}, [8], [0.3, 0]),
        ({"k": [16, 8]}, [16, 8], [0.1, 0.1, 0.1]),
        ({"k": []}, [], [0.1]),
    ],
)
def test_one_gamma_serves_every_plane(
    settings: dict[str, Any], widths: list[int], gammas: list[float]
) -> None:
    config = Lora2Config(**settings)
    assert (config.widths, config.gammas) == (widths, gammas)


def test_a_saved_config_comes_back_as_it_was(tmp_path: Any) -> None:
    config = Lora2Config(
        k=3, r=5, target_modules=["query"], gamma=[0.1, 0.2], target_rank=2, rank_pattern={"a": 0}
    )
    config.save_pretrained(tmp_path)
    loaded = PeftConfig.from_pretrained(tmp_path)
    assert isinstance(loaded, Lora2Config)
    assert loaded == config
