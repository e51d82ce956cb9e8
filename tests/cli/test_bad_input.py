"""The rows of "bad input": exit code 2, what was wrong and what would be right, nothing written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from lora2_search.cli.app import app
from lora2_search.store.paths import HOME_VARIABLE


def space(model: Path, data: Path, **more: Any) -> dict[str, Any]:
    return {
        "task": "custom",
        "data": {"path": str(data), "text": ["review"], "label": "verdict"},
        "model": {"name_or_path": str(model)},
        "search": {"training.lr": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}},
        "trials": 2,
        **more,
    }


@pytest.fixture
def model(tiny_bert: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_bert, tmp_path / "model")


def tune(path: Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["tune", "--space", str(path), *more])


def refused(result: Result, home: Path, *words: str) -> None:
    assert result.exit_code == 2, (result.output, result.exception)
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert "begins" not in result.stderr
    for word in words:
        assert word in result.stderr
    assert "; options: lora2-search " in result.stderr
    assert not [path for path in home.rglob("*") if path.is_file()]


def lr(**changes: Any) -> dict[str, Any]:
    setting = {"type": "float", "low": 1e-3, "high": 1e-2, "log": True, **changes}
    return {"search": {"training.lr": setting}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"adaptr": {"k": 4}}, ["adaptr: unknown key", '"adapter"']),
        ({"adapter": {"target_rnk": 4}}, ["adapter.target_rnk: unknown key", '"target_rank"']),
        ({"adapter": {"k": "four"}}, ["adapter.k: must be a valid integer, but got 'four'"]),
        (lr(low=0.1, high=0.01), ["search.training.lr", "`low` must be less than `high`"]),
        (lr(low=0), ["search.training.lr", "`low` must be above 0 when `log` is true"]),
        (lr(log=False, low=-1.0), ["search.training.lr", "training.lr=-1.0 is not a valid value"]),
        ({"search": {"adapter.kk": {"type": "int", "low": 1, "high": 2}}}, ['"adapter.k"']),
        ({"search": {}}, ["search: nothing is searched"]),
        ({"task": "rtee"}, ["task: must be 'cola'", "but got 'rtee'"]),
        ({"adapter": {"t_init": 0.5, "t_final": 0.5}}, ["t_init + t_final must be less than"]),
        ({"adapter": {"r": 4, "target_rank": 5}}, ["target_rank must be at most r"]),
        ({"trials": 0}, ["trials: must be greater than or equal to 1, but got 0"]),
        ({"trials": None}, ["trials: set `trials`, `hours` or both"]),
        ({"model": {"name_or_path": "/absent/model"}}, ["model.name_or_path: no folder /absent"]),
        ({"model": {"name_or_path": "some/model"}}, ["cannot get some/model from the hub"]),
    ],
)
def test_a_wrong_space_is_refused(
    changes: dict[str, Any],
    words: list[str],
    model: Path,
    reviews_csv: Path,
    tmp_path: Path,
    own_home: Path,
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**space(model, reviews_csv), **changes}))
    refused(tune(path), own_home, *words)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"path": "absent.csv"}, "data.path: no file absent.csv"),
        ({"text": ["reveiw"]}, 'did you mean "review"?'),
        ({"label": "verdct"}, 'did you mean "verdict"?'),
        ({"validation_size": 500}, "leaves nothing to train on"),
    ],
)
def test_a_wrong_file_or_column_is_refused(
    data: dict[str, Any],
    words: str,
    model: Path,
    reviews_csv: Path,
    tmp_path: Path,
    own_home: Path,
) -> None:
    content = space(model, reviews_csv)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**content, "data": {**content["data"], **data}}))
    refused(tune(path), own_home, words)


def test_what_is_found_in_model_and_data_comes_together_with_file_and_line(
    reviews_csv: Path, tmp_path: Path, own_home: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "task: custom\n"
        "data:\n"
        f"  path: {reviews_csv}\n"
        "  text: [reveiw]\n"
        "  label: verdct\n"
        "model: {name_or_path: /absent}\n"
        "search: {training.lr: {type: float, low: 0.001, high: 0.01}}\n"
        "trials: 2\n"
    )
    found = [f"{path}:4: data.text.0: no column", f"{path}:5: data.label: no column"]
    found += [f"{path}:6: model.name_or_path: no folder", "3 problems"]
    for more in ([], ["--dry-run"]):
        refused(tune(path, *more), own_home, *found)


def test_more_gpus_than_there_are_is_said_by_a_dry_run_with_its_line(
    model: Path, reviews_csv: Path, tmp_path: Path, own_home: Path
) -> None:
    path = tmp_path / "mine.yaml"
    content = space(model, reviews_csv)
    path.write_text(yaml.safe_dump(content) + "resources: {gpus_per_trial: 99}\n")
    line = len(path.read_text().splitlines())
    words = f"{path}:{line}: resources.gpus_per_trial: a run asks for 99 GPUs, but no node has"
    refused(tune(path, "--dry-run"), own_home, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("task: [rte\n", ["mine.yaml:2", "invalid YAML"]),
        ("task: rte\ntask: cola\n", ["mine.yaml:2: task: written twice (first at line 1)"]),
        ("a: !!python/object/apply:os.system ['exit 1']\n", ["mine.yaml:1", "never code"]),
        ("extends: mine.yaml\n", ["extend each other"]),
        ("- rte\n", ["must be a mapping of settings"]),
    ],
)
def test_a_broken_file_is_refused_with_its_line(
    text: str, words: list[str], tmp_path: Path, own_home: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    refused(tune(path), own_home, *words)


def test_all_mistakes_of_a_file_come_together_with_file_and_line(
    tmp_path: Path, own_home: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "task: sentiment\n"
        "adaptr: {}\n"
        "training:\n"
        "  lr: fast\n"
        "search:\n"
        "  adapter.k: {type: int, low: 8, high: 2}\n"
        "trials: 0\n"
    )
    result = tune(path, "--set", "seed=-1")
    places = [f"{path}:2: adaptr", f"{path}:4: training.lr", f"{path}:6: search", f"{path}:7: tri"]
    refused(result, own_home, *places, "--set seed=-1: seed", "5 problems")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tune"], ["--space quickstart.yaml"]),
        (["tune", "--space", "quickstrt.yaml"], ["no file quickstrt.yaml", '"quickstart.yaml"']),
        (["tune", "--space", "."], [". is a folder"]),
        (["tune", "--space", "rte.yaml", "--resume", "x"], ["--resume x without a file"]),
        (["tune", "--resume", "absent"], ["no study named absent", "there are no studies yet"]),
        (["tune", "--space", "rte", "--name", "../x"], ["name: must begin with a letter or"]),
        (["tune", "--space", "rte", "--trials", "0"], ["--set trials=0: trials"]),
        (["tune", "--space", "rte", "--set", "adapter.k"], ["--set adapter.k: must read"]),
        (["tune", "--space", "rte", "--tracking-uri", "ftp://x"], ["--tracking-uri must be"]),
        (["ablate"], ["--suite quick"]),
        (["ablate", "--suite", "quik"], ["no file quik", '"quick"']),
        (["ablate", "--resume", "absent"], ["no suite named absent"]),
        (["ablate", "--suite", "quick", "--set", "seeds=0"], ["seeds"]),
        (["ablate", "--suite", "quick", "--add-seeds", "5"], ["--resume NAME with --add-seeds N"]),
        (["ablate", "--suite", "quick", "--from-study", "x"], ["name one of the three"]),
        (["ablate", "--from-study", "absent"], ["no study named absent"]),
        (["ablate", "--resume", "absent", "--dry-run"], ["no suite named absent"]),
        (
            ["ablate", "--suite", "quick", "--until-decided", "--set", "comparisons=[]"],
            ["names no comparison, contrast or equivalence"],
        ),
        (
            ["ablate", "--suite", "quick", "--until-decided", "--set", "sequential.most=2"],
            ["sequential", "`most` must be at least `first`"],
        ),
        (["train"], ["--config"]),
        (["train", "--config", "absent.yaml"], ["absent.yaml: cannot be read"]),
        (["train", "--trial", "3"], ["--from-study"]),
        (["train", "--resume", "absent"], ["no run named absent"]),
        (["train", "--from-study", "absent"], ["no study named absent"]),
        (["report", "absent"], ["nothing called absent"]),
        (["runs", "show", "absent"], ["nothing called absent"]),
        (["runs", "sync", "absent"], ["nothing called absent"]),
        (["ui", "absent"], ["nothing called absent"]),
        (["ui", "--port", "99999"], ["--port must be between 1 and 65535"]),
    ],
)  # fmt: skip
def test_a_wrong_request_is_refused(
    arguments: list[str], words: list[str], own_home: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    refused(CliRunner().invoke(app, arguments), own_home, *words)


def test_a_job_script_takes_no_bucket_and_asks_none(own_home: Path) -> None:
    words = ["cluster", "slurm", "--space", "rte.yaml", "--storage", "s3://b/x"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2 and "name one, no bucket" in result.stderr
    assert not list(own_home.iterdir())


def test_a_cluster_address_that_is_none_leaves_no_study_behind(
    model: Path, reviews_csv: Path, tmp_path: Path, own_home: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(space(model, reviews_csv)))
    result = tune(path, "--address", "nonsense")
    refused(result, own_home, "--address must be `auto` or host:port", "but got 'nonsense'")


def test_a_home_that_cannot_be_written_is_said(
    model: Path, reviews_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(HOME_VARIABLE, os.fspath(tmp_path / "file" / "home"))
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(space(model, reviews_csv)))
    refused(tune(path), tmp_path / "absent", "cannot create the folder", f"set {HOME_VARIABLE}")


def test_a_name_in_use_is_refused_and_what_lies_there_is_kept(
    model: Path, reviews_csv: Path, tmp_path: Path, own_home: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(space(model, reviews_csv)))
    there = own_home / "studies" / "taken" / "space.yaml"
    there.parent.mkdir(parents=True)
    there.write_text("old")
    result = tune(path, "--name", "taken")
    assert result.exit_code == 2
    assert "a study named taken exists" in result.stderr
    assert "begins" not in result.stderr
    assert "--resume taken" in result.stderr
    assert [item for item in own_home.rglob("*") if item.is_file()] == [there]
    assert there.read_text() == "old"
