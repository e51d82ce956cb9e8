"""``verify`` on a tiny model and a file of sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lora2_search.cli.app import app
from lora2_search.experiments import verify as module
from lora2_search.tracking.uri import DATABASE


def cli(model: Path, data: Path, *more: object) -> Result:
    settings = {
        "data.text": "[review]",
        "data.label": "verdict",
        "data.train_size": 64,
        "adapter.k": 4,
        "adapter.r": 4,
        "adapter.target_rank": 2,
        "training.steps": 8,
        "training.device": "cpu",
    }
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    arguments = ["verify", "--model", model, "--data", data, *sets, "--quick", *more]
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--only", "marge"), "no check named 'marge'; did you mean \"merge\"?"),
        (("--seeds", 0), "--seeds must be at least 1"),
        (("--workers", 0), "--workers must be at least 1"),
        (("--set", "adapter.target_rank=4"), "adapter.target_rank: must be below r=4"),
        (("--set", "data.label=verdct"), 'did you mean "verdict"'),
    ],
)
def test_mistakes_leave_nothing_behind(
    more: tuple[object, ...], message: str, tiny_bert: Path, reviews_csv: Path, own_home: Path
) -> None:
    result = cli(tiny_bert, reviews_csv, *more)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert not (own_home / "verifications").exists()
    assert not (own_home / DATABASE).exists()


def test_ctrl_c_says_what_is_lost_and_how_to_go_on(
    tiny_bert: Path, reviews_csv: Path, home_with_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "verify", interrupted)
    result = cli(tiny_bert, reviews_csv)
    assert result.exit_code == 130
    assert "unfinished runs are lost, finished ones are kept" in result.stderr
    assert "the same command continues" in result.stderr


@pytest.mark.slow
def test_a_verification_is_one_mlflow_run_and_is_taken_up_part_by_part(
    tiny_bert: Path, reviews_csv: Path, home_with_store: Path
) -> None:
    some = ("--only", "start", "--only", "merge", "--seeds", 1, "--json")
    first = cli(tiny_bert, reviews_csv, *some, "--workers", 1)
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    assert [(row["check"], row["verdict"]) for row in told["rows"]] == [
        ("start", "holds"),
        ("merge", "holds"),
    ]
    assert Path(told["page"]).is_file()

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{home_with_store / DATABASE}")
    experiment = client.get_experiment_by_name(f"lora2_search/verifications/{told['name']}")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    merged = told["rows"][1]["numbers"]["merged_own"]
    assert run.data.metrics["merge/merged_own"] == pytest.approx(merged)
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert names == {"verification.html", "rows.json"}

    again = cli(tiny_bert, reviews_csv, *some)
    assert "2 of 2 parts were measured earlier" in again.stderr
    assert json.loads(again.stdout)["rows"] == told["rows"]
    assert len(client.search_runs([experiment.experiment_id])) == 1


@pytest.mark.slow
def test_the_number_of_workers_changes_no_number(
    tiny_bert: Path, reviews_csv: Path, home_with_store: Path, tmp_path: Path
) -> None:
    rows = []
    for workers in (1, 2):
        out = tmp_path / str(workers)
        checks = ("--only", "planes", "--only", "truth", "--only", "pruning")
        result = cli(tiny_bert, reviews_csv, *checks, "--workers", workers, "--out", out, "--json")
        assert result.exit_code == 0, result.output
        rows.append([row["numbers"] for row in json.loads(result.stdout)["rows"]])
        assert (out / "verification.html").is_file()
    assert rows[0] == rows[1]
