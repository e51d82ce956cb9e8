from __future__ import annotations

from pathlib import Path

import pytest

from lora2_search.config.yaml import Source
from lora2_search.experiments.request import with_location
from tests.support.requests import asked_run, asked_space, asked_suite


def test_paths_are_absolute_wherever_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bert").mkdir()
    for name in ("d.csv", "t.csv"):
        (tmp_path / name).touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    data = {
        "data": {"path": "d.csv", "test_path": "~/t.csv", "label": "d.csv", "text": ["d.csv"]},
        "model": {"name_or_path": "bert"},
        "arms": {"other": {"model.name_or_path": "./bert", "adapter.k": 4}},
        "tasks": {"b": {"data": {"path": "absent.csv"}}},
        "factors": {"model.name_or_path": ["bert", "org/bert"]},
        "search": {"model.name_or_path": {"type": "categorical", "choices": ["bert", "minilm"]}},
    }
    bert = str(tmp_path / "bert")
    assert with_location(Source(data)).data == {
        "data": {
            **{"path": str(tmp_path / "d.csv"), "test_path": str(tmp_path / "t.csv")},
            **{"label": "d.csv", "text": ["d.csv"]},
        },
        "model": {"name_or_path": bert},
        "arms": {"other": {"model.name_or_path": bert, "adapter.k": 4}},
        "tasks": {"b": {"data": {"path": "absent.csv"}}},
        "factors": {"model.name_or_path": [bert, "org/bert"]},
        "search": {"model.name_or_path": {"type": "categorical", "choices": [bert, "minilm"]}},
    }


def test_what_is_stored_of_a_request_leads_to_its_files_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.csv").touch()
    run = "data: {path: d.csv}\n"
    more = {
        "space": "trials: 4\nsearch: {adapter.k: {type: int, low: 1, high: 8}}\n",
        "suite": "seeds: 2\narms: {a: {adapter.k: 4}, head-only: {method: head-only}}\n",
    }
    for name, text in {"run": "", **more}.items():
        (tmp_path / f"{name}.yaml").write_text(run + text)
    plans = [
        asked_run("run.yaml").plan.config,
        asked_run("run.yaml", overrides=["data.path=./d.csv"]).plan.config,
        asked_space("space.yaml").plan,
        asked_suite("suite.yaml").plan,
    ]
    assert [plan.data.path for plan in plans] == [str(tmp_path / "d.csv")] * 4
