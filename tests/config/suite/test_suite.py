from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lora2_search.config.run import GLUE_TASKS, RunConfig, validate
from lora2_search.config.space.schema import load_space
from lora2_search.config.suite.schema import Suite, load_suite, validate_suite
from lora2_search.config.yaml import Source
from lora2_search.errors import ConfigError, UserError
from lora2_search.store.paths import shipped

PLAIN: dict[str, Any] = {
    "name": "small",
    "task": "sentiment",
    "adapter": {"target_rank": 4},
    "arms": {
        "no-regularisation": {"adapter.gamma": 0},
        "random-allocation": {"adapter.scoring": "random"},
        "head-only": {"method": "head-only"},
    },
}


# Questions of older suites asked again from the base that learns.
RECOMMENDED = {
    f"{name}_recommended" for name in ("components", "k", "orthogonality", "rank_budget", "scoring")
}

SHIPPED = {
    *RECOMMENDED,
    *("baselines", "claims", "components", "glue", "init", "k", "orthogonality", "planes"),
    *("quick", "rank_budget", "scoring", "task_types"),
    *("start", "rivals", "rivals_ratings", "llm", "metamath"),
}

# Suites whose base is not the one that the other suites on sentences share.
OWN_BASE = {
    *("glue", "baselines", "claims", "start", "rivals", "rivals_ratings"),
    *("llm", "metamath"),
    *RECOMMENDED,
}

LANGUAGE: dict[str, Any] = {
    "task": "reviews",
    "arms": {"a": {"adapter.k": 1}, "no-training": {"method": "no-training"}},
    "floor": "no-training",
}


def suite(**changes: Any) -> Suite:
    return validate_suite(Source({**PLAIN, **changes}))


