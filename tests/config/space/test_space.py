from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FixedTrial

from lora2_search.config.space.distribution import is_conditional
from lora2_search.config.space.schema import Space, load_space, validate_space
from lora2_search.config.yaml import Source
from lora2_search.errors import ConfigError, UserError
from tests.support.spaces import K, space_of, written

FLOAT = {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}


def searching(**settings: Any) -> dict[str, Any]:
    return {"search": {name.replace("__", "."): item for name, item in settings.items()}}


def rank(low: int, high: int, **more: Any) -> dict[str, Any]:
    return {"type": "int", "low": low, "high": high, **more}


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        (searching(adapter__kk=rank(1, 8)), "search.adapter.kk", 'did you mean "adapter.k"?'),
        (searching(adapter__k=rank(8, 1)), "search.adapter.k", "low=8, high=1"),
        (searching(adapter__k=rank(4, 4)), "search.adapter.k", "`low` must be less than `high`"),
        (searching(training__lr={**FLOAT, "low": 0}), "search.training.lr", "above 0 when `log`"),
        (
            searching(training__lr={**FLOAT, "step": 0.1}),
            "search.training.lr",
            "exclude",
        ),
        (searching(adapter__k=rank(1, 8, step=3)), "search.adapter.k", "the nearest below is 7"),
        (searching(adapter__k=rank(1, 8, step=0)), "search.adapter.k", "`step` must be above 0"),
        (searching(adapter__k={"type": "int"}), "search.adapter.k", "`low` and `high` are needed"),
        (searching(adapter__k=rank(1, 8.5)), "search.adapter.k", "whole numbers, but got high=8.5"),
        (searching(adapter__k=rank(1, 8, lg=True)), "search.adapter.k", 'did you mean "log"?'),
        (searching(adapter__k=rank(1, 8, choices=[1])), "search.adapter.k", "for type categorical"),
        (searching(adapter__k=rank(0, 8)), "search.adapter.k", "adapter.k=0 is not a valid value"),
        (
            searching(adapter__k={"type": "float", "low": 1, "high": 8}),
            "search.adapter.k",
            "adapter.k=1.0 is not a valid value",
        ),
        (
            searching(adapter__scoring={"type": "categorical", "choices": []}),
            "search.adapter.scoring",
            "at least one value",
        ),
        (
            searching(adapter__scoring={"type": "categorical", "choices": ["reduced", "rnd"]}),
            "search.adapter.scoring",
            "adapter.scoring='rnd' is not a valid value",
        ),
        (
            searching(adapter__k={"type": "categorical", "choices": [[1], 2]}),
            "search.adapter.k.choices.0",
            "but got [1]",
        ),
        (
            {"method": "adalora", **searching(adapter__target_rank=rank(1, 8))},
            "search.adapter.target_rank",
            "method adalora must end below the rank",
        ),
        (
            searching(adapter__r=rank(2, 8), adapter__target_rank=rank(1, 6)),
            "search.adapter.target_rank",
            "target_rank=6, r=2",
        ),
        (
            searching(
                adapter__t_init={"type": "float", "low": 0.1, "high": 0.5},
                adapter__t_final={"type": "float", "low": 0.1, "high": 0.6},
            ),
            "search.adapter.t_final",
            "does not go with adapter.t_init: t_init + t_final must be less",
        ),
        (
            {**searching(adapter__target_rank=rank(1, 6)), "adapter": {"r": 4}},
            "search.adapter.target_rank",
            "does not go with adapter.r=4: target_rank must be at most r, but got target_rank=6",
        ),
        (
            {
                **searching(training__lr=FLOAT, adapter__target_rank=rank(1, 6), seed=rank(0, 3)),
                "adapter": {"r": 4},
            },
            "search.adapter.target_rank",
            "does not go with adapter.r=4: target_rank",
        ),
        (
            {
                **searching(adapter__t_init=rank(10, 80), adapter__k=rank(1, 8)),
                "adapter": {"t_final": 30},
                "training": {"steps": 100},
            },
            "search.adapter.t_init",
            "does not go with adapter.t_final=30, training.steps=100: adapter.t_init + t_final",
        ),
        (searching(adapter__k={"low": 1, "high": 8}), "search.adapter.k", "`type` is missing"),
        (
            searching(adapter__k=rank(1, 8, when={"adapter.r": [2]})),
            "search.adapter.k",
            "refers to adapter.r, which is not searched",
        ),
        (
            searching(
                adapter__k=rank(1, 8, when={"adapter.r": [2]}),
                adapter__r=rank(1, 8, when={"method": ["lora2"]}),
                method={"type": "categorical", "choices": ["lora", "lora2"]},
            ),
            "search.adapter.k",
            "one level is allowed",
        ),
        (
            searching(
                adapter__k=rank(1, 8, when={"method": ["dora"]}),
                method={"type": "categorical", "choices": ["lora", "lora2"]},
            ),
            "search.adapter.k",
            "waits for method to be 'dora', which it never is",
        ),
        (searching(training__evaluations=rank(1, 8)), "search.training.evaluations", "cannot be"),
        (searching(data__split_seed=rank(1, 8)), "search.data.split_seed", "different examples"),
        ({"search": {}}, "search", "nothing is searched"),
        ({"trials": 0}, "trials", "greater than or equal to 1, but got 0"),
        ({"trials": None}, "trials", "set `trials`, `hours` or both"),
        ({"trials": None, "trails": 4}, "trails", 'did you mean "trials"?'),
        ({"trials": None, "hour": 0.5}, "hour", 'did you mean "hours"?'),
        ({"search": None, "serach": K}, "serach", 'did you mean "search"?'),
        ({"search": None, "sampler": {}}, "search", "is missing"),
        ({"search": None}, "", "a run configuration; use train --config, or add `search`"),
        ({"search": None, "arms": {"base": {}}}, "", "an ablation suite; use ablate --suite"),
        ({"hours": 0.0}, "hours", "greater than 0, but got 0.0"),
        ({"name": "../x"}, "name", "'-', 100 at most (it names a folder), but got '../x'"),
        ({"sampler": {"name": "cma"}}, "sampler.name", "but got 'cma'"),
        ({"sampelr": {}}, "sampelr", 'did you mean "sampler"?'),
        ({"objective": {"metric": "f1"}}, "objective.metric", "'f1' is not measured on task sent"),
        (
            {"objective": {"metric": "f2"}, "task": "custom", "data": {"path": "x.csv"}},
            "objective.metric",
            "known: accuracy, balanced_accuracy, f1",
        ),
        (
            {
                "objective": {"metric": "f1"},
                "task": None,
                "data": {"path": "x.csv", "kind": "regression"},
            },
            "objective.metric",
            "known: pearson, spearman",
        ),
        # Only the task is wrong: what it measures is not known.
        (
            {"task": "reviews"} | searching(language__max_new_tokens=rank(0, 8)),
            "search.language.max_new_tokens",
            "with 0, trials would be scored on different examples or by a different metric",
        ),
        (
            {"task": "reviews"}
            | searching(language__answer={"type": "categorical", "choices": ["a", "b"]}),
            "search.language.answer",
            "cannot be searched: trials would be scored on different examples or by a different",
        ),
        (
            {"task": "reviews", "references": {"short": {"language.max_new_tokens": 0}}},
            "references.short.language.max_new_tokens",
            "must be above 0 as in the trials, or another metric is measured",
        ),
        (
            {"task": "reviews", "references": {"other": {"language.answer": "good"}}},
            "references.other.language.answer",
            "must be as in the trials",
        ),
        ({"objective": {"metric": "f1"}, "task": "mrpcc"}, "task", "but got 'mrpcc'"),
        ({"scheduler": {"grace": 9}}, "scheduler.grace", "at most training.evaluations"),
        (
            {"scheduler": {"grace": 2}, "adapter": {"target_rank": 2}},
            "scheduler.grace",
            "must be at least 3 here, but got 2",
        ),
    ],
)
def test_each_mistake_is_named_with_its_key_and_what_would_be_right(
    changes: dict[str, Any], key: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        space_of(**changes)
    (problem,) = caught.value.problems
    assert problem.key == key
    assert words in problem.message


def test_all_mistakes_of_a_file_come_together_each_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "task: sentiment\n"
        "trials: 0\n"
        "adapter: {kk: 3, r: 4}\n"
        "search:\n"
        "  adapter.gama: {type: float, low: 0, high: 1}\n"
        "  adapter.k:\n"
        "    type: int\n"
        "    low: 8\n"
        "    high: 1\n"
        "  adapter.lora_alpha: {type: float, low: -1, high: 1}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_space(str(path))
    found = {problem.key: problem.where for problem in caught.value.problems}
    lines = {"trials": 2, "adapter.kk": 3, "search.adapter.gama": 5, "search.adapter.k": 6}
    assert found == {
        key: f"{path}:{line}" for key, line in {**lines, "search.adapter.lora_alpha": 10}.items()
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "mrpc"},
        {"task": "custom", "data": {"path": "x.csv"}},
        {"task": None, "data": {"path": "x.csv", "kind": "classification"}},
    ],
)
def test_an_objective_may_be_any_metric_that_the_task_measures(changes: dict[str, Any]) -> None:
    assert space_of(objective={"metric": "f1"}, **changes).objective.metric == "f1"


