"""What ``try_first`` may say, and where a mistake in it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lora2_search.config.run import GLUE_TASKS
from lora2_search.config.settings import value_of
from lora2_search.config.space.distribution import Distribution
from lora2_search.config.space.schema import load_space
from lora2_search.errors import ConfigError
from tests.support.spaces import space_of

SEARCH = {
    "method": {"type": "categorical", "choices": ["lora2", "lora"]},
    "training.lr": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True},
    "adapter.k": {"type": "int", "low": 4, "high": 16, "step": 4},
    "adapter.gamma": {"type": "float", "low": 0.1, "high": 0.5, "when": {"method": ["lora2"]}},
}


@pytest.mark.parametrize(
    ("entry", "key", "words"),
    [
        ({"adapter.kk": 4}, "0.adapter.kk", 'no setting of that name; did you mean "adapter.k"?'),
        ({"adapter.r": 4}, "0.adapter.r", "is not searched here, so no trial can set it"),
        ({"adapter.k": 6}, "0.adapter.k", "must be 4 plus a multiple of 4, but got 6"),
        ({"adapter.k": 20}, "0.adapter.k", "must be from 4 to 16, but got 20"),
        ({"adapter.k": 8.0}, "0.adapter.k", "must be a whole number, but got 8.0"),
        ({"adapter.k": True}, "0.adapter.k", "must be a number, but got True"),
        ({"training.lr": float("nan")}, "0.training.lr", "must be from 0.001 to 0.01"),
        ({"training.lr": "1"}, "0.training.lr", "must be a number, but got '1'"),
        ({"method": "dora"}, "0.method", "must be one of 'lora2', 'lora', but got 'dora'"),
        (
            {"method": "lora", "adapter.k": 4},
            "0.adapter.k",
            "is not searched in a trial with method='lora'; leave it out",
        ),
        ({}, "0", "gives no setting; searched are method"),
    ],
)
def test_a_mistake_in_a_first_trial_is_told_with_its_key(
    entry: dict[str, Any], key: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        space_of(search=SEARCH, try_first=[entry])
    (problem,) = caught.value.problems
    assert problem.key == f"try_first.{key}"
    assert words in problem.message


def test_first_trials_may_be_partial_nested_or_conditional_and_each_stands_once() -> None:
    first = [{"adapter": {"k": 8}}, {"method": "lora", "training.lr": 1e-2}]
    assert space_of(search=SEARCH, try_first=first).try_first == [{"adapter.k": 8}, first[1]]
    with pytest.raises(ConfigError, match="try_first.1: is entry 0 again"):
        space_of(search=SEARCH, try_first=[{"adapter.k": 8}, {"adapter.k": 8}])
    with pytest.raises(ConfigError, match="lists 2 trials, but the study has trials=1"):
        space_of(search=SEARCH, try_first=first, trials=1)


def test_a_whole_first_trial_must_obey_the_rules_and_make_a_valid_run() -> None:
    ranks = {
        "adapter.r": {"type": "int", "low": 2, "high": 8},
        "adapter.target_rank": {"type": "int", "low": 1, "high": 8},
    }
    rules = ["adapter.target_rank <= adapter.r"]
    with pytest.raises(ConfigError, match="try_first.0: breaks the rule 'adapter.target_rank <="):
        space_of(search=ranks, rules=rules, try_first=[{"adapter.r": 2, "adapter.target_rank": 3}])


def test_a_mistake_in_a_file_is_told_with_its_line_and_null_takes_first_trials_away(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: rte.yaml\nname: mine\ntry_first:\n  - training.lr: 1.0\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml:4: try_first\.0\.training\.lr: must be"):
        load_space(str(path))
    path.write_text("extends: rte.yaml\nname: mine\ntry_first: null\n")
    assert load_space(str(path)).try_first == []


@pytest.mark.parametrize("task", GLUE_TASKS)
def test_a_glue_space_tries_the_published_settings_first(task: str) -> None:
    space = load_space(task)
    (first,) = space.try_first
    assert set(first) == set(space.search)
    # The file's own settings are the published ones: test_spaces.
    assert first == {name: value_of(space.as_run_config(), name) for name in space.search}


def test_a_setting_that_is_fixed_leaves_the_first_trials_too() -> None:
    space = load_space("rte", ["adapter.k=4"])
    assert "adapter.k" not in space.search
    assert "adapter.k" not in space.try_first[0]
    assert space.try_first[0]["training.lr"] == 1.2e-3


def test_a_value_on_the_grid_of_a_stepped_float_is_possible() -> None:
    item = Distribution(type="float", low=0.1, high=0.7, step=0.2)
    assert item.problem_with(0.3) is None
    assert item.problem_with(0.4) == "must be 0.1 plus a multiple of 0.2, but got 0.4"
    assert item.exact(0.3) == 0.3