def problems(**changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        suite(**changes)
    return [str(problem) for problem in caught.value.problems]


def test_every_shipped_suite_is_valid_and_there_is_one() -> None:
    files = sorted(shipped("ablations").glob("[!_]*.yaml"))
    assert {file.stem for file in files} == SHIPPED
    for file in files:
        loaded = load_suite(file.stem)
        assert loaded.name == file.stem and loaded.runs(Path())
        again = validate_suite(Source(loaded.spelled_out(), name=loaded.name))
        assert again.spelled_out() == loaded.spelled_out()


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_shipped_suite_can_decide_its_family_by_the_exact_test_or_says_so(name: str) -> None:
    made = load_suite(name)
    tests = (len(made.pairs) + len(made.contrasts)) * len(made.task_names)
    enough = 2.0 ** len(made.seed_list) >= 2 * tests / 0.05
    assert enough == (name not in ("quick", "glue", "llm", "metamath"))


def test_sentiment_suites_share_the_runs_of_their_base() -> None:
    bases = {
        load_suite(name).base.model_copy(update={"seed": 0}).fingerprint()
        for name in SHIPPED - OWN_BASE
    }
    assert len(bases) == 1


def test_the_suites_of_the_recommended_base_share_the_runs_of_theirs() -> None:
    bases = {
        load_suite(name).base.model_copy(update={"seed": 0}).fingerprint() for name in RECOMMENDED
    }
    assert len(bases) == 1


def test_glue_runs_every_task_with_the_settings_of_its_space() -> None:
    made = load_suite("glue")
    assert tuple(made.tasks) == GLUE_TASKS
    for task in GLUE_TASKS:
        assert made.run_config("base", 0, task) == load_space(task).run_config()


def test_every_shipped_suite_has_a_script_that_tells_what_it_asks() -> None:
    folder = shipped("ablations")
    assert {file.stem for file in folder.glob("[!_]*.py")} == SHIPPED
    done = subprocess.run(
        [sys.executable, folder / "k.py", "--help"], capture_output=True, text=True, check=True
    )
    assert "How wide should the outer plane be?" in done.stdout
    for name in SHIPPED:
        text = (folder / f"{name}.py").read_text()
        assert f'main("{name}", __doc__, CHANGES)' in text
        compile(text, name, "exec")


def test_the_quick_suite_is_what_its_readers_are_told() -> None:
    quick = load_suite("quick")
    assert list(quick.arms) == ["base", "no-regularisation", "random-allocation", "head-only"]
    assert quick.seed_list == list(range(6, 12)) and len(quick.runs(Path())) == 24
    assert quick.pairs == [("no-regularisation", "base"), ("random-allocation", "base")]


def test_an_arm_differs_from_the_base_by_what_it_names_and_by_nothing_else() -> None:
    made = suite()
    base = made.run_config("base", 3).model_dump()
    arm = made.run_config("no-regularisation", 3).model_dump()
    assert base["adapter"].pop("gamma") == 0.1 and arm["adapter"].pop("gamma") == 0
    assert arm == base and type(made.run_config("base", 0)) is RunConfig


def test_runs_go_seed_by_seed_with_names_that_last(tmp_path: Path) -> None:
    runs = suite(seeds=[7, 2]).runs(tmp_path)
    assert [run.key for run in runs[:5]] == [
        "base-seed7",
        "no-regularisation-seed7",
        "random-allocation-seed7",
        "head-only-seed7",
        "base-seed2",
    ]
    last = runs[-1]
    assert last.folder == tmp_path / "runs" / "head-only-seed2" and last.config.seed == 2
    assert last.name == "head-only, seed 2" and last.tags == {"arm": "head-only"}
    assert last.settings == {"method": "head-only"}
    assert max(Counter(run.config.fingerprint() for run in runs).values()) == 1


def test_a_count_of_seeds_starts_at_the_seed_of_the_base() -> None:
    assert suite(seeds=3).seed_list == [0, 1, 2]
    assert suite(seeds=3, seed=5).seed_list == [5, 6, 7]


def test_settings_of_an_arm_may_be_nested_or_dotted() -> None:
    nested = {**PLAIN["arms"], "no-regularisation": {"adapter": {"gamma": 0}}}
    assert suite(arms=nested).arms == suite().arms
    assert (
        list(suite().arms)[0] == "base" and suite(arms={**PLAIN["arms"], "base": None}) == suite()
    )


def test_an_arm_can_be_changed_from_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({k: v for k, v in PLAIN.items() if k != "name"}))
    made = load_suite(str(file), ["arms.no-regularisation.adapter.gamma=0.01", "seeds=8"])
    assert made.run_config("no-regularisation", 0).adapter.gamma == 0.01
    assert made.name == "mine" and made.seeds == 8


def test_a_stored_suite_is_the_suite(tmp_path: Path) -> None:
    made = suite(seeds=4, seed=2)
    again = load_suite(str(made.write(tmp_path)))
    assert again.spelled_out() == made.spelled_out()
    assert [run.config for run in again.runs(tmp_path)] == [
        run.config for run in made.runs(tmp_path)
    ]


