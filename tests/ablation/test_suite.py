from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lora2_search.ablation.suite import Suite, load_suite, validate_suite
from lora2_search.config import RunConfig
from lora2_search.errors import ConfigError, UserError
from lora2_search.home import shipped
from lora2_search.source import Source

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


def suite(**changes: Any) -> Suite:
    return validate_suite(Source({**PLAIN, **changes}))


def problems(**changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        suite(**changes)
    return [str(problem) for problem in caught.value.problems]


def test_every_shipped_suite_is_valid_and_there_is_one() -> None:
    files = sorted(shipped("ablations").glob("*.yaml"))
    assert "quick" in [file.stem for file in files]
    for file in files:
        loaded = load_suite(file.stem)
        assert loaded.name == file.stem and loaded.runs(Path())


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
        ({"arms": {**ARMS, "x": {"data.split_seed": 1}}}, ["share the test sentences"]),
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
        ({"resources": {"cpus": 1}}, ["resources.cpus", "cpus_per_trial"]),
        ({"name": "a/b"}, ["name", "a/b"]),
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
