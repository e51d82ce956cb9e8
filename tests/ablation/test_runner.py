from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lora2_search.ablation.runner import read_suite_result, run_suite, stored_suite, suite_folder
from lora2_search.config.run import RunConfig
from lora2_search.config.suite.schema import Suite, validate_suite, with_more_seeds
from lora2_search.config.yaml import Source
from lora2_search.errors import ConfigError, UserError
from lora2_search.execution.trainable import Run
from lora2_search.search.study import run_study
from lora2_search.store.record import read_record
from tests.support.exactly_once import assert_every_point_once
from tests.support.finished import Finishing
from tests.support.spaces import space_of
from tests.support.stand_in import STEPS, Recorder, StandIn

ROOT = Path(__file__).parents[2]


def suite(**changes: object) -> Suite:
    data = {
        "name": "tiny",
        "task": "sentiment",
        "training": {"evaluations": 2},
        "arms": {"narrow": {"adapter.k": 2}, "head-only": {"method": "head-only"}},
        "seeds": 2,
    }
    return validate_suite(Source({**data, **changes}))


def steps(folder: Path) -> list[str]:
    return [line.split()[0] for line in (folder / STEPS).read_text().splitlines()]


def test_a_suite_runs_resumes_what_failed_and_doubles_nothing(
    tmp_path: Path, ray_here: None
) -> None:
    plan = suite(seeds=[12, 13])  # the stand-in raises with seed 13
    recorder = Recorder()
    result = run_suite(plan, storage=tmp_path, observers=[recorder], trainable=StandIn)
    assert result.folder == tmp_path / "suites" / "tiny" and not result.interrupted
    told = {key: state for key, [(state, *_)] in recorder.of("ended").items()}
    assert told == {
        f"{arm}-seed{seed}": "COMPLETE" if seed == 12 else "FAIL"
        for arm in ("base", "narrow", "head-only")
        for seed in (12, 13)
    }
    done = result.folder / "runs" / "base-seed12"
    assert steps(done) == ["1", "2"] and result.frame().shape[0] == 6
    again = run_suite(
        stored_suite("tiny", tmp_path), resume=True, storage=tmp_path, trainable=StandIn
    )
    assert steps(done) == ["1", "2"]
    assert again.records["base-seed12"] == result.records["base-seed12"]
    with pytest.raises(UserError, match="exists .* resume it with resume='tiny'"):
        run_suite(plan, storage=tmp_path, trainable=StandIn)
    with pytest.raises(UserError, match=r"started with other settings \(arms"):
        other = suite(seeds=[12, 13], arms={**plan.arms, "narrow": {"adapter.k": 3}})
        run_suite(other, resume=True, storage=tmp_path, trainable=StandIn)


def test_a_suite_that_fits_nowhere_leaves_nothing_behind(tmp_path: Path, ray_here: None) -> None:
    with pytest.raises(ConfigError, match=r"resources\.cpus_per_trial: a run asks for 4096"):
        run_suite(suite(resources={"cpus_per_trial": 4096}), storage=tmp_path, trainable=StandIn)
    assert list((tmp_path / "suites").iterdir()) == []


def test_a_name_that_is_not_there_is_answered_with_the_nearest(tmp_path: Path) -> None:
    suite().write(_made(suite_folder("tiny", tmp_path)))
    with pytest.raises(UserError, match='no suite named tyny .*did you mean "tiny"'):
        run_suite(suite(name="tyny"), resume=True, storage=tmp_path)
    with pytest.raises(UserError, match="there are no suites yet"):
        stored_suite("tiny", tmp_path / "elsewhere")


def test_a_suite_can_be_read_before_anything_ran(tmp_path: Path) -> None:
    suite().write(_made(suite_folder("tiny", tmp_path)))
    result = read_suite_result("tiny", tmp_path)
    assert not result.complete and result.records == {} and result.failed == {}
    assert set(result.frame()["status"]) == {"waiting"}


def test_a_suite_lives_in_the_home_by_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LORA2_SEARCH_HOME", str(tmp_path))
    assert suite_folder("x") == tmp_path / "suites" / "x"


