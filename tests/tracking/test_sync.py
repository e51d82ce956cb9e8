from __future__ import annotations

import json
import math
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lora2_search.config.space.schema import load_space
from lora2_search.errors import UserError
from lora2_search.store.paths import home
from lora2_search.store.rank_pattern import write_rank_pattern
from lora2_search.tracking.delivery.cursor import cursor_path, dead_letter_path, load, pending
from lora2_search.tracking.delivery.delivery import delivery_lock
from lora2_search.tracking.delivery.sync import sync, sync_command
from lora2_search.tracking.delivery.syncer import outcome
from lora2_search.tracking.spool.observer import SpoolObserver
from lora2_search.tracking.spool.spool import Flusher, Metrics, Spool, run_path
from lora2_search.tracking.ui import address_of
from lora2_search.tracking.uri import resolve_uri
from tests.support.mlflow_study import Stored, parent, record, report, run, spooled, whole_run


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return request.node.name


@pytest.fixture
def folder(tmp_path: Path, name: str) -> Path:
    return tmp_path / name


@pytest.fixture
def observer(folder: Path, name: str) -> SpoolObserver:
    return SpoolObserver(folder, parent(name=name))


@pytest.fixture
def stored(uri: str, name: str) -> Stored:
    return Stored(uri, name)


def test_a_study_arrives_whole_and_nested(
    observer: SpoolObserver, folder: Path, uri: str, stored: Stored
) -> None:
    for number in range(2):
        whole_run(observer, run(folder, number, arm="base"))
    observer.close("COMPLETE")
    counts = sync(folder, uri)
    assert (counts.runs, counts.refused) == (2, 0)
    assert counts.points == sum(spooled(folder).values())
    assert stored.points() == spooled(folder)
    assert set(stored.points().values()) == {1}
    mine, top = stored.runs()["00001"], stored.parent()
    assert mine.info.status == top.info.status == "FINISHED"
    assert mine.info.run_name == "trial 1"
    assert mine.info.end_time == 1_700_000_100_000
    assert mine.data.tags["mlflow.parentRunId"] == top.info.run_id
    assert mine.data.tags["lora2.key"] == top.data.tags["lora2.key"] + "/00001"
    assert mine.data.tags["state"] == "COMPLETE"
    assert mine.data.params["adapter.k"] == "2"
    assert mine.data.metrics["score"] == mine.data.metrics["validation/accuracy"] == 0.75
    assert "score" not in top.data.metrics


def test_one_filter_finds_the_complete_runs_of_two_suites_and_nothing_else(
    tmp_path: Path, uri: str
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "tracking.md").read_text(encoding="utf-8")
    (search,) = [line for line in text.splitlines() if line.startswith("tags.arm != ''")]
    for name in ("filtered-one", "filtered-two"):
        observer = SpoolObserver(tmp_path / name, parent(kind="suite", name=name))
        for number, arm in enumerate(("base", "other")):
            whole_run(observer, run(tmp_path / name, number, arm=arm))
        failed = run(tmp_path / name, 2, arm="other")
        observer.started(failed)
        observer.ended(failed, "FAIL", None, "worker died")
        observer.close("COMPLETE")
        sync(tmp_path / name, uri)
    client = Stored(uri, "filtered").client
    ids = [item.experiment_id for item in Stored(uri, "filtered").experiments()]
    found = client.search_runs(ids, search)
    assert sorted(item.data.tags["arm"] for item in found) == ["base", "base", "other", "other"]


def test_a_second_sync_and_one_without_its_cursor_change_nothing(
    observer: SpoolObserver, folder: Path, uri: str, stored: Stored
) -> None:
    whole_run(observer, run(folder))
    observer.close("COMPLETE")
    sync(folder, uri)
    before = stored.points()
    assert sync(folder, uri).points == 0
    cursor_path(folder, uri).unlink()
    assert sync(folder, uri).points == sum(before.values())
    assert stored.points() == before
    assert stored.parent().info.status == "FINISHED"


@pytest.mark.parametrize(
    ("state", "status"), [("COMPLETE", "FINISHED"), ("PRUNED", "KILLED"), ("FAIL", "FAILED")]
)
def test_every_state_becomes_one_that_mlflow_knows_and_a_tag(
    observer: SpoolObserver, folder: Path, uri: str, stored: Stored, state: str, status: str
) -> None:
    info = run(folder)
    observer.started(info)
    observer.ended(info, state, None, "" if state == "COMPLETE" else "below the median")
    sync(folder, uri)
    (found,) = stored.runs().values()
    assert (found.info.status, found.data.tags["state"]) == (status, state)
    assert ("mlflow.runColor" in found.data.tags) is (state == "PRUNED")
    if state != "COMPLETE":
        assert found.data.tags["reason"] == "below the median"
        assert found.data.tags["mlflow.note.content"] == "below the median"


