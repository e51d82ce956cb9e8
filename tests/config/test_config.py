from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora2_search.config.run import RunConfig, setting_names, validate, with_settings
from lora2_search.config.space.schema import validate_space
from lora2_search.config.suite.schema import validate_suite
from lora2_search.config.yaml import Source, read_yaml
from lora2_search.errors import ConfigError


def problems(data: dict) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        validate(Source(data), RunConfig)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"adaptr": {}}, 'adaptr: unknown key; did you mean "adapter"?'),
        ({"adapter": {"target_rnk": 3}}, 'target_rnk: unknown key; did you mean "target_rank"'),
        ({"adapter": {"zzzz": 3}}, "adapter.zzzz: unknown key; known: allocation"),
        ({"adapter": 4}, "adapter: must be a group of settings, but got 4"),
        ({"adapter": {"k": 0}}, "adapter.k: must be at least 1, but got 0"),
        ({"adapter": {"k": 1.5}}, "adapter.k: must be a valid integer, but got 1.5; or"),
        ({"adapter": {"k": True}}, "adapter.k: must be a valid integer, but got True"),
        ({"training": {"lr": "1e-3"}}, "training.lr: must be a valid number, but got '1e-3'"),
        ({"training": {"lr": 0.0}}, "training.lr: must be greater than 0, but got 0.0"),
        ({"training": {"lr": float("nan")}}, "training.lr: must be a finite number, but got nan"),
        ({"training": {"warmup": -1}}, "or a fraction below 1, got -1"),
        ({"training": {"warmup": 1.5}}, "or a fraction below 1, got 1.5"),
        ({"data": {"test_size": 0}}, "data.test_size: must be a count (1, 2 ...) or a fraction"),
        ({"data": {"text": ["a", "b", "c"]}}, "data.text: List should have at most 2 items"),
        ({"adapter": {"beta1": 1.0}}, "adapter.beta1: must be between 0 and 1, both excluded"),
        ({"adapter": {"gamma": -0.1}}, "adapter.gamma: must be at least 0, but got -0.1"),
        ({"adapter": {"gamma": [0.1]}}, "gamma must be one number or one per plane (2), got [0.1]"),
        ({"adapter": {"r": 4, "target_rank": 5}}, "must be at most r, but got target_rank=5, r=4"),
        ({"adapter": {"t_init": 0.6, "t_final": 0.4}}, "t_init + t_final must be less than"),
        ({"adapter": {"scoring": "full2"}}, 'scoring: must be one of reduced'),
        ({"task": "rtee"}, "task: must be 'cola'"),
        (
            {"method": "lora3"},
            "method: must be 'lora2', 'lora', 'rslora', 'pissa', 'lora-plus', 'dora', 'adalora', "
            "'peft', 'full', 'head-only' or 'no-training', but got 'lora3'",
        ),
        ({"seed": -1}, "seed: must be greater than or equal to 0, but got -1"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_value_and_remedy(data: dict, words: str) -> None:
    found = problems({"task": "rte", **data})
    assert len(found) == 1, found
    assert words in found[0]


def test_neither_task_nor_file_is_a_mistake() -> None:
    (message,) = problems({})
    assert "set `task` to one of cola" in message
    assert "data.path" in message


def test_all_mistakes_come_together_each_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("task: rte\nadapter:\n  k: 0\n  kk: 4\ntraining: {lr: fast}\nsed: 1\n")
    with pytest.raises(ConfigError) as caught:
        validate(read_yaml(path), RunConfig)
    lines = {problem.key: problem.where for problem in caught.value.problems}
    assert lines == {
        "adapter.k": f"{path}:3",
        "adapter.kk": f"{path}:4",
        "training.lr": f"{path}:5",
        "sed": f"{path}:6",
    }
    assert str(caught.value).count("\n") == 3


def test_a_union_makes_one_problem_not_one_for_each_member() -> None:
    (message,) = problems({"task": "rte", "training": {"warmup": "soon"}})
    assert "integer" in message
    assert "number" in message


def test_settings_are_replaced_by_dotted_name_and_checked() -> None:
    config = RunConfig(task="rte")
    changed = with_settings(config, {"adapter.k": 4, "training.lr": 0.01, "seed": 3})
    assert (changed.adapter.k, changed.training.lr, changed.seed) == (4, 0.01, 3)
    assert config.adapter.k == 8
    with pytest.raises(ConfigError, match=r'adapter\.kk: unknown key; did you mean "k"'):
        with_settings(config, {"adapter.kk": 4})
    with pytest.raises(ConfigError, match="target_rank must be at most r"):
        with_settings(config, {"adapter.target_rank": 9})


def test_every_setting_name_can_be_set_to_what_it_is() -> None:
    config = RunConfig(task="rte")
    names = setting_names(RunConfig)
    assert {"task", "adapter.k", "data.max_length", "training.lr"} <= set(names)
    values = {name: config for name in names}
    for name in names:
        value = config
        for part in name.split("."):
            value = getattr(value, part)
        values[name] = value
    assert with_settings(config, values) == config


def test_a_configuration_survives_json() -> None:
    config = RunConfig(task="rte", data={"text": ["a", "b"]}, adapter={"gamma": [0.1, 0.2]})  # type: ignore[arg-type]
    assert RunConfig.model_validate(json.loads(config.model_dump_json())) == config


@given(st.permutations(["adapter", "training", "data", "seed"]))
def test_the_fingerprint_ignores_order_and_spelled_out_defaults(order: list[str]) -> None:
    parts = {
        "adapter": {"k": 8},
        "training": {"lr": 1e-3},
        "data": {"max_length": 128},
        "seed": 0,
    }
    config = validate(Source({"task": "rte", **{key: parts[key] for key in order}}), RunConfig)
    assert config.fingerprint() == RunConfig(task="rte").fingerprint()


def test_a_whole_rank_is_the_same_run_however_it_is_written() -> None:
    whole, real, half = (
        with_settings(RunConfig(task="rte"), {"adapter.target_rank": rank})
        for rank in (4, 4.0, 4.5)
    )
    assert whole.fingerprint() == real.fingerprint() != half.fingerprint()


@pytest.mark.parametrize("name", ["adapter.k", "training.epochs", "data.train_size", "seed"])
def test_the_fingerprint_tells_results_apart(name: str) -> None:
    config = RunConfig(task="rte")
    assert with_settings(config, {name: 7}).fingerprint() != config.fingerprint()


def test_whole_numbers_fingerprint_alike_however_typed() -> None:
    as_int = validate(Source({"task": "rte", "training": {"epochs": 3}}), RunConfig)
    as_float = validate(Source({"task": "rte", "training": {"epochs": 3.0}}), RunConfig)
    assert as_int.fingerprint() == as_float.fingerprint()


def test_a_space_or_suite_given_for_a_run_is_called_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    for key, what in (("search", "tune --space"), ("arms", "ablate --suite")):
        path.write_text(f"task: rte\ntrials: 3\n{key}: {{}}\nnonsense: 1\n")
        with pytest.raises(ConfigError, match=what) as caught:
            validate(read_yaml(path), RunConfig)
        assert [problem.where for problem in caught.value.problems] == [f"{path}:3"]


def test_a_wrong_number_is_not_told_to_be_a_list() -> None:
    with pytest.raises(ConfigError) as caught:
        with_settings(RunConfig(task="sentiment"), {"adapter.k": 0, "adapter.gamma": -1.0})
    told = {problem.key: problem.message for problem in caught.value.problems}
    assert told["adapter.k"] == "must be at least 1, but got 0"
    assert "list" not in told["adapter.gamma"]


@pytest.mark.parametrize(
    ("settings", "fingerprint"),
    [
        ({}, "0ceb7d267260c1c2"),
        ({"task": "rte", "method": "lora", "adapter.r": 4, "seed": 3}, "b2dde9b8b4eb6d4a"),
    ],
)
def test_a_run_of_which_nothing_is_cut_keeps_the_fingerprint_that_it_had_before_cuts(
    settings: dict[str, Any], fingerprint: str
) -> None:
    config = with_settings(RunConfig(task="sentiment"), settings)
    assert config.fingerprint() == fingerprint
    cut = [with_settings(config, {"after.svd_rank": rank}).fingerprint() for rank in (2, 2.0, 3)]
    assert cut[0] == cut[1] and len({fingerprint, *cut}) == 3


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"method": "dora"}, "method dora also rescales the rows"),
        ({"method": "full"}, "method full trains every weight"),
        ({"method": "head-only"}, "method head-only has no adapter"),
        ({"adapter.r": 3}, r"at most adapter\.r.*svd_rank=4, adapter\.r=3"),
        ({"adapter.target_rank": 0}, r"nothing to cut where adapter\.target_rank is 0"),
        ({"after.svd_rank": 0}, "greater than 0"),
        ({"after.svd_allocation": "each"}, "svd_allocation"),
    ],
)
def test_what_cannot_be_cut_after_training_is_refused_with_its_reason(
    settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        with_settings(RunConfig(task="rte"), {"after.svd_rank": 4, **settings})


def test_runs_that_leave_younger_settings_at_their_defaults_keep_their_names() -> None:
    # As named before `gamma_u1`, `init_lora_weights`, `peft`, `score_test` and `after` existed.
    assert RunConfig(task="sentiment").fingerprint() == "0ceb7d267260c1c2"
    assert RunConfig(task="rte", seed=3, method="lora").fingerprint() == "26657b1df617ee70"
    younger = {"adapter.gamma_u1": 0.1}, {"adapter.loraplus_lr_ratio": 4.0}
    for setting in (*younger, {"training.score_test": False}):
        changed = with_settings(RunConfig(task="sentiment"), setting)
        assert changed.fingerprint() != "0ceb7d267260c1c2"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "0ceb7d267260c1c2"),
        (
            {
                "task": "custom",
                "data.path": "my.csv",
                "data.text": ["a"],
                "data.label": "b",
                "adapter.k": 4,
            },
            "d8fdccbfd0709b6c",
        ),
    ],
)
def test_settings_that_came_later_leave_the_names_of_earlier_runs_alone(
    settings: dict[str, Any], expected: str
) -> None:
    run = with_settings(RunConfig(task="sentiment"), settings)
    assert run.fingerprint() == expected
    assert with_settings(run, {"data.separator": ";"}).fingerprint() != expected