@pytest.mark.slow
def test_added_seeds_alone_are_run_and_noted(tmp_path: Path, ray_here: None) -> None:
    run_suite(suite(seeds=[2, 3]), storage=tmp_path, trainable=StandIn)
    grown = with_more_seeds(stored_suite("tiny", tmp_path), 1)
    recorder = Recorder()
    result = run_suite(
        grown, resume=True, storage=tmp_path, observers=[recorder], trainable=StandIn
    )
    assert result.complete and len(result.runs) == 9
    assert all(steps(run.folder) == ["1", "2"] for run in result.runs)
    told = {key for key in recorder.of("reported") if key.endswith("seed4")}
    assert told == {"base-seed4", "narrow-seed4", "head-only-seed4"}
    again = stored_suite("tiny", tmp_path)
    assert (again.seed_list, again.added_seeds) == ([2, 3, 4], [4])
    with pytest.raises(UserError, match="must keep those of the suite tiny"):
        run_suite(suite(seeds=[2, 5]), resume=True, storage=tmp_path, trainable=StandIn)


@pytest.fixture
def of_a_file(reviews_csv: Path, tmp_path: Path) -> dict:
    """Settings of runs whose sentences and model are there."""
    data = shutil.copy(reviews_csv, tmp_path / "reviews.csv")
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    return {
        "task": "custom",
        "data": {"path": str(data), "text": ["review"], "label": "verdict"},
        "model": {"name_or_path": str(model)},
    }


@pytest.mark.slow
def test_two_suites_that_share_arms_train_them_once(
    of_a_file: dict, tmp_path: Path, ray_here: None
) -> None:
    run_suite(suite(**of_a_file), storage=tmp_path, trainable=Finishing)
    told: list[str] = []
    recorder = Recorder()
    arms = {
        "other": {"adapter.k": 3},
        "slim": {"adapter.k": 2},
        "head-only": {"method": "head-only"},
    }
    result = run_suite(
        suite(name="second", arms=arms, seeds=3, **of_a_file),
        storage=tmp_path,
        observers=[recorder],
        trainable=Finishing,
        say=told.append,
    )
    taken = {key for key, record in result.records.items() if record.reused_from}
    assert taken == {
        f"{arm}-seed{seed}" for arm in ("base", "slim", "head-only") for seed in (0, 1)
    }
    assert result.records["slim-seed1"].reused_from == "suites/tiny/runs/narrow-seed1"
    assert told == ["6 of 12 runs are reused, not trained again: 6 from suites/tiny"]
    trained = {run.key for run in result.runs if (run.folder / "attempt.json").exists()}
    assert trained == {run.key for run in result.runs} - taken
    # MLflow is told of them all the same.
    assert recorder.of("ended").keys() == {run.key for run in result.runs}


def _another_word(of_a_file: dict) -> None:
    path = Path(of_a_file["data"]["path"])
    path.write_text(path.read_text().replace("film", "book"))


def test_a_suite_goes_on_with_its_data_alone_also_for_seeds_that_are_added(
    of_a_file: dict, tmp_path: Path, ray_here: None
) -> None:
    run_suite(suite(**of_a_file), storage=tmp_path, trainable=Finishing)
    text = Path(of_a_file["data"]["path"]).read_text()
    _another_word(of_a_file)
    stored = stored_suite("tiny", tmp_path)
    for plan in (stored, with_more_seeds(stored, 1)):
        with pytest.raises(ConfigError, match="reviews.csv: its texts changed since .*-seed"):
            run_suite(plan, resume=True, storage=tmp_path, trainable=Finishing)
    assert stored_suite("tiny", tmp_path).seed_list == [0, 1]
    Path(of_a_file["data"]["path"]).write_text(text)
    grown = run_suite(
        with_more_seeds(stored, 1), resume=True, storage=tmp_path, trainable=Finishing
    )
    assert grown.complete and not grown.failed


class Changing(Finishing):
    """Changes a word of the data before the last run of the suite."""

    def _start(self, config: RunConfig, folder: Path) -> Run:
        if folder.name == "head-only-seed1":
            _another_word({"data": {"path": config.data.path}})
        return super()._start(config, folder)


def test_a_run_that_read_other_data_than_those_before_it_fails(
    of_a_file: dict, tmp_path: Path, ray_here: None
) -> None:
    plan = suite(**of_a_file, resources={"concurrent": 1})
    result = run_suite(plan, storage=tmp_path, trainable=Changing)
    assert list(result.failed) == ["head-only-seed1"]
    assert (
        "reviews.csv: its texts changed since the runs before" in result.failed["head-only-seed1"]
    )


