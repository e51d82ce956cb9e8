from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lora2_search.cli.app import app
from lora2_search.cli.commands.runs import resumption
from lora2_search.config.run import RunConfig
from lora2_search.config.space.schema import load_space
from lora2_search.config.suite.schema import load_suite
from lora2_search.errors import UserError
from lora2_search.experiments.catalog import all_items, find_item
from lora2_search.search.storage import open_study
from lora2_search.store.lock import lock_folder
from lora2_search.store.record import RunRecord
from lora2_search.tracking.spool.observer import ParentInfo, SpoolObserver
from lora2_search.tracking.ui import address_of
from lora2_search.tracking.uri import DATABASE
from lora2_search.verification.page.rows import Row, write_rows
from lora2_search.verification.plan import Part
from tests.support.measured import MERGED


def record(folder: Path, score: float | None, status: str = "completed", **settings: int) -> None:
    config = RunConfig(task="rte").model_dump(mode="json")
    config["adapter"] |= settings
    scores = {} if score is None else {"validation/accuracy": score, "test/accuracy": score - 0.1}
    scores |= {key.replace("accuracy", "f1"): round(1 - scores[key], 6) for key in scores}
    folder.mkdir(parents=True)
    RunRecord(
        fingerprint="f",
        status=status,  # type: ignore[arg-type]
        config=config,
        metric="accuracy",
        scores=scores,
        total_steps=40,
        started_ms=1_790_000_000_000,
        error="ValueError: [red]" if status == "failed" else None,
    ).write(folder)


def tell(study: Path, trials: list[tuple[str, float | None]], shared: bool = False) -> None:
    from optuna.trial import TrialState

    with open_study(study, study.name, shared=shared) as (database, _):
        for state, score in trials:
            trial = database.ask()
            if state == "PRUNED":
                trial.report(score, 1)  # Optuna makes it the trial's value
            database.tell(trial, score if state == "COMPLETE" else None, TrialState[state])


@pytest.fixture
def full(own_home: Path) -> Path:
    """A home with a study, a suite of the same name and a run."""
    study = own_home / "studies" / "quick"
    record(study / "trials" / "00000", 0.7, k=4)
    record(study / "trials" / "00001", 0.9, "pruned", k=8)
    record(study / "trials" / "00002", None, "failed", k=16)
    record(study / "reference" / "head-only", 0.95)
    load_space("quickstart", ["name=quick"]).write(study)
    tell(study, [("COMPLETE", 0.7), ("PRUNED", 0.9), ("FAIL", None)])
    suite = own_home / "suites" / "quick"
    record(suite / "runs" / "base-seed7", 0.8)
    load_suite("quick", ["name=quick", "seed=7", "seeds=3"]).write(suite)
    record(own_home / "runs" / "one", 0.6)
    (own_home / "studies" / "empty").mkdir()
    return own_home


def test_everything_is_found_and_what_holds_nothing_is_left_out(full: Path) -> None:
    assert [(item.kind, item.name) for item in all_items(None)] == [
        ("study", "quick"),
        ("suite", "quick"),
        ("run", "one"),
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("quick", "study"), ("studies/quick", "study"), ("suites/quick", "suite"), ("one", "run")],
)
def test_a_name_is_found_and_a_folder_tells_two_apart(name: str, kind: str, full: Path) -> None:
    assert find_item(name, None).kind == kind


def test_a_wrong_name_is_answered_with_the_nearest(full: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='nothing called quik .*"quick"'):
        find_item("quik", None)
    with pytest.raises(UserError, match="nothing called ../x"):
        find_item("../x", None)
    with pytest.raises(UserError, match="nothing called studies/quick"):
        find_item("studies/quick", tmp_path / "elsewhere")


def test_the_best_is_a_completed_trial_and_not_the_reference(full: Path) -> None:
    assert find_item("quick", None).best() == ("trial 0", 0.7)
    assert find_item("suites/quick", None).best() is None
    assert find_item("one", None).best() == ("one", 0.6)


def test_a_study_with_another_objective_is_ranked_and_shown_by_it(own_home: Path) -> None:
    study = own_home / "studies" / "by-f1"
    record(study / "trials" / "00000", 0.9)
    record(study / "trials" / "00001", 0.7)
    load_space("quickstart", ["name=by-f1", "task=mrpc", "objective.metric=f1"]).write(study)
    tell(study, [("COMPLETE", 0.1), ("COMPLETE", 0.3)])
    (row,) = json.loads(CliRunner().invoke(app, ["runs", "list", "--json"]).stdout)
    assert (row["best"], row["metric"], row["score"]) == ("trial 1", "f1", 0.3)
    lines = CliRunner().invoke(app, ["runs", "show", "by-f1"]).stdout.splitlines()
    assert lines[1].split()[:6] == ["trial", "0", "completed", "f1", "0.1000", "0.2000"]


