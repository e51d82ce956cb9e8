"""What Tab offers: by the functions, and once through bash as it would ask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lora2_search.cli import completion
from lora2_search.config.run import setting_fields
from lora2_search.config.space.schema import load_space
from lora2_search.config.suite.schema import WRITTEN_KEYS, Suite


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORA2_SEARCH_HOME", str(tmp_path / "home"))
    for run in (
        "studies/quick/trials/00003",
        "studies/quick/trials/00000",
        "studies/quick/seeds/3-seed1",
        "suites/quest/runs/base-seed0",
        "runs/alone",
    ):
        folder = tmp_path / "home" / run
        folder.mkdir(parents=True)
        (folder / "record.json").write_text("{}")
    return tmp_path / "home"


def test_names_are_of_what_was_run_and_of_the_runs_in_it(home: Path) -> None:
    assert completion.names("") == ["alone", "quest", "quick"]
    assert completion.names("qui") == ["quick"]
    assert completion.studies("") == ["quick"]
    assert completion.resumable("a") == ["alone"]
    assert completion.names("quick/") == ["quick/0", "quick/3", "quick/3-seed1"]
    assert completion.names("quest/b") == ["quest/base-seed0"]
    assert completion.names("nothing/") == []


def test_files_are_the_shipped_ones_and_those_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "rate.yaml").touch()
    (tmp_path / "mine" / "notes.txt").touch()
    (tmp_path / "rates.yml").touch()
    assert completion.spaces("rt") == ["rte"]
    assert completion.spaces("ra") == ["rates.yml"]
    (tmp_path / "two words.yaml").touch()
    assert [completion.spaces(word) for word in ("mi", "mine/", "./ra", "~/", "two", "/tm")] == [
        []
    ] * 6
    assert "components" in completion.suites("comp")
    assert not [word for word in completion.suites("_")]


def test_settings_come_with_the_sign_that_assigns() -> None:
    assert "adapter.k=" in completion.settings("adapter.")
    assert completion.settings("adapter.kk") == []
    assert completion.settings("trials") == []


def test_a_space_and_a_suite_offer_keys_of_their_own_too() -> None:
    assert completion.space_settings("adapter.k") == completion.settings("adapter.k")
    assert completion.space_settings("tr")[-1] == "trials="
    assert completion.space_settings("w") == ["winner=", "winner.top=", "winner.seeds="]
    assert "resources.concurrent=" in completion.suite_settings("resources.")
    assert completion.suite_settings("tuning.t") == ["tuning.total=", "tuning.total=null"]
    assert "trials=" not in completion.suite_settings("")


def test_of_the_only_setting_left_values_are_offered() -> None:
    assert completion.settings("adapter.k") == ["adapter.k=", "adapter.k=8"]
    assert completion.settings("adapter.k=8") == ["adapter.k=8"]
    assert completion.settings("adapter.k=99") == []
    assert completion.space_settings("scheduler.by=") == [
        *("scheduler.by=", "scheduler.by=steps", "scheduler.by=data")
    ]
    assert completion.space_settings("sampler.name=g") == ["sampler.name=gp", "sampler.name=grid"]
    assert completion.space_settings("rac") == ["race=", "race=true", "race=false"]
    assert "seeds=" in completion.space_settings("seed")
    assert completion.space_settings("seed=") == ["seed=", "seed=0"]


def test_what_is_offered_can_be_assigned() -> None:
    plain = {"trials": 3, "seeds": 2, "winner.top": 2, "sampler.seed": 1, "race": False}
    assert {f"{name}=" for name in plain} <= {*completion.space_settings("")}
    settings = [f"{name}={json.dumps(value)}" for name, value in plain.items()]
    space = load_space("quickstart", settings)
    assert space.winner is not None
    assert (space.trials, space.seeds, space.winner.top, space.sampler.seed) == (3, 2, 2, 1)


def test_what_ablate_writes_into_a_suite_is_not_offered() -> None:
    assert WRITTEN_KEYS <= {*setting_fields(Suite)}
    assert not {f"{name}=" for name in WRITTEN_KEYS} & {*completion.suite_settings("")}


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("lora2-search tu", "tune"),
        ("lora2-search tune --space quicks", "quickstart"),
        ("lora2-search runs show qui", "quick"),
        ("lora2-search tune --set adapter.k", "adapter.k="),
        ("lora2-search tune --set sampler.n", "sampler.name="),
        ("lora2-search ablate --set sequential.m", "sequential.most="),
    ],
)
def test_bash_is_offered_verbs_names_and_settings(home: Path, typed: str, offered: str) -> None:
    words = typed.split()
    asking = {
        "_LORA2_SEARCH_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(words) - 1),
    }
    answer = subprocess.run(
        [sys.executable, "-m", "lora2_search"],
        env={**os.environ, **asking},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert offered in answer.stdout.split(), answer.stderr