def test_a_searched_setting_that_is_assigned_becomes_fixed(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "task: sentiment\ntrials: 3\nsearch:\n"
        "  adapter.k: {type: int, low: 1, high: 8}\n  adapter.r: {type: int, low: 1, high: 8}\n"
    )
    space = load_space(str(path), ["adapter.k=4"])
    assert space.name == "mine"
    assert list(space.search) == ["adapter.r"]
    assert space.run_config({"adapter.r": 2}).adapter.k == 4


def test_the_documented_space_is_one_and_so_are_the_keys_that_may_be_added(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    text = (root / "docs/search.md").read_text()
    block, *more = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "_glue.yaml").write_bytes((root / "search_spaces/_glue.yaml").read_bytes())
    (tmp_path / "documented.yaml").write_text(block)
    assert load_space(str(tmp_path / "documented.yaml")).name == "my-study"
    assert len(more) == 3
    for added in more:
        (tmp_path / "added.yaml").write_text(
            "task: sentiment\ntrials: 4\nsearch:\n  adapter.k: {type: int, low: 1, high: 16}\n"
            "  adapter.r: {type: int, low: 1, high: 8}\n"
            f"  adapter.target_rank: {{type: int, low: 1, high: 8}}\n{added}"
            + ("" if "rules" in added else "rules: [adapter.target_rank <= adapter.r]\n")
        )
        load_space(str(tmp_path / "added.yaml"))


