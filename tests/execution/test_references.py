from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lora2_search.config.space.references import reference_runs
from lora2_search.config.space.schema import load_space, validate_space
from lora2_search.config.yaml import read_yaml
from lora2_search.errors import ConfigError
from lora2_search.search.study import load_study, run_study
from lora2_search.store.paths import shipped
from tests.support.spaces import space_of
from tests.support.stand_in import Recorder, StandIn

LORA = {"method": "lora", "training.lr": 1e-3}


def test_references_are_run_once_first_and_outside_the_search(
    tmp_path: Path, ray_here: None
) -> None:
    seen, again = Recorder(), Recorder()
    space = space_of(references={"lora": LORA}, trials=2, resources={"concurrent": 1})
    study = run_study(space, storage=tmp_path, observers=[seen], trainable=StandIn)
    assert list(seen.of("started")) == ["head-only", "lora", "00000", "00001"]
    assert [trial.number for trial in study.trials] == [0, 1]
    assert study.references["lora"].config["method"] == "lora"
    assert study.references["lora"].config["training"]["lr"] == 1e-3
    assert study.reference is not None and study.reference.config["method"] == "head-only"

    run_study(space, storage=tmp_path, resume=True, observers=[again], trainable=StandIn)
    steps = (study.folder / "reference" / "lora" / "steps.jsonl").read_text().splitlines()
    assert len(steps) == space.training.evaluations
    assert load_study("tiny", tmp_path).references == study.references


@pytest.mark.parametrize(
    "written",
    [LORA, {"method": "lora", "training": {"lr": 1e-3}}],
    ids=["dotted", "nested"],
)
def test_settings_of_a_reference_are_dotted_or_nested(written: dict[str, Any]) -> None:
    space = space_of(references={"lora": written}, objective={"metric": "accuracy"})
    head, lora = reference_runs(space, Path("study"))
    assert (head.key, head.config.method) == ("head-only", "head-only")
    assert (lora.key, lora.config.method, lora.config.training.lr) == ("lora", "lora", 1e-3)
    assert lora.settings == LORA and lora.metric == "accuracy"
    assert lora.folder == Path("study/reference/lora")
    assert (space.outside, space.runs) == (["head-only", "lora"], 6)


def test_a_space_without_references_compares_with_the_head_alone() -> None:
    assert space_of().outside == ["head-only"]
    assert load_space("quickstart", ["references=null"]).outside == ["head-only"]
    assert space_of(method="head-only").outside == []


@pytest.mark.parametrize(
    ("references", "key", "words"),
    [
        ({"a": {"training.lrr": 1}}, "references.a.training.lrr", 'did you mean "training.lr"?'),
        ({"a": {"training.lr": -1}}, "references.a.training.lr", "greater than 0"),
        ({"a": {"data.split_seed": 1}}, "references.a.data.split_seed", "as in the trials"),
        ({"a": {"method": "adalora"}}, "references.a", "must end below the rank"),
        (
            {"head-only": {"method": "head-only"}},
            "references.head-only",
            "already trained beside every search",
        ),
        ({"00001": LORA}, "references.00001", "must begin with a letter"),
        ({"a/b": LORA}, "references.a/b", "must begin with a letter"),
        ({"a": None}, "references.a", "must be a valid dictionary"),
    ],
)
def test_a_reference_that_cannot_run_is_refused_where_it_stands(
    references: dict[str, Any], key: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        space_of(references=references)
    found = {problem.key: problem.message for problem in caught.value.problems}
    assert words in found[key]


def test_a_mistake_in_a_reference_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\ntask: sentiment\ntrials: 2\n"
        "search: {adapter.k: {type: int, low: 1, high: 4}}\n"
        "references:\n  lora:\n    method: lora\n    training.lr: -1\n"
    )
    with pytest.raises(ConfigError, match=r"mine\.yaml:8: references\.lora\.training\.lr"):
        validate_space(read_yaml(file))


def test_the_quickstart_compares_with_plain_lora_at_the_default_rate() -> None:
    from lora2_search.config.schema import TrainingConfig

    assert (shipped("search_spaces") / "quickstart.yaml").is_file()
    _, lora = reference_runs(load_space("quickstart"), Path("study"))
    assert (lora.config.method, lora.config.training.lr) == ("lora", TrainingConfig().lr)