def test_a_resume_reopens_the_same_runs(folder: Path, uri: str, name: str, stored: Stored) -> None:
    first = SpoolObserver(folder, parent(name=name))
    first.started(run(folder))
    first.reported(run(folder), report(0, 20))
    first.close("STOPPED", reason="Ctrl-C")
    sync(folder, uri)
    assert stored.runs()["00000"].info.status == stored.parent().info.status == "KILLED"
    again = SpoolObserver(folder, parent(name=name))
    again.started(run(folder))
    sync(folder, uri)
    found = stored.runs()["00000"]
    assert found.info.status == stored.parent().info.status == "RUNNING"
    assert (found.data.tags["state"], found.data.tags["reason"]) == ("RUNNING", "")
    again.reported(run(folder), report(0, 50))
    again.ended(run(folder), "COMPLETE", record(run(folder)), "")
    again.close("COMPLETE")
    sync(folder, uri)
    assert stored.runs()["00000"].info.status == stored.parent().info.status == "FINISHED"
    assert stored.points() == spooled(folder)
    assert set(stored.points().values()) == {1}


def test_a_resume_with_other_bounds_is_taken_and_shows_the_new_ones(
    folder: Path, uri: str, name: str, stored: Stored
) -> None:
    for bounds in (
        ["trials=6", "hours=2.0", "resources.concurrent=1"],
        ["trials=8", "hours=null", "resources.concurrent=2"],
    ):
        space = load_space("quickstart", [f"name={name}", *bounds])
        SpoolObserver(folder, parent(name=name, config=space)).close("STOPPED")
        assert sync(folder, uri).refused == 0
    told = stored.parent().data
    assert (told.tags["trials"], told.tags["hours"]) == ("8", "")
    assert told.tags["resources.concurrent"] == "2"
    assert told.params["sampler.name"] == "tpe"
    assert not {"trials", "hours", "resources.concurrent"} & set(told.params)


def test_nan_stays_and_infinity_does_not_spoil_the_axis(
    observer: SpoolObserver, folder: Path, uri: str, stored: Stored
) -> None:
    observer.reported(run(folder), report(0, 1, score=math.inf))
    sync(folder, uri)
    assert math.isnan(stored.runs()["00000"].data.metrics["validation/accuracy"])


def test_artifacts_lie_beside_the_database_and_missing_ones_are_told(
    observer: SpoolObserver, folder: Path, uri: str, stored: Stored
) -> None:
    info = run(folder)
    whole_run(observer, info)
    (info.folder / "adapter").mkdir(parents=True)
    (info.folder / "adapter" / "adapter_config.json").write_text("{}")
    record(info).write(info.folder)
    write_rank_pattern(info.folder, {"layer.0": 4}, highest=8)
    (folder / "space.yaml").write_text("task: sentiment")
    observer.artifact(None, folder / "space.yaml")
    observer.artifact(None, folder / "absent.html")
    observer.close("COMPLETE", winner=info)
    assert sync(folder, uri).refused == 1
    assert "absent.html" in dead_letter_path(folder, uri).read_text()
    top = stored.parent()
    assert top.info.artifact_uri.startswith(str(Path(uri.removeprefix("sqlite:///")).parent))
    kept = {item.path for item in stored.client.list_artifacts(top.info.run_id)}
    assert kept == {"space.yaml", "winner"}
    inner = {item.path for item in stored.client.list_artifacts(top.info.run_id, "winner")}
    assert inner == {"winner/adapter", "winner/record.json", "winner/rank_pattern.json"}
    (folder / "absent.html").write_text("here now")
    assert sync(folder, uri).refused == 0
    assert not dead_letter_path(folder, uri).exists()


