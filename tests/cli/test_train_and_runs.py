"""``train`` and what looks at it afterwards, on a tiny model and a file of sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from lora2_search import api
from lora2_search.cli.app import app
from lora2_search.store.record import read_record


@pytest.fixture
def settings(tiny_bert: Path, reviews_csv: Path, tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    content = {
        "task": "custom",
        "data": {"path": str(reviews_csv), "text": ["review"], "label": "verdict"},
        "model": {"name_or_path": str(tiny_bert)},
        "adapter": {"k": 4, "r": 4, "target_rank": 2},
        "training": {"steps": 6, "evaluations": 2, "device": "cpu"},
    }
    path.write_text(yaml.safe_dump(content))
    return path


def cli(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_run_is_trained_listed_shown_delivered_and_never_overwritten(
    settings: Path, home_with_store: Path
) -> None:
    result = cli("train", "--config", settings, "--name", "mine", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    record = read_record(home_with_store / "runs" / "mine")
    assert record is not None
    assert told["scores"] == record.scores
    assert Path(told["adapter"]).is_dir()
    assert "mine step 6/6" in result.stderr

    listed = json.loads(cli("runs", "list", "--json").stdout)
    assert [(row["name"], row["kind"], row["runs"]) for row in listed] == [
        ("mine", "run", "1 completed")
    ]
    shown = json.loads(cli("runs", "show", "mine", "--json").stdout)
    assert shown["runs"][0]["test"] == record.score("test")
    table = cli("runs", "show", "mine").stdout
    assert "6/6" in table, table
    assert "intermediate.dense" in table, table
    assert shown["runs"][0]["flags"] == [flag.model_dump() for flag in record.flags]
    assert shown["runs"][0]["peak MB"] == record.peak_memory_mb

    synced = cli("runs", "sync", "mine", "--json")
    assert synced.exit_code == 0, synced.output
    assert json.loads(synced.stdout)["mine"]["runs"] == 1
    assert "is a single run" in cli("report", "mine").stderr

    again = cli("train", "--config", settings, "--name", "mine")
    assert again.exit_code == 2
    assert "a run named mine exists" in again.stderr
    resumed = cli("train", "--resume", "mine", "--json")
    assert json.loads(resumed.stdout)["scores"] == record.scores


def test_ctrl_c_says_how_to_go_on_and_the_rest_is_made_up(
    settings: Path, home_with_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora2_search.cli.console.live import LiveView

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(LiveView, "reported", interrupt)
        result = cli("train", "--config", settings, "--name", "mine")
    assert result.exit_code == 130
    assert "resume with: lora2-search train --resume mine" in result.stderr
    assert "Traceback" not in result.output
    resumed = cli("train", "--resume", "mine")
    assert resumed.exit_code == 0, resumed.output
    record = read_record(home_with_store / "runs" / "mine")
    assert record is not None
    assert record.status == "completed"
    assert [point.step for point in record.history] == [1, 2, 3, 4, 5, 6]


def test_a_run_that_diverges_exits_with_2_and_its_record_says_so(
    settings: Path, home_with_store: Path
) -> None:
    result = cli("train", "--config", settings, "--name", "mine", "--set", "training.lr=1e30")
    assert result.exit_code == 2, result.output
    assert "finite" in result.stderr
    record = read_record(home_with_store / "runs" / "mine")
    assert record is not None
    assert record.status == "failed"


def test_the_python_api_trains_the_same_run(settings: Path, home_with_store: Path) -> None:
    told = json.loads(cli("train", "--config", settings, "--json").stdout)
    record = api.train(settings)
    assert record.fingerprint == told["fingerprint"]
    assert record.scores == told["scores"]


def test_nothing_run_yet_is_said(own_home: Path) -> None:
    result = cli("runs", "list")
    assert result.exit_code == 0
    assert "no runs yet" in result.stdout
    assert json.loads(cli("runs", "list", "--json").stdout) == []