ARMS = PLAIN["arms"]
NAMED = {"contrasts": {"a": {"random-allocation": 1, "no-regularisation": -1}}}
MARGIN = {"arm": "random-allocation", "margin": 0.02}
THREE, EVEN = {"resources": {"devices_per_trial": 3}}, {"batch_size": 30}
GRID = {"base": {"training.lr": [0.1, 0.2]}}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"arms": {**ARMS, "x": {"adapter.gama": 0}}}, ["arms.x.adapter.gama", "adapter.gamma"]),
        ({"arms": {**ARMS, "x": {}}}, ["arms.x", "equals base by construction", "changes nothing"]),
        ({"arms": {**ARMS, "x": {"adapter.gamma": 0.1}}}, ["arms.x", "equals base"]),
        ({"arms": {**ARMS, "x": {"adapter.gamma": [0, 0]}}}, ["equals no-regularisation"]),
        ({"arms": {**ARMS, "x": {"training.head_lr": 1e-3}}}, ["equals base by construction"]),
        ({"adapter": {}}, ["random-allocation", "nothing is pruned", "set adapter.target_rank"]),
        ({"arms": {**ARMS, "x": {"adapter.target_rank": 9}}}, ["arms.x", "at most r", "9"]),
        ({"arms": {**ARMS, "x": {"adapter.k": 0}}}, ["arms.x.adapter.k", "0"]),
        ({"arms": {**ARMS, "x": {"seed": 1}}}, ["arms.x.seed", "every seed"]),
        ({"arms": {**ARMS, "x": {"data.split_seed": 1}}}, ["share the test examples"]),
        ({"arms": {**ARMS, "x y": {"adapter.k": 1}}}, ["arms.x y", "names a folder"]),
        ({"arms": {**ARMS, "x": 3}}, ["arms.x", "dictionary", "3"]),
        ({"arms": {**ARMS, "base": {"adapter.k": 1}}}, ["arms.base", "changes nothing"]),
        ({"arms": {}, "floor": None}, ["nothing is compared"]),
        ({"arms": {"a": {"adapter.k": 1}}}, ["floor", "method: head-only", "floor: null"]),
        ({"floor": "no-regularisation"}, ["floor", "must train the head alone"]),
        ({"comparisons": [["bas", "random-allocation"]]}, ["comparisons.0", 'mean "base"']),
        ({"comparisons": [["base", "base"]]}, ["with itself"]),
        ({"comparisons": [["base", "head-only"], ["head-only", "base"]]}, ["named twice"]),
        ({"comparisons": [["base"]]}, ["must be a pair"]),
        ({"seeds": 1}, ["seeds", "one seed allows no test"]),
        ({"seeds": 0}, ["seeds", "count"]),
        ({"seeds": [1, 1]}, ["seeds", "different seeds"]),
        ({"seeds": [1, 2], "seed": 4}, ["seed", "leave `seed` out"]),
        ({"metric": "acuracy"}, ["metric", 'mean "accuracy"']),
        ({"metric": "f1"}, ["metric", "not measured"]),
        (
            {**LANGUAGE, "language": {"max_new_tokens": 0}},
            ["language.max_new_tokens", "token_accuracy", "; set language.max_new_tokens above 0"],
        ),
        (
            {**LANGUAGE, "language": {"max_new_tokens": 0}, "metric": "token_accuracy"},
            ["metric", "; set language.max_new_tokens above 0"],
        ),
        (
            {**LANGUAGE, "metric": "token_accuracy"},
            ["metric", "not computed from them; exact_match is"],
        ),
        (
            {**LANGUAGE, "tasks": {"a": {}, "b": {"language.max_new_tokens": 0}}},
            ["language.max_new_tokens above 0"],
        ),
        (
            {**LANGUAGE, "arms": {**LANGUAGE["arms"], "b": {"language.max_new_tokens": 0}}},
            ["arms.b", "set language.max_new_tokens above 0"],
        ),
        (
            {**LANGUAGE, "arms": {**LANGUAGE["arms"], "b": {"language.answer": "good"}}},
            ["arms.b.language.answer", "cannot change it", "must be judged alike"],
        ),
        (
            {**LANGUAGE, "tuning": {"arms": {"base": {"language.max_new_tokens": [0, 8]}}}},
            ["tuning.arms.base", "set language.max_new_tokens above 0"],
        ),
        (
            {**LANGUAGE, "floor": "head-only"},
            ["floor", "add `head-only: {method: no-training}` to `arms`"],
        ),
        ({"resources": {"cpus": 1}}, ["resources.cpus", "cpus_per_trial"]),
        (THREE, ["training.batch_size", "multiple of the 3 devices", "got 32"]),
        (
            {**THREE, "training": EVEN, "arms": {**ARMS, "x": {"training.batch_size": 16}}},
            ["arms.x.training.batch_size", "multiple of the 3 devices", "got 16"],
        ),
        (
            {**THREE, "training": EVEN, "tasks": {"a": {"training.batch_size": 16}}},
            ["tasks.a.training.batch_size", "multiple of the 3 devices", "got 16"],
        ),
        (
            {
                **{**THREE, "training": EVEN},
                "tuning": {"arms": {"base": {"training.batch_size": [30, 31]}}},
            },
            ["tuning.arms.base.training.batch_size", "multiple of the 3 devices", "got 31"],
        ),
        ({"name": "a/b"}, ["name", "a/b"]),
        (
            {"contrasts": {"a": {"base": 1, "random-alocation": -1}}},
            ["contrasts.a", 'mean "random'],
        ),
        ({"contrasts": {"a": {"base": 1, "random-allocation": -0.5}}}, ["sum to 0", "0.5"]),
        ({"contrasts": {"a": {"base": 0}}}, ["contrasts.a", "compares nothing"]),
        ({"contrasts": {"a": {}}}, ["contrasts.a", "compares nothing"]),
        ({"contrasts": {7: {"base": 1, "random-allocation": -2}}}, ["contrasts.7", "string"]),
        ({"contrasts": {"a": {7: 1, "base": -1}}}, ["contrasts.a.7", "string"]),
        ({"contrasts": {"a": {"base": 1, "random-allocation": float("inf")}}}, ["finite", "inf"]),
        (
            {
                "contrasts": {"a": {"base": 2, "random-allocation": -2}},
                "comparisons": [["random-allocation", "base"]],
            },
            ["contrasts.a", "comparison of random-allocation with base", "count twice"],
        ),
        (
            {
                "contrasts": {
                    **NAMED["contrasts"],
                    "b": {"no-regularisation": 0.5, "random-allocation": -0.5},
                }
            },
            ["contrasts.b", "contrast 'a'"],
        ),
        ({"equivalence": [{**MARGIN, "margin": 0}]}, ["equivalence.0.margin", "between 0 and 1"]),
        (
            {"equivalence": [{**MARGIN, "margin": 2}]},
            ["equivalence.0.margin", "0.02 is two points"],
        ),
        ({"floor": "base"}, ["floor", "an arm other than base"]),
        ({"seeds": [10**23, 2]}, ["seeds", "at most 4294967295"]),
        (
            {
                "tuning": {"arms": {"base": {"training.lr": [1e-2, 4e-2]}}},
                "arms": {**ARMS, "hi": {"training.lr": 4e-2}},
            },
            ["tuning.arms.base", "arm hi equals base"],
        ),
        ({"equivalence": [{**MARGIN, "arm": "x"}]}, ["equivalence.0", "no arm 'x'"]),
        ({"equivalence": [{**MARGIN, "arm": "base"}]}, ["equivalence.0", "with itself"]),
        ({"equivalence": [MARGIN, {**MARGIN, "margin": 0.1}]}, ["equivalence.1", "one margin"]),
        ({"equivalence": [{**MARGIN, "margins": 1}]}, ["equivalence.0.margins", "margin"]),
        ({"sequential": {"first": 8, "most": 6}}, ["sequential", "first=8, most=6"]),
        ({"tasks": {"a": {"adapter.kk": 1}}}, ["tasks.a.adapter.kk", "no setting of that name"]),
        ({"tasks": {"a": {"seed": 1}}}, ["tasks.a.seed", "every seed"]),
        ({"tasks": {"a.b": {}}}, ["tasks.a.b", "'_' and '-'"]),
        ({"tasks": {"a": {}, "b": {"adapter.k": [8]}}}, ["tasks.b", "equals task a"]),
        ({"tasks": {"a": {"adapter.k": 0}}}, ["tasks.a.adapter.k", "0"]),
        (
            {"tasks": {"a": {}, "b": {"adapter.target_rank": None}}},
            ["tasks.b", "arm random-allocation equals base", "nothing is pruned"],
        ),
        (
            {
                "tasks": {"a": {}, "b": {"adapter.r": 4, "adapter.target_rank": 2}},
                "arms": {**ARMS, "x": {"adapter.target_rank": 6}},
            },
            ["tasks.b", "arm x cannot run on it", "at most r"],
        ),
        ({"tasks": {"a": {}}, "metric": "f1"}, ["metric", "not measured"]),
        ({"tuning": {"arms": {"x": {"training.lr": [0.1, 0.2]}}}}, ["tuning.arms.x", "no arm"]),
        (
            {"tuning": {"arms": {**GRID, "head-only": {"training.head_lr": [0.1, 0.2, 0.3]}}}},
            ["same number of trials", "base 2, head-only 3"],
        ),
        ({"tuning": {"arms": {"base": {"training.lr": [0.1]}}}}, ["training.lr", "two different"]),
        ({"tuning": {"arms": {"base": {"training.lrr": [1, 2]}}}}, ["training.lrr", "no setting"]),
        ({"tuning": {"arms": {"base": {}}}}, ["tuning.arms.base", "at least 1"]),
        ({"tuning": {"arms": GRID, "seeds": [3, 90]}}, ["tuning.seeds", "of its own", "[3]"]),
        (
            {"tuning": {"arms": {"head-only": {"adapter.k": [2, 4]}}}},
            ["tuning.arms.head-only", "equals trial"],
        ),
        ({"tuning": {"arms": GRID}, "tasks": {"a": {}}}, ["tuning", "a suite for each task"]),
        ({"cells": {"main": {"x": {"a": "b"}}}}, ["cells.main.x", "no arm 'x'"]),
        ({"comparisons": [], **NAMED, "seeds": 1, "floor": None}, ["one seed allows no test"]),
        ({"zzz": 1}, ["zzz", "unknown key", "designs"]),
    ],
)
def test_a_wrong_suite_says_what_is_wrong_and_what_would_be_right(
    changes: dict[str, Any], words: list[str]
) -> None:
    told = problems(**changes)
    assert len(told) == 1
    assert [word for word in words if word not in told[0]] == []