@pytest.mark.parametrize("kind", ["run", "study"])
def test_f1_is_told_with_its_class_wherever_a_runs_score_is(kind: str, own_home: Path) -> None:
    told = {"metric": "f1", "classes": ["ham", "spam"], "scores": {"validation/f1": 0.25}}
    study = own_home / "studies" / "by-f1"
    folder = own_home / "runs" / "one" if kind == "run" else study / "trials" / "00000"
    record(folder, 0.9)
    path = folder / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | told))
    if kind == "study":
        load_space("quickstart", ["name=by-f1", "task=mrpc", "objective.metric=f1"]).write(study)
        tell(study, [("COMPLETE", 0.25)])
    name = "one" if kind == "run" else "by-f1"
    for verb in (["list"], ["show", name]):
        shown = CliRunner().invoke(app, ["runs", *verb]).stdout
        assert "f1 (positive: spam)" in shown
        rows = json.loads(CliRunner().invoke(app, ["runs", *verb, "--json"]).stdout)
        row = rows[0] if verb == ["list"] else rows["runs"][0]
        assert (row["metric"], row["shown"]) == ("f1", "f1 (positive: spam)")


def test_the_list_counts_states(full: Path) -> None:
    result = CliRunner().invoke(app, ["runs", "list", "--json"])
    rows = {(row["kind"], row["name"]): row for row in json.loads(result.stdout)}
    assert rows["study", "quick"]["runs"] == "1 completed, 1 failed, 1 pruned"
    assert rows["study", "quick"]["score"] == 0.7
    assert rows["suite", "quick"]["best"] == ""
    assert rows["run", "one"]["begun"].startswith("2026-09-21T")
    table = CliRunner().invoke(app, ["runs", "list"]).stdout.splitlines()
    assert len(table) == 4
    assert table[1].split()[:2] == ["quick", "study"]


def test_what_nobody_runs_is_stopped_and_says_how_to_go_on(own_home: Path) -> None:
    study = own_home / "studies" / "dead"
    record(study / "trials" / "00000", 0.7, "running")
    load_space("quickstart", ["name=dead"]).write(study)
    with open_study(study, "dead") as (database, _):
        database.ask()
        database.ask()
    record(own_home / "suites" / "half" / "runs" / "base-seed7", 0.8, "running")
    load_suite("quick", ["name=half", "seed=7", "seeds=3"]).write(own_home / "suites" / "half")
    record(own_home / "runs" / "one", 0.6, "running")
    for name, runs, verb in (
        ("dead", "2 stopped", "tune"),
        ("half", "1 stopped", "ablate"),
        ("one", "1 stopped", "train"),
    ):
        row = listed()[name]
        again = f"lora2-search {verb} --resume {name}"
        assert (row["state"], row["runs"], row["go on with"]) == ("stopped", runs, again)
        shown = CliRunner().invoke(app, ["runs", "show", name])
        assert f"stopped; resume with: {again}" in shown.stdout
        assert "running" not in shown.stdout
        with lock_folder(find_item(name, None).folder):
            row = listed()[name]
            running = runs.replace("stopped", "running")
            assert (row["state"], row["runs"], row["go on with"]) == ("running", running, None)
            shown = CliRunner().invoke(app, ["runs", "show", name])
            assert "stopped" not in shown.output
    rows = json.loads(CliRunner().invoke(app, ["runs", "show", "dead", "--json"]).stdout)["runs"]
    assert [(row["run"], row["state"]) for row in rows] == [
        ("trial 0", "stopped"),
        ("trial 1", "stopped"),
    ]


@pytest.mark.parametrize(
    ("bounds", "ended", "state"),
    [
        (["trials=2"], 2, "complete"),
        (["trials=3"], 2, "stopped"),
        (["trials=null", "hours=1"], 2, "complete"),
        (["trials=null", "hours=1"], 0, "stopped"),
        (["trials=3", "hours=1"], 2, "complete"),
    ],
)
def test_a_study_is_complete_when_nothing_is_left_to_do(
    bounds: list[str], ended: int, state: str, own_home: Path
) -> None:
    study = own_home / "studies" / "mine"
    study.mkdir(parents=True)
    load_space("quickstart", ["name=mine", *bounds]).write(study)
    tell(study, [("COMPLETE", 0.7)] * ended)
    assert find_item("mine", None).state() == state


def test_what_lies_in_a_shared_folder_goes_on_there(tmp_path: Path) -> None:
    study = tmp_path / "studies" / "mine"
    study.mkdir(parents=True)
    load_space("quickstart", ["name=mine"]).write(study)
    again = f"lora2-search tune --resume mine --storage {tmp_path}"
    assert resumption(find_item("mine", tmp_path)) == again


def listed() -> dict[str, dict[str, Any]]:
    rows = json.loads(CliRunner().invoke(app, ["runs", "list", "--json"]).stdout)
    return {row["name"]: row for row in rows}


