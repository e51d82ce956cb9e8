from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lora2_search.errors import ConfigError, UserError
from lora2_search.search.storage import open_study, stored_trials
from lora2_search.search.study import load_study, run_study, stored_space, study_folder
from tests.support.spaces import space_of
from tests.support.stand_in import Recorder, StandIn

TARGET = {"adapter.target_rank": {"type": "int", "low": 1, "high": 4}}
K = {"adapter.k": {"type": "int", "low": 1, "high": 64}}


def test_a_study_prunes_after_grace_tells_all_and_goes_on_with_more_trials(
    tmp_path: Path, ray_here: None
) -> None:
    seen = Recorder()
    space = space_of(
        search=K | TARGET, trials=8, sampler={"name": "random"}, resources={"concurrent": 1}
    )
    study = run_study(space, storage=tmp_path, observers=[seen], trainable=StandIn)
    assert [trial.number for trial in study.trials] == list(range(8))
    assert {trial.state for trial in study.trials} == {"COMPLETE", "PRUNED"}
    assert not study.interrupted
    assert (study.folder / "study.journal").is_file()
    assert not (study.folder / "study.db").exists()
    for trial in study.trials:
        assert list(trial.values) == list(range(1, 6 if trial.state == "COMPLETE" else 4))
        assert trial.record is not None
        assert trial.record.status == {"COMPLETE": "completed", "PRUNED": "pruned"}[trial.state]
        assert (trial.folder / "checkpoint").exists() == (trial.state == "COMPLETE")
    best = study.best
    assert best is not None
    assert best.score == max(trial.score or 0 for trial in study.trials)
    assert study.reference is not None
    assert study.reference.status == "completed"
    assert study.reference.config["method"] == "head-only"
    assert set(seen.of("ended")) == {"head-only", *(f"{n:05d}" for n in range(8))}
    frame = study.frame()
    assert list(frame["adapter.k"]) == [trial.params["adapter.k"] for trial in study.trials]
    assert frame.loc[best.number, "score"] == best.score

    more = stored_space("tiny", tmp_path, ["trials=10"])
    again = Recorder()
    longer = run_study(more, storage=tmp_path, resume=True, observers=[again], trainable=StandIn)
    assert longer.trials[:8] == study.trials
    assert set(again.of("started")) == {"head-only", "00008", "00009"}
    assert load_study("tiny", tmp_path).trials == longer.trials


def test_a_study_whose_time_is_up_leaves_no_trial_running(tmp_path: Path, ray_here: None) -> None:
    from tests.support.stand_in import SlowStandIn

    space = space_of(
        search=K, trials=None, hours=2 / 3600, scheduler={"name": "none"}, method="lora",
        resources={"concurrent": 1},
    )  # fmt: skip
    study = run_study(space, storage=tmp_path, reference=False, trainable=SlowStandIn)
    assert study.trials[-1].state == "PRUNED"
    assert study.trials[-1].reason.endswith("the hours were over")
    assert not study.interrupted


def test_trials_that_all_fail_for_one_reason_end_the_study_with_it(
    tmp_path: Path, ray_here: None
) -> None:
    space = space_of(seed=13, trials=50, scheduler={"name": "none"}, resources={"concurrent": 1})
    with pytest.raises(UserError, match="RuntimeError: unlucky") as caught:
        run_study(space, storage=tmp_path, reference=False, trainable=StandIn)
    assert "(a resume keeps them)" in str(caught.value)
    assert str(caught.value).endswith("resume with resume='tiny'")
    assert [trial.state for trial in load_study("tiny", tmp_path).trials] == ["FAIL"] * 3


def test_names_are_looked_after(tmp_path: Path) -> None:
    space = space_of()
    with pytest.raises(UserError, match="no study named tiny .* there are no studies yet"):
        run_study(space, storage=tmp_path, resume=True)
    assert not (tmp_path / "studies").exists()
    folder = study_folder("tiny", tmp_path)
    folder.mkdir(parents=True)
    space.write(folder)
    again = "a study named tiny exists .* resume it with resume='tiny', or"
    with pytest.raises(UserError, match=again):
        run_study(space, storage=tmp_path)
    with pytest.raises(UserError, match='no study named tinny .* did you mean "tiny"'):
        load_study("tinny", tmp_path)
    with pytest.raises(UserError, match=r"started with other settings \(seed, search\)"):
        run_study(space_of(search=TARGET, seed=3), storage=tmp_path, resume=True)