def test_all_mistakes_come_together_each_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "task: sentiment\n"
        "adapter: {k: 0.5, target_rank: 4}\n"
        "arms:\n"
        "  a: {adapter.gama: 0}\n"
        "  b: {training: {lrr: 0.1}}\n"
        "  c: 3\n"
        "seeds: 1\n"
        "foo: 1\n"
        "comparisons: [[a, c], [a, d]]\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_suite(str(file))
    told = {(p.where.rpartition(":")[2], p.key) for p in caught.value.problems}
    assert told == {
        ("2", "adapter.k"),
        ("4", "arms.a.adapter.gama"),
        ("5", "arms.b.training.lrr"),
        ("6", "arms.c"),
        ("7", "seeds"),
        ("8", "foo"),
        ("9", "comparisons.1"),
        (told_file(file), "floor"),
    }


def told_file(file: Path) -> str:
    return str(file)


def test_one_seed_is_enough_when_no_test_is_asked() -> None:
    arms = {"a": {"adapter.k": 1}}
    assert suite(arms=arms, seeds=1, comparisons=[], floor=None).pairs == []


def test_an_unknown_suite_is_answered_with_those_that_ship() -> None:
    with pytest.raises(UserError, match="quick"):
        load_suite("quik")


@given(st.integers(1, 40), st.integers(0, 50))
def test_no_two_runs_share_a_key_or_a_fingerprint(seeds: int, first: int) -> None:
    made = suite(seeds=max(2, seeds), seed=first)
    runs = made.runs(Path("x"))
    assert len({run.key for run in runs}) == len(runs) == 4 * len(made.seed_list)