def test_a_study_is_shown_with_searched_settings_and_reasons(full: Path) -> None:
    result = CliRunner().invoke(app, ["runs", "show", "quick"])
    lines = result.stdout.splitlines()
    assert lines[0].split()[:2] == ["run", "state"]
    assert {"k", "lr", "gamma", "error"} <= set(lines[0].split())
    assert lines[1].split()[:5] == ["trial", "0", "completed", "accuracy", "0.7000"]
    assert "ValueError: [red]" in lines[3]
    assert lines[4].startswith("head only")
    rows = json.loads(CliRunner().invoke(app, ["runs", "show", "quick", "--json"]).stdout)["runs"]
    assert [row["settings"].get("adapter.k") for row in rows] == [4, 8, 16, None]


def test_a_suite_is_shown_with_what_its_arms_change(full: Path) -> None:
    shown = CliRunner().invoke(app, ["runs", "show", "suites/quick", "--json"])
    (row,) = json.loads(shown.stdout)["runs"]
    assert row["run"] == "base-seed7"
    assert {"adapter.gamma", "adapter.scoring", "method"} == set(row["settings"])


def verification(home: Path, done: int, rows: bool) -> Path:
    """A verification of the merge check with two seeds, some of whose parts are measured."""
    folder = home / "verifications" / "sentiment-1234"
    plan = {"fingerprint": "f", "config": {}, "seeds": [200, 201], "checks": ["merge"]}
    folder.mkdir(parents=True)
    (folder / "verification.json").write_text(json.dumps(plan))
    for seed in (200, 201)[:done]:
        Part("pruned", seed, ("merge",)).write(folder, MERGED)
    if rows:
        row = Row("merge", "It merges", "not published", "1e-7", "holds", "That.", {"merged": 1e-7})
        write_rows(folder, [row])
    return folder


@pytest.mark.parametrize(
    ("done", "rows", "state"), [(0, False, "stopped"), (1, True, "stopped"), (2, True, "complete")]
)
def test_a_verification_is_listed_with_its_parts_and_shown_with_its_table(
    done: int, rows: bool, state: str, own_home: Path
) -> None:
    folder = verification(own_home, done, rows)
    row = listed()["sentiment-1234"]
    assert (row["kind"], row["state"], row["runs"]) == ("verification", state, f"{done} of 2 parts")
    again = "the same `verify` command" if state == "stopped" else None
    assert row["go on with"] == again
    told = json.loads(CliRunner().invoke(app, ["runs", "show", folder.name, "--json"]).stdout)
    assert (told["state"], told["go on with"], len(told["rows"])) == (state, again, int(rows))
    shown = CliRunner().invoke(app, ["runs", "show", f"verifications/{folder.name}"])
    assert shown.exit_code == 0
    assert ("It merges" in shown.stdout) == rows
    assert f"{done} of 2 parts" in shown.output
    with lock_folder(folder):
        assert find_item(folder.name, None).state() == "running"


def test_a_broken_verification_and_one_that_is_asked_for_an_adapter_are_told_in_words(
    own_home: Path,
) -> None:
    folder = verification(own_home, 2, True)
    exported = CliRunner().invoke(app, ["export", folder.name, "--out", str(own_home / "out")])
    assert (
        exported.exit_code == 2 and "is a verification, which keeps no adapter" in exported.stderr
    )
    (folder / "verification.json").write_text("{}")
    result = CliRunner().invoke(app, ["runs", "list"])
    assert result.exit_code == 2 and "verification.json is broken" in result.stderr


def test_a_verification_is_delivered_by_its_name(home_with_store: Path) -> None:
    folder = verification(home_with_store, 2, True)
    parent = ParentInfo(kind="verification", name=folder.name, config=RunConfig(task="sentiment"))
    spool = SpoolObserver(folder, parent)
    spool.measured({"merge/merged": 1e-7})
    spool.close("COMPLETE")
    synced = CliRunner().invoke(app, ["runs", "sync", folder.name, "--json"])
    assert synced.exit_code == 0, synced.output
    assert json.loads(synced.stdout)[folder.name]["points"] == 1
    uri = f"sqlite:///{home_with_store / DATABASE}"
    assert "viewStateShareKey=verification" in str(address_of(folder, uri, "http://here"))


def test_a_reference_is_shown_with_what_it_sets(full: Path) -> None:
    record(full / "studies" / "quick" / "reference" / "lora", 0.8)
    rows = json.loads(CliRunner().invoke(app, ["runs", "show", "quick", "--json"]).stdout)["runs"]
    assert [row["run"] for row in rows][3:] == ["lora", "head only"]
    assert set(rows[3]["settings"]) == {"training.lr"}


@pytest.mark.parametrize(
    ("space", "name"), [("quickstart", "head only"), ("smollm2", "no training")]
)
def test_the_floor_of_a_study_is_called_what_it_is(space: str, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "studies" / space
    folder.mkdir(parents=True)
    load_space(space).write(folder)
    assert find_item(space, tmp_path).floor_name == name
