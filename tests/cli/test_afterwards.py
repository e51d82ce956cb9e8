"""What one does with what was run: compare, frame, best, delete, gc, reproduce, predict."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner, Result

import lora2_search
from lora2_search.cli.app import app
from lora2_search.store.lock import lock_folder
from lora2_search.store.record import read_record
from tests.support.afterwards import make_home

_MORE = ("quick/head-only", "mine")


@pytest.fixture(scope="module")
def template(tiny_bert: Path, reviews_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    before = os.environ.get("LORA2_SEARCH_HOME")
    os.environ["LORA2_SEARCH_HOME"] = str(folder)
    try:
        make_home(folder, tiny_bert, reviews_csv, tmp_path_factory.mktemp("scratch"))
    finally:
        os.environ.pop("LORA2_SEARCH_HOME")
        os.environ |= {"LORA2_SEARCH_HOME": before} if before else {}
    return folder


@pytest.fixture
def home(template: Path, home_with_store: Path) -> Path:
    shutil.copytree(template, home_with_store, dirs_exist_ok=True)
    return home_with_store


def cli(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def test_two_trials_are_compared_by_settings_scores_cost_and_examples(home: Path) -> None:
    told = json.loads(cli("runs", "compare", "quick/0", "quick/2", "--json").stdout)["by_arm"][""]
    (setting,) = told["settings"]
    assert (setting["name"], setting["first"], setting["second"]) == ("adapter.k", 2, 8)
    scores = {(item["split"], item["metric"]): item for item in told["scores"]}
    first, second = (read_record(home / f"studies/quick/trials/0000{n}") for n in (0, 2))
    assert first is not None and second is not None
    score = scores["test", "accuracy"]
    assert score["first"]["estimate"] == first.scores["test/accuracy"]
    apart = first.scores["test/accuracy"] - second.scores["test/accuracy"]
    assert score["difference"]["estimate"] == pytest.approx(apart)
    assert score["difference"]["low"] <= apart <= score["difference"]["high"]
    examples = told["examples"]
    parts = [examples[name] for name in ("both", "first", "second", "neither")]
    assert sum(parts) == first.sizes["test"]
    assert (parts[0] + parts[1]) / sum(parts) == pytest.approx(first.scores["test/accuracy"])
    sizes = {item["name"]: (item["first"], item["second"]) for item in told["quantities"]}
    assert sizes["adapter, trained"][0] < sizes["adapter, trained"][1]
    shown = cli("runs", "compare", "quick/0", "quick/2").stdout
    for words in (
        "A: trial 0 of study quick",
        "adapter.k",
        "accuracy, test",
        "A − B",
        "right: both",
    ):
        assert words in shown


def test_a_study_is_compared_with_another_from_python_too(home: Path) -> None:
    study = lora2_search.load_study("quick")
    versus = study.compare(study)
    assert versus.settings == () and versus.plan == ()
    assert {pair.difference.estimate for pair in versus.scores if pair.difference} == {0.0}
    by_name = lora2_search.compare("quick", "mine").by_arm[""]
    assert {pair.name for pair in by_name.settings} >= {"seed"}


def test_two_suites_are_compared_arm_by_arm(home: Path) -> None:
    told = json.loads(cli("runs", "compare", "parts", "parts-2", "--json").stdout)
    assert list(told["by_arm"]) == ["base", "no-regulariser"]
    assert told["only_second"] == ["wide"]
    scores = told["by_arm"]["base"]["scores"]
    assert all(item["difference"]["estimate"] == 0 and item["first"]["n"] == 2 for item in scores)
    assert "Only in B: wide" in cli("runs", "compare", "parts", "parts-2").stdout
    arms = json.loads(cli("runs", "compare", "parts/base", "parts-2/wide", "--json").stdout)
    assert [pair["name"] for pair in arms["by_arm"][""]["settings"]] == ["adapter.k"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runs", "compare", "quik", "mine"], 'did you mean "quick"'),
        (["runs", "compare", "parts", "mine"], "name the arm to compare with it: parts/base"),
        (["runs", "compare", "quick/9", "mine"], "study quick has no run 9; known: 0, 1, 2"),
        (["runs", "best", "parts"], "is a suite, which has no winner; name a run: parts/base-seed"),
        (["runs", "frame", "quick", "--to", "xlsx"], "--to must be one of csv, json"),
        (["runs", "frame", "quick", "--out", "x.xlsx"], "must end in one of .csv"),
        (["runs", "gc", "--keep", "0"], "--keep must be at least 1"),
        (["runs", "delete", "mine"], "there is nobody to ask; add --yes"),
        (["predict", "--run", "mine", "--data", "no.csv"], "no file no.csv"),
        (["predict", "--run", "quick/x", "--data", "no.csv"], "study quick has no run x"),
        (["reproduce", "parts"], "name a run: parts/base-seed"),
        (["reproduce", "mine", "--name", "mine"], "a run named mine exists"),
    ],
)
def test_a_mistake_is_told_in_words_and_exits_with_2(
    arguments: list[str], words: str, home: Path
) -> None:
    assert words in cli(*arguments, code=2).stderr


@pytest.mark.parametrize(("name", "rows"), [("quick", 3), ("parts", 4), ("mine", 4)])
def test_a_frame_is_the_same_in_every_format(name: str, rows: int, home: Path) -> None:
    out = home / "out"
    frames = {}
    for form in ("csv", "json", "jsonl", "parquet"):
        cli("runs", "frame", name, "--to", form, "--out", out)
        readers: dict[str, Any] = {"csv": pd.read_csv, "parquet": pd.read_parquet}
        lines = {"lines": form == "jsonl", "precise_float": True}
        read = readers.get(form, lambda path, lines=lines: pd.read_json(path, **lines))
        frames[form] = read(out)
        assert len(frames[form]) == rows
    numbers = frames["parquet"].select_dtypes("number").columns
    for frame in frames.values():
        pd.testing.assert_frame_equal(frame[numbers], frames["parquet"][numbers], check_dtype=False)
    assert pd.read_csv(io.StringIO(cli("runs", "frame", name).stdout)).shape == frames["csv"].shape


def test_the_best_settings_are_those_of_the_winner_and_train_takes_them(home: Path) -> None:
    best = lora2_search.load_study("quick").best
    assert best is not None and best.record is not None
    cli("runs", "best", "quick", "--out", home / "best.yaml")
    written = yaml.safe_load((home / "best.yaml").read_text())
    assert "epochs" not in written["training"]
    cli("train", home / "best.yaml", "--name", "again")
    again = read_record(home / "runs" / "again")
    assert again is not None
    assert (again.fingerprint, again.scores) == (best.record.fingerprint, best.record.scores)


def test_a_run_is_deleted_whole_and_one_that_runs_is_not(home: Path) -> None:
    folder = home / "runs" / "mine"
    with lock_folder(folder):
        assert "run mine is running" in cli("runs", "delete", "mine", "--yes", code=2).stderr
    assert (folder / "record.json").is_file()
    cli("runs", "delete", "mine", "--yes")
    told = json.loads(cli("runs", "delete", "parts-2", "--yes", "--json").stdout)
    assert told["deleted"] == "suite parts-2" and told["bytes"] > 0
    assert not folder.exists() and not list((home / "runs").iterdir())
    assert not (home / "suites" / "parts-2").exists()


def test_gc_keeps_the_best_and_the_last_and_no_result_is_lost(home: Path) -> None:
    study = home / "studies" / "quick"
    best = lora2_search.load_study("quick").best
    assert best is not None
    (study / "trials" / "00000" / "checkpoint").mkdir()
    told = json.loads(cli("runs", "gc", "--keep", "1", "--dry-run", "--json").stdout)
    assert told["bytes"] > 0 and not told["removed"]
    before = json.loads(cli("runs", "show", "quick", "--json").stdout)["runs"]
    cli("runs", "gc", "--keep", "1", "--yes")
    kept = {int(path.parent.name) for path in study.glob("trials/*/adapter")}
    assert kept == {best.number, 2}
    assert not list(study.glob("trials/*/checkpoint"))
    assert (study / "reference" / "head-only" / "adapter").is_dir()
    assert (home / "runs" / "mine" / "adapter").is_dir()
    assert json.loads(cli("runs", "show", "quick", "--json").stdout)["runs"] == before
    assert "nothing to free" in cli("runs", "gc", "--keep", "1").stdout
    lost = next(number for number in (0, 1) if number != best.number)
    said = cli("export", f"quick/{lost}", "--out", home / "x", code=2).stderr
    assert "`reproduce` trains it again" in said


@pytest.mark.parametrize(
    "run",
    ["quick", "parts/base-seed1", *(pytest.param(r, marks=pytest.mark.slow) for r in _MORE)],
)
def test_a_run_reproduced_is_equal_bit_for_bit(run: str, home: Path) -> None:
    told = json.loads(cli("reproduce", run, "--json").stdout)
    assert told["equal"] and told["missing"] == [] and told["reasons"] == []
    assert told["compared"] == ["scores", "kept ranks", "predictions", "adapter"]
    assert (home / "runs" / told["name"] / "adapter").is_dir()


def test_a_run_that_comes_out_differently_says_how_and_why(home: Path) -> None:
    path = home / "runs" / "mine" / "record.json"
    record = json.loads(path.read_text())
    record["scores"]["test/accuracy"] += 0.125
    record["versions"]["torch"] = "1.13"
    path.write_text(json.dumps(record))
    data = Path(record["config"]["data"]["path"])
    copy = home / "reviews.csv"
    shutil.copy(data, copy)
    result = cli("reproduce", "mine", code=1)
    assert "came out differently" in result.stdout
    assert "test/accuracy: " in result.stdout
    assert "Made differently: torch: version 1.13, then " in result.stdout
    assert "it may not come out bit for bit" in result.output


def test_predictions_keep_the_rows_and_say_scores_where_there_are_labels(home: Path) -> None:
    record = read_record(home / "runs" / "mine")
    assert record is not None
    data = record.config["data"]["path"]
    result = cli("predict", "--run", "mine", "--data", data, "--out", home / "said.csv")
    assert "Against the labels: accuracy 0." in result.stdout
    before, after = pd.read_csv(data), pd.read_csv(home / "said.csv")
    own = ["prediction", "probability_bad", "probability_good"]
    assert list(after.columns) == [*before.columns, *own]
    pd.testing.assert_frame_equal(after[before.columns], before)
    likelier = after["probability_good"] > after["probability_bad"]
    assert (after["prediction"] == likelier.map({True: "good", False: "bad"})).all()

    frame = lora2_search.predict("mine", data).frame()
    assert frame["prediction"].tolist() == after["prediction"].tolist()
    again = cli("predict", "--run", "mine", "--data", home / "said.csv", code=2)
    assert "has a column 'prediction' itself" in again.stderr
    renamed = before.rename(columns={"review": "body"})[["body"]]
    renamed.to_json(home / "new.jsonl", orient="records", lines=True)
    words = cli("predict", "--run", "mine", "--data", home / "new.jsonl", code=2).stderr
    assert "no column 'review' in new.jsonl" in words
    named = cli(
        "predict", "--run", "mine", "--data", home / "new.jsonl", "--text", "body", "--json"
    )
    told = json.loads(named.stdout)
    assert [row["prediction"] for row in told["rows"]] == after["prediction"].tolist()
    assert told["scores"] == {}