def test_data_and_model_are_in_fields_of_their_own_once_however_often_they_are_sent(
    observer: SpoolObserver, folder: Path, uri: str, stored: Stored
) -> None:
    info = run(folder)
    whole_run(observer, info)
    (info.folder / "adapter").mkdir(parents=True)
    (info.folder / "adapter" / "adapter_config.json").write_text("{}")
    record(info).write(info.folder)
    observer.close("COMPLETE", winner=info)
    for _ in range(2):
        assert sync(folder, uri).refused == 0
        cursor_path(folder, uri).unlink()
    for item in (stored.parent(), stored.runs()["00000"]):
        (given,) = item.inputs.dataset_inputs
        assert (given.dataset.name, given.dataset.digest) == ("sentiment", "01234567")
        assert given.tags[0].value == "train, validation, test"
    top = stored.parent()
    (output,) = top.outputs.model_outputs
    (model,) = stored.client.search_logged_models([top.info.experiment_id])
    assert (model.model_id, model.source_run_id) == (output.model_id, top.info.run_id)
    assert (str(model.status), model.params) == ("READY", {"adapter.k": "1"})
    assert top.data.metrics == {"score": 0.75, "test/accuracy": 0.7}
    assert top.data.tags["adapter.k"] == "1" and "adapter.k" not in top.data.params


def test_one_refused_metric_takes_no_other_with_it(
    observer: SpoolObserver, folder: Path, uri: str, stored: Stored
) -> None:
    whole_run(observer, run(folder))
    spool = Spool(run_path(folder, "00000"), Flusher())
    spool.append(Metrics(step=7, time_ms=7, values={"bad=key": 1.0, "good": 1.0}))
    assert sync(folder, uri).refused == 1
    (letter,) = dead_letter_path(folder, uri).read_text().splitlines()
    assert json.loads(letter)["what"] == "metric bad=key"
    assert stored.runs()["00000"].data.metrics["good"] == 1.0


def test_a_deleted_run_stays_deleted_until_it_is_restored(
    observer: SpoolObserver, folder: Path, uri: str, stored: Stored
) -> None:
    observer.started(run(folder))
    observer.reported(run(folder), report(0, 20))
    sync(folder, uri)
    run_id = stored.runs()["00000"].info.run_id
    stored.client.delete_run(run_id)
    observer.reported(run(folder), report(20, 40))
    assert sync(folder, uri).refused == 1
    assert stored.runs() == {}
    cursor_path(folder, uri).unlink()
    assert sync(folder, uri).refused == 1
    assert stored.runs() == {}
    stored.client.restore_run(run_id)
    assert sync(folder, uri).refused == 0
    assert stored.points() == spooled(folder)


def test_a_renamed_experiment_is_found_again_without_the_cursor(
    observer: SpoolObserver, folder: Path, uri: str, stored: Stored
) -> None:
    sync(folder, uri)
    (experiment,) = stored.experiments()
    stored.client.rename_experiment(experiment.experiment_id, f"renamed {folder.name}")
    cursor_path(folder, uri).unlink()
    whole_run(observer, run(folder))
    sync(folder, uri)
    assert stored.experiments() == []
    found = stored.client.search_runs([experiment.experiment_id])
    assert len(found) == 2


def test_a_deleted_experiment_is_not_brought_back_but_its_name_can_be_used_again(
    observer: SpoolObserver, folder: Path, tmp_path: Path, uri: str, name: str, stored: Stored
) -> None:
    sync(folder, uri)
    (experiment,) = stored.experiments()
    stored.client.delete_experiment(experiment.experiment_id)
    with pytest.raises(UserError, match=f"experiments restore -x {experiment.experiment_id}"):
        sync(folder, uri)
    SpoolObserver(tmp_path / "new", parent(name=name))
    sync(tmp_path / "new", uri)
    (other,) = stored.experiments()
    assert other.name == f"lora2_search/studies/{name} (2)"


def test_two_studies_of_one_name_share_an_experiment_and_nothing_else(
    observer: SpoolObserver, folder: Path, tmp_path: Path, uri: str, name: str, stored: Stored
) -> None:
    twin = SpoolObserver(tmp_path / "twin", parent(name=name))
    for each, where in ((observer, folder), (twin, tmp_path / "twin")):
        whole_run(each, run(where))
        sync(where, uri)
    assert len(stored.experiments()) == 1
    assert len(stored.all()) == 4


