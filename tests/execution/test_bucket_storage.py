"""Studies whose storage is a bucket: each machine has a home, and nothing else is shared."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora2_search.errors import NameInUse, UserError
from lora2_search.execution.cluster import connect
from lora2_search.experiments.catalog import find_item
from lora2_search.experiments.cleaning import collect, delete, garbage
from lora2_search.search.study import Study, load_study, run_study
from lora2_search.store.bucket import BucketCopy
from lora2_search.store.environment import variables
from lora2_search.store.lock import lock_folder
from lora2_search.store.storage import storage_folder
from tests.execution.test_faults import Driver
from tests.support.bucket import bucket, s3
from tests.support.exactly_once import assert_every_point_once
from tests.support.ray_here import workers_find_tests
from tests.support.spaces import space_of
from tests.support.stand_in import StandIn

__all__ = ["bucket", "s3", "workers_find_tests"]


@pytest.fixture(scope="module")
def workers_elsewhere(
    s3: None, workers_find_tests: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A Ray whose workers have another home than the driver."""
    home = tmp_path_factory.mktemp("workers")
    with (
        variables({"LORA2_SEARCH_HOME": str(home)}),
        connect(None, tmp_path_factory.mktemp("ray")),
    ):
        yield home


def searched(bucket: str, **options: bool) -> Study:
    space = space_of(trials=3, scheduler={"name": "none"})
    return run_study(space, storage=storage_folder(bucket), trainable=StandIn, **options)


def seen_from(home: Path, bucket: str) -> Study:
    """Return the study as a machine sees it that has never seen it."""
    with variables({"LORA2_SEARCH_HOME": str(home)}):
        storage = storage_folder(bucket)
        assert storage is not None
        return load_study("tiny", storage)


def test_a_study_is_the_same_from_every_machine(
    bucket: str, workers_elsewhere: Path, tmp_path: Path
) -> None:
    study = searched(bucket)
    assert [trial.state for trial in study.trials] == ["COMPLETE"] * 3
    assert_every_point_once(study.folder)
    with variables({"LORA2_SEARCH_HOME": str(workers_elsewhere)}):
        trained = BucketCopy(bucket, "studies/tiny/trials").folder
    # They ran there, and left nothing: the bucket has it.
    assert (trained.parents[2] / "url.json").is_file()
    assert not list(trained.glob("*/record.json"))
    other = seen_from(tmp_path / "other", bucket)
    assert_every_point_once(other.folder)
    assert [trial.params for trial in other.trials] == [trial.params for trial in study.trials]
    assert [trial.values for trial in other.trials] == [trial.values for trial in study.trials]
    assert not find_item("tiny", study.folder.parents[1]).is_running


def test_a_study_that_is_deleted_on_one_machine_is_gone_on_every_other(
    bucket: str, workers_elsewhere: Path, tmp_path: Path
) -> None:
    study = searched(bucket)
    other = seen_from(tmp_path / "other", bucket)
    with variables({"LORA2_SEARCH_HOME": str(tmp_path / "other")}):
        found = garbage("tiny", other.folder.parents[1])
        assert [item.what.partition(" of study")[0] for item in found] == [
            *(f"checkpoint of trial {number}" for number in range(3)),
            "checkpoint of head-only",
        ]
        assert all(item.size and not item.folder.exists() for item in found)
        collect(found)
    assert not [name for name in BucketCopy(bucket).sizes() if "checkpoint" in name]
    delete("tiny", study.folder.parents[1])
    assert not BucketCopy(bucket).sizes()
    with (
        variables({"LORA2_SEARCH_HOME": str(tmp_path / "other")}),
        pytest.raises(UserError, match="no study named tiny"),
    ):
        load_study("tiny", storage_folder(bucket))


def test_a_study_that_another_machine_wrote_meanwhile_stays_as_it_is(
    bucket: str, workers_elsewhere: Path
) -> None:
    storage = storage_folder(bucket)
    plan = b"task: sentiment\nsearch: {adapter.k: {type: int, low: 1, high: 2}}"
    copy = BucketCopy(bucket, "studies/tiny")
    copy.write("space.yaml", plan)
    space = space_of(trials=3, scheduler={"name": "none"})
    with pytest.raises(NameInUse):
        run_study(space, storage=storage, trainable=StandIn)
    copy.write("space.yaml", plan + b" ")
    with pytest.raises(UserError, match="tiny was started with other settings"):
        run_study(space, storage=storage, trainable=StandIn, resume=True)
    assert copy.read("space.yaml") == plan + b" "


def test_what_another_machine_runs_is_refused_here_and_shown_as_running(
    bucket: str, tmp_path: Path
) -> None:
    copy = BucketCopy(bucket, "studies/tiny")
    owner = {"pid": 12, "host": "node7", "seconds": 4e9}
    copy.write("driver-00000003.json", json.dumps(owner).encode())
    copy.write("space.yaml", b"task: sentiment\nsearch: {adapter.k: {type: int, low: 1, high: 2}}")
    storage = storage_folder(bucket)
    assert find_item("tiny", storage).is_running
    with (
        pytest.raises(UserError, match="tiny is being run by process 12 on node7; stop it"),
        lock_folder(copy.folder),
    ):
        pass


@pytest.mark.slow
def test_a_driver_that_is_killed_is_followed_by_one_on_another_machine(
    bucket: str, s3: None, workers_find_tests: None, tmp_path: Path
) -> None:
    driver = Driver(tmp_path)
    begun, words = tmp_path / "first", ("--bucket", bucket, "--trials", "4")
    with variables({"LORA2_SEARCH_HOME": str(begun)}):
        driver.start(*words)
        copy = BucketCopy(bucket, "studies/tiny").folder
    driver.wait_for(lambda: len(list(copy.glob("trials/*/record.json"))) >= 2)
    driver.wait_for(lambda: "completed" in (copy / "trials/00000/record.json").read_text())
    driver.kill()
    with variables({"LORA2_SEARCH_HOME": str(tmp_path / "second")}):
        driver.start(*words, "--resume")
        driver.finish()
    study = seen_from(tmp_path / "third", bucket)
    assert [trial.state for trial in study.trials] == ["COMPLETE"] * 4
    assert_every_point_once(study.folder)
    assert os.listdir(begun / "copies")