def test_a_missing_space_is_a_user_error() -> None:
    with pytest.raises(UserError, match="no file nowhere.yaml"):
        load_space("nowhere.yaml")


def test_an_unused_default_cannot_clash_with_a_searched_range() -> None:
    space = space_of(adapter={"target_rank": 10}, search={"adapter.r": rank(12, 16)})
    assert space.run_config({"adapter.r": 12}).adapter.target_rank == 10


def test_what_is_written_reads_back_as_the_same_space(tmp_path: Path) -> None:
    space = space_of(search={**K, "training.lr": FLOAT}, hours=0.5)
    assert load_space(str(space.write(tmp_path))) == space


def test_python_values_pass_the_same_checks() -> None:
    with pytest.raises(ConfigError, match="no setting of that name"):
        validate_space(Source(Space(**written(search={"adapter.q": rank(1, 2)})).model_dump()))


@pytest.mark.parametrize(
    ("method", "searched"),
    [
        ("lora2", {"method", "adapter.k", "adapter.r", "adapter.gamma", "training.lr"}),
        ("adalora", {"method", "adapter.r", "adapter.gamma", "training.lr"}),
        ("lora", {"method", "adapter.r", "adapter.init_lora_weights", "training.lr"}),
        ("head-only", {"method", "training.lr"}),
    ],
)
def test_a_trial_searches_only_what_its_method_looks_at(method: str, searched: set[str]) -> None:
    search = {
        **K,
        "adapter.r": rank(4, 8),
        "adapter.gamma": FLOAT,
        "adapter.init_lora_weights": {"type": "categorical", "choices": ["default", "gaussian"]},
        "training.lr": FLOAT,
        "method": {"type": "categorical", "choices": ["lora2", "adalora", "lora", "head-only"]},
    }
    space = space_of(search=search, adapter={"target_rank": 2})
    values = {"adapter.k": 4, "adapter.r": 4, "adapter.gamma": 1e-3, "training.lr": 1e-3}
    trial = FixedTrial({**values, "adapter.init_lora_weights": "default", "method": method})
    params = space.suggest(trial)
    assert set(params) == searched
    assert space.run_config(params).method == method
    assert is_conditional(space.search)