TASKS: dict[str, dict[str, Any]] = {
    "own": {},
    "shallow": {"model.layers": 4, "training": {"epochs": 1.0}},
}


def test_every_arm_runs_every_seed_under_each_task(tmp_path: Path) -> None:
    runs = suite(tasks=TASKS, seeds=[7, 2]).runs(tmp_path)
    assert len(runs) == 2 * 2 * 4
    assert [run.key for run in runs[3:5]] == ["own.head-only-seed7", "shallow.base-seed7"]
    last = runs[-1]
    assert last.folder == tmp_path / "runs" / "shallow.head-only-seed2"
    assert last.tags == {"arm": "head-only", "task": "shallow"}
    assert last.name == "shallow: head-only, seed 2"
    assert (last.config.model.layers, last.config.training.epochs) == (4, 1.0)
    assert last.settings == {"method": "head-only"}


def test_an_arm_has_the_last_word_over_a_task() -> None:
    made = suite(tasks={"a": {}, "b": {"adapter.gamma": 0.3}})
    assert made.run_config("base", 0, "b").adapter.gamma == 0.3
    assert made.run_config("no-regularisation", 0, "b").adapter.gamma == 0


def test_differences_are_those_of_the_resolved_runs() -> None:
    arms = {
        **ARMS,
        "flat": {"adapter": {"k": [], "gamma": 0.1}},
        "dora": {"method": "dora", "adapter.rank_pattern": {"query": 2, "output.dense": 3}},
    }
    told = suite(arms=arms).differences()
    assert told["base"] == {} and told["flat"] == {"adapter.k": (8, [])}
    assert told["head-only"] == {"method": ("lora2", "head-only")}
    assert told["dora"] == {
        "method": ("lora2", "dora"),
        "adapter.rank_pattern": (None, {"query": 2, "output.dense": 3}),
    }