KINDS_OF_FILE: list[tuple[Any, dict[str, Any]]] = [
    (lambda source: validate(source, RunConfig), {}),
    (validate_space, {"search": {"adapter.k": {"type": "int", "low": 1, "high": 2}}, "trials": 1}),
    (validate_suite, {"arms": {"a": {"adapter.k": 1}}, "floor": None}),
]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"task": "reviews", "data": {"kind": "choice"}}, "is choice, but task reviews is gener"),
        ({"task": "boolq", "data": {"kind": "generation"}}, "; take task boolq-generation"),
        ({"task": "mrpc", "data": {"kind": "generation"}}, "; leave it out"),
    ],
)
def test_a_kind_that_contradicts_the_task_is_refused_where_it_is_written(
    data: dict[str, Any], message: str
) -> None:
    for check, more in KINDS_OF_FILE:
        named = {"name": "mine"} if more else {}
        source = Source({**data, **more, **named}, {("data", "kind"): "line 3 of my.yaml"})
        with pytest.raises(ConfigError) as caught:
            check(source)
        (problem,) = caught.value.problems
        assert (problem.key, problem.where) == ("data.kind", "line 3 of my.yaml")
        assert message in problem.message
    RunConfig.model_validate(data)  # a run of before is read


def test_a_kind_that_is_the_tasks_own_may_be_written() -> None:
    written = {"task": "boolq", "data": {"kind": "classification"}}
    assert validate(Source(written), RunConfig).kind == "classification"


@pytest.mark.parametrize(
    ("task", "remedy"),
    [
        ("boolq", "task boolq-gen"),
        ("sentiment", "task reviews"),
        ("rte", "a task of text, such as"),
    ],
)
def test_what_is_for_language_models_names_the_task_of_text(task: str, remedy: str) -> None:
    for setting in ({"language": {"max_new_tokens": 3}}, {"method": "no-training"}):
        with pytest.raises(ConfigError, match=f"take {remedy}"):
            validate(Source({"task": task, **setting}), RunConfig)