def test_a_study_that_fits_nowhere_leaves_nothing_and_changes_none(
    tmp_path: Path, ray_here: None
) -> None:
    greedy = space_of(resources={"cpus_per_trial": 4096})
    with pytest.raises(ConfigError, match=r"resources\.cpus_per_trial: a run asks for 4096"):
        run_study(greedy, storage=tmp_path, trainable=StandIn)
    assert list((tmp_path / "studies").iterdir()) == []
    folder = study_folder("tiny", tmp_path)
    folder.mkdir()
    before = space_of().write(folder).read_text()
    with pytest.raises(ConfigError, match=r"resources\.cpus_per_trial"):
        run_study(greedy, storage=tmp_path, resume=True, trainable=StandIn)
    assert (folder / "space.yaml").read_text() == before
    assert not (folder / "study.db").exists()


def test_observers_and_frame_are_told_the_objective_and_not_the_primary_metric(
    tmp_path: Path, ray_here: None
) -> None:
    seen = Recorder()
    space = space_of(
        task="mrpc", trials=2, objective={"metric": "f1"}, scheduler={"name": "none"},
        resources={"concurrent": 1},
    )  # fmt: skip
    study = run_study(space, storage=tmp_path, observers=[seen], trainable=StandIn)
    for trial in study.trials:
        reports = seen.of("reported")[f"{trial.number:05d}"]
        assert [report.score for report in reports] == list(trial.values.values())
        assert trial.record is not None
        assert trial.score == trial.record.scores["validation/f1"]
    assert {run.metric for run in seen.runs} == {"f1"}
    tests = [trial.record.scores["test/f1"] for trial in study.trials if trial.record]
    assert list(study.frame()["test"]) == tests

    # What ended while no driver listened is told from its record, by the same metric.
    told = Recorder()
    run_study(space, storage=tmp_path, resume=True, observers=[told], trainable=StandIn)
    (report,) = told.of("reported")["head-only"]
    assert study.reference is not None
    assert report.score == study.reference.scores["validation/f1"]


@pytest.mark.parametrize(("shared", "mode"), [(False, "wal"), (True, "delete")])
def test_a_database_on_a_shared_folder_has_no_write_ahead_log_and_readers_leave_it_alone(
    tmp_path: Path, shared: bool, mode: str
) -> None:
    def journal() -> str:
        with closing(sqlite3.connect(tmp_path / "study.db")) as connection:
            return str(connection.execute("PRAGMA journal_mode").fetchone()[0])

    with open_study(tmp_path, "tiny") as (study, _):
        study.ask()
    with open_study(tmp_path, "tiny", shared=shared) as (study, _):
        study.ask()
    assert journal() == mode
    assert len(stored_trials(tmp_path, "tiny")) == 2
    assert journal() == mode
    assert [path.name for path in tmp_path.glob("study.*")] == ["study.db"]


def test_a_journal_is_gone_on_with_wherever_its_folder_is(tmp_path: Path) -> None:
    for shared in (True, False):
        with open_study(tmp_path, "tiny", shared=shared) as (study, _):
            study.ask()
    assert len(stored_trials(tmp_path, "tiny")) == 2
    assert [path.name for path in tmp_path.glob("study.*")] == ["study.journal"]


def test_reading_a_study_that_never_began_makes_no_database(tmp_path: Path) -> None:
    folder = study_folder("tiny", tmp_path)
    folder.mkdir(parents=True)
    space_of().write(folder)
    assert load_study("tiny", tmp_path).trials == ()
    assert [path.name for path in folder.iterdir()] == ["space.yaml"]


def test_a_process_that_was_given_no_gpu_sees_none(ray_here: None) -> None:
    import ray

    def look() -> str | None:
        return os.environ.get("CUDA_VISIBLE_DEVICES")

    assert ray.get(ray.remote(num_cpus=0)(look).remote()) == ""
    assert "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO" not in os.environ


def test_a_token_that_is_asked_for_and_missing_is_said_before_ray_aborts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from lora2_search.execution.cluster import _join

    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    for address in ("127.0.0.1:1", "auto"):
        with pytest.raises(UserError, match="asks for a token, but there is none"):
            _join(address, print)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "nothing answers at 127.0.0.1:1"),
        ("localhost", "must be `auto` or host:port"),
        ("ray://localhost:10001", "must be `auto` or host:port"),
    ],
)
def test_a_wrong_address_is_said_at_once_and_leaves_no_study_behind(
    tmp_path: Path, address: str, words: str
) -> None:
    import ray

    if ray.is_initialized():
        from lora2_search.execution.cluster import _knock

        with pytest.raises(UserError, match=words):
            _knock(address)
        return
    with pytest.raises(UserError, match=words):
        run_study(space_of(), storage=tmp_path, address=address)
    assert not study_folder("tiny", tmp_path).exists()