TUNING = {"seeds": 2, "arms": {**GRID, "head-only": {"training.head_lr": [0.3, 0.4]}}}


def test_tuning_gives_every_arm_the_same_trials_with_seeds_of_their_own(tmp_path: Path) -> None:
    made = suite(tuning=TUNING)
    runs = made.tuning_runs(tmp_path)
    assert [run.key for run in runs[:5]] == [
        "tuning.base-0-seed1000",
        "tuning.base-1-seed1000",
        "tuning.head-only-0-seed1000",
        "tuning.head-only-1-seed1000",
        "tuning.base-0-seed1001",
    ]
    assert len(runs) == 8 and runs[1].config.training.lr == 0.2
    assert runs[1].folder == tmp_path / "tuning" / "base-1-seed1000"
    assert runs[3].tags == {"arm": "head-only", "trial": "1", "phase": "tuning"}
    assert not {run.config.seed for run in runs} & {run.config.seed for run in made.runs(tmp_path)}
    assert suite().tuning_runs(tmp_path) == []


def test_arms_are_tuned_by_validation_scores_and_compared_by_test_scores(tmp_path: Path) -> None:
    made = suite(tuning=TUNING, metric="accuracy")
    assert {(run.split, run.metric) for run in made.runs(tmp_path)} == {("test", "accuracy")}
    tuning = {(run.split, run.metric) for run in made.tuning_runs(tmp_path)}
    assert tuning == {("validation", "accuracy")}


def test_what_tuning_chose_becomes_the_arms_own(tmp_path: Path) -> None:
    made = suite(tuning=TUNING)
    tuned = made.with_tuned({"base": {"training.lr": 0.2}, "head-only": {"training.head_lr": 0.3}})
    assert tuned.tuning_runs(tmp_path) == [] and tuned.tuned is not None
    assert tuned.run_config("base", 0).training.lr == 0.2
    # An arm that is not tuned goes on differing from the base by what it names, and nothing else.
    assert tuned.run_config("no-regularisation", 0).training.lr == 0.2
    assert tuned.arms["head-only"] == {"method": "head-only", "training.head_lr": 0.3}
    assert load_suite(str(tuned.write(tmp_path))).spelled_out() == tuned.spelled_out()


def test_a_suite_with_a_design_is_no_space_and_no_run() -> None:
    with pytest.raises(ConfigError, match="an ablation suite; use ablate --suite"):
        validate(Source({"task": "sentiment", "design": "grid", "factors": {}}), RunConfig)