@pytest.mark.slow
def test_a_study_goes_on_with_its_data_alone(
    of_a_file: dict, tmp_path: Path, ray_here: None
) -> None:
    space = space_of(trials=2, scheduler={"name": "none"}, training={"evaluations": 2}, **of_a_file)
    run_study(space, storage=tmp_path, trainable=Finishing)
    _another_word(of_a_file)
    more = space.model_copy(update={"trials": 4})
    with pytest.raises(ConfigError, match="its texts changed since"):
        run_study(more, resume=True, storage=tmp_path, trainable=Finishing)


@pytest.mark.slow
def test_a_trial_of_a_study_is_taken_over_too(
    of_a_file: dict, tmp_path: Path, ray_here: None
) -> None:
    space = space_of(trials=3, scheduler={"name": "none"}, training={"evaluations": 2}, **of_a_file)
    study = run_study(space, storage=tmp_path, trainable=Finishing)
    assert study.best is not None
    arms = {"winner": dict(study.best.params), "head-only": {"method": "head-only"}}
    base = {**of_a_file, "training": space.training.model_dump(), "seeds": [space.seed, 90]}
    result = run_suite(
        suite(arms=arms, adapter=space.adapter.model_dump(), **base),
        storage=tmp_path,
        trainable=Finishing,
    )
    taken = {key: record.reused_from for key, record in result.records.items()}
    assert taken[f"winner-seed{space.seed}"] == f"studies/tiny/trials/{study.best.number:05d}"
    assert taken[f"head-only-seed{space.seed}"] == "studies/tiny/reference/head-only"
    assert taken["winner-seed90"] is None
    alone = run_suite(
        suite(name="alone", arms=arms, adapter=space.adapter.model_dump(), **base),
        storage=tmp_path,
        trainable=Finishing,
        reuse=False,
    )
    assert not any(record.reused_from for record in alone.records.values())


@pytest.mark.slow
def test_arms_are_tuned_first_and_the_choice_is_kept(tmp_path: Path, ray_here: None) -> None:
    # The stand-in's score grows with k.
    tuning = {"arms": {"narrow": {"adapter.k": [2, 5, 3]}}, "seeds": 1}
    told: list[str] = []
    result = run_suite(suite(tuning=tuning), storage=tmp_path, trainable=StandIn, say=told.append)
    assert told == ["tuned narrow: adapter.k=5 (the end of its grid for adapter.k: a wider one may "
                    "do better)"]  # fmt: skip
    assert result.records["narrow-seed0"].config["adapter"]["k"] == 5
    assert len(list((result.folder / "tuning").iterdir())) == 3
    stored = stored_suite("tiny", tmp_path)
    assert stored.tuned == {"narrow": {"adapter.k": 5}}
    assert json.loads((result.folder / "differences.json").read_text())["narrow"] == {
        "adapter.k": [8, 5]
    }
    run_suite(stored, resume=True, storage=tmp_path, trainable=StandIn)
    assert all(steps(path) == ["1", "2"] for path in (result.folder / "tuning").iterdir())


SCRIPT = """
import sys
from pathlib import Path
from tests.ablation.test_runner import suite
from tests.support.stand_in import SlowStandIn
from lora2_search.ablation.runner import run_suite
run_suite(suite(training={"evaluations": 6}), storage=Path(sys.argv[1]), trainable=SlowStandIn)
"""


@pytest.mark.slow
def test_a_suite_whose_driver_was_killed_goes_on_and_doubles_nothing(tmp_path: Path) -> None:
    driver = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=ROOT)
    folder = suite_folder("tiny", tmp_path)
    try:
        _wait(lambda: any((folder / "runs").glob(f"*/{STEPS}")), 90)
        _wait(lambda: _completed(folder) >= 1, 60)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    time.sleep(4)  # orphaned workers are gone after 3 s
    assert 1 <= _completed(folder) < 6
    result = run_suite(
        stored_suite("tiny", tmp_path), resume=True, storage=tmp_path, trainable=StandIn
    )
    assert result.complete and not result.failed
    for run in result.runs:
        assert sorted(set(steps(run.folder))) == [str(n) for n in range(1, 7)]
        assert len(result.records[run.key].history) == 6
    assert_every_point_once(folder)


def _completed(folder: Path) -> int:
    records = [read_record(path) for path in (folder / "runs").glob("*")]
    return sum(record is not None and record.status == "completed" for record in records)


def _wait(condition, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