@pytest.mark.slow  # makes two databases
def test_a_store_that_was_emptied_is_filled_again(
    observer: SpoolObserver, folder: Path, tmp_path: Path, name: str
) -> None:
    own = f"sqlite:///{tmp_path}/own/mlflow.db"
    whole_run(observer, run(folder))
    # Elsewhere, because MLflow keeps connections to a file that is deleted under it.
    code = (
        "from pathlib import Path; from lora2_search.tracking.delivery.sync import sync;"
        f"sync(Path({str(folder)!r}), {own!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    for file in (tmp_path / "own").glob("mlflow.db*"):
        file.unlink()
    sync(folder, own)
    assert Stored(own, name).points() == spooled(folder)


def test_the_view_and_its_address_are_there(
    folder: Path, uri: str, name: str, stored: Stored
) -> None:
    SpoolObserver(folder, parent(kind="suite", name=name))
    assert address_of(folder, uri, "http://h") is None
    sync(folder, uri)
    (experiment,) = stored.experiments()
    assert "mlflow.sharedViewState.suite" in experiment.tags
    assert address_of(folder, uri, "http://h") == (
        f"http://h/#/experiments/{experiment.experiment_id}/runs"
        "?workflowType=machine_learning&viewStateShareKey=suite"
    )


def test_a_server_that_is_away_is_told_and_what_waits_is_counted(
    observer: SpoolObserver, folder: Path
) -> None:
    away = "http://ann:secret@127.0.0.1:9"
    whole_run(observer, run(folder))
    begin = time.perf_counter()
    with pytest.raises(UserError, match="nothing is lost") as error:
        sync(folder, away)
    assert time.perf_counter() - begin < 10
    assert "secret" not in str(error.value)
    assert "secret" not in load(cursor_path(folder, away)).trouble
    left = pending(folder, away)
    assert (left.points, left.runs) == (sum(spooled(folder).values()), 2)
    said = outcome(folder, away).message
    assert f"{left.points} points of 2 runs" in said
    assert f"runs sync {folder.name}" in said
    assert "--tracking-uri 'http://ann:***@127.0.0.1:9'" in said and "secret" not in said


def test_what_waits_is_told_with_the_command_for_the_same_study_and_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = "http://server:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    mine, shared = home() / "studies" / "demo", tmp_path / "a b" / "suites" / "demo"
    plain = "`lora2-search runs sync demo`"
    assert sync_command(mine, resolve_uri()) == plain
    assert sync_command(mine, server) == f"{plain[:-1]} --tracking-uri {server}`"
    assert sync_command(home() / "runs" / "demo", resolve_uri()) == (
        "`lora2-search runs sync runs/demo`"
    )
    assert sync_command(shared, resolve_uri()) == (
        f"`lora2-search runs sync suites/demo --storage '{tmp_path}/a b'`"
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server + "/")
    assert (
        sync_command(mine, resolve_uri()) == f"{plain} (with MLFLOW_TRACKING_URI set as it is now)"
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:///somewhere")
    assert sync_command(mine, server) == f"{plain[:-1]} --tracking-uri {server}`"
    assert sync_command(mine, "http://ann:secret@server") == (
        f"{plain[:-1]} --tracking-uri 'http://ann:***@server'` (with the password for ***)"
    )


def test_a_study_under_delivery_is_told(
    observer: SpoolObserver, folder: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora2_search.tracking.delivery.sync._WAIT_SECONDS", 0.1)
    with delivery_lock(folder).acquire(), pytest.raises(UserError, match="right now"):
        sync(folder, uri)


def test_a_folder_without_a_spool_is_told(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UserError, match="no tracked runs"):
        sync(tmp_path, uri)


def test_the_environment_is_as_before_and_nothing_is_printed(
    observer: SpoolObserver, folder: Path, uri: str, capfd: pytest.CaptureFixture[str]
) -> None:
    import os

    before = dict(os.environ)
    whole_run(observer, run(folder))
    observer.close("COMPLETE")
    sync(folder, uri)
    assert capfd.readouterr().out == ""
    assert dict(os.environ) == before


def test_of_two_runs_of_one_key_the_older_stays(
    observer: SpoolObserver, folder: Path, uri: str, stored: Stored
) -> None:
    whole_run(observer, run(folder))
    sync(folder, uri)
    first = stored.runs()["00000"]
    tags = {key: first.data.tags[key] for key in ("lora2.key", "mlflow.parentRunId")}
    stored.client.create_run(
        first.info.experiment_id, start_time=first.info.start_time + 1, tags=tags
    )
    cursor_path(folder, uri).unlink()
    sync(folder, uri)
    assert stored.runs()["00000"].info.run_id == first.info.run_id
    assert stored.points() == spooled(folder)


@pytest.mark.slow  # MLflow waits 20 s for a lock
def test_a_database_locked_for_long_costs_nothing_but_time(
    observer: SpoolObserver, folder: Path, uri: str, stored: Stored
) -> None:
    whole_run(observer, run(folder))
    holder = sqlite3.connect(uri.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(UserError, match="nothing is lost"):
        sync(folder, uri)
    holder.execute("ROLLBACK")
    holder.close()
    sync(folder, uri)
    assert stored.points() == spooled(folder)
