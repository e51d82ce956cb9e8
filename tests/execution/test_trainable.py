from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import fsspec
import pytest

from lora2_search.config.run import RunConfig, with_settings
from lora2_search.errors import BaseChanged, Preempted
from lora2_search.execution import result as results
from lora2_search.execution.trainable import Run, Task
from lora2_search.execution.watchdog import OVERDUE_EXIT_CODE, OVERDUE_FILE, time_limit
from lora2_search.store.attempt import ATTEMPT_FILE, Superseded
from lora2_search.store.bucket import BucketCopy
from lora2_search.store.environment import variables
from lora2_search.store.record import read_record
from tests.support.bucket import bucket, s3
from tests.support.stand_in import STEPS, StandIn, score_at

__all__ = ["bucket", "s3"]

KEYS = {"standard_error", "score", "training_iteration", "completed", "failed", "report", "done"}


def task(
    folder: Path,
    seed: int = 0,
    k: int = 4,
    metric: str | None = None,
    gpu: bool = True,
    bucket: str = "",
) -> Task:
    config = with_settings(RunConfig(task="sentiment", seed=seed), {"adapter.k": k})
    return Task(
        key="00000",
        config=config.model_dump_json(),
        folder=str(folder),
        bucket=bucket,
        inside="studies/tiny/trials/00000" if bucket else "",
        metric=metric,
        threads=1,
        gpu=gpu,
        devices=1,
        interval_seconds=None,
        cwd=str(Path.cwd()),
        past=[],
        judged=True,
    )


def process(first: Task) -> StandIn:
    """A trainable outside of Ray: its own part of the interface alone."""
    made = StandIn.__new__(StandIn)
    made.setup(first)
    return made


def drain(trainable: StandIn) -> list[results.Result]:
    found = [trainable.step()]
    while not found[-1]["done"]:
        found.append(trainable.step())
    return found


def test_every_result_has_all_keys_and_only_the_last_is_complete(tmp_path: Path) -> None:
    found = drain(process(task(tmp_path)))
    assert all(set(item) == KEYS for item in found)
    assert [item["completed"] for item in found] == [False] * 4 + [True]
    assert [item["training_iteration"] for item in found] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("seed", "reason"),
    [(13, "RuntimeError: unlucky"), (17, "diverged: the score is NaN at step 20")],
)
def test_what_goes_wrong_in_a_run_is_a_result_and_the_process_takes_the_next_run(
    tmp_path: Path, seed: int, reason: str
) -> None:
    worker = process(task(tmp_path / "bad", seed))
    last = drain(worker)[-1]
    assert set(last) == KEYS
    assert last["failed"] == reason
    assert math.isnan(last["score"])
    assert worker.reset_config(task(tmp_path / "good"))
    assert drain(worker)[-1]["completed"]


def test_a_run_in_a_used_process_equals_the_same_run_in_a_fresh_one(tmp_path: Path) -> None:
    worker = process(task(tmp_path / "a", seed=13))
    drain(worker)
    worker.reset_config(task(tmp_path / "stopped", k=9))
    worker.step()
    worker.reset_config(task(tmp_path / "used"))
    drain(worker)
    drain(process(task(tmp_path / "fresh")))
    assert read_record(tmp_path / "used") == read_record(tmp_path / "fresh")


def test_a_report_crosses_to_the_driver_unchanged(tmp_path: Path) -> None:
    found = drain(process(task(tmp_path)))
    reports = [results.report_of(json.loads(json.dumps(item))) for item in found]
    record = read_record(tmp_path)
    assert record is not None
    assert [point for report in reports if report for point in report.points] == record.history
    assert reports[-1] is not None
    assert reports[-1].done


def test_a_run_taken_up_again_goes_on_and_repeats_its_history(tmp_path: Path) -> None:
    first = process(task(tmp_path))
    for _ in range(2):
        first.step()
    found = drain(process(task(tmp_path)))
    report = results.report_of(found[0])
    assert report is not None
    assert (report.interval, len(report.points)) == (2, 2)
    steps = [line.split()[0] for line in (tmp_path / STEPS).read_text().splitlines()]
    assert steps == ["1", "2", "3", "4", "5"]


def test_another_objective_is_taken_from_the_measured_metrics(tmp_path: Path) -> None:
    last = drain(process(task(tmp_path, metric="f1")))[-1]
    config = RunConfig.model_validate_json(task(tmp_path)["config"])
    assert last["score"] == score_at(config, 5) / 2
    told = results.report_of(last)
    assert told is not None
    assert told.score == last["score"]


class Cutting(StandIn):
    """A run whose adapter is cut once it is trained: it scores less than its last evaluation."""

    def _start(self, config: RunConfig, folder: Path) -> Run:
        for report in super()._start(config, folder):
            record = read_record(folder)
            assert record is not None
            if report.done:
                record.scores = {name: score / 2 for name, score in record.scores.items()}
                record.write(folder)
            yield report
        return record


def test_a_run_that_is_cut_in_the_end_is_judged_by_what_is_left(tmp_path: Path) -> None:
    made = Cutting.__new__(Cutting)
    made.setup(task(tmp_path, metric="f1"))
    first, *_, last = drain(made)
    config = RunConfig.model_validate_json(task(tmp_path)["config"])
    assert (first["score"], last["score"]) == (score_at(config, 1) / 2, score_at(config, 5) / 4)


@pytest.mark.parametrize("gpu", [True, False])
def test_a_process_without_a_gpu_of_its_own_trains_on_the_cpu(
    tmp_path: Path, gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "")
    given = task(tmp_path, gpu=gpu)
    process(given)
    # What accelerate takes for `cpu=True`; the settings, and so the fingerprint, stay.
    assert os.environ["ACCELERATE_USE_CPU"] == ("" if gpu else "true")
    assert RunConfig.model_validate_json(given["config"]).training.device == "auto"


def test_an_objective_that_is_not_measured_names_those_that_are(tmp_path: Path) -> None:
    (last,) = drain(process(task(tmp_path, metric="bleu")))
    assert last["failed"] == (
        "objective.metric: no validation/bleu is measured, only validation/accuracy, validation/f1"
    )


def test_a_process_thought_dead_stops_before_its_next_interval(tmp_path: Path) -> None:
    late, successor = process(task(tmp_path)), process(task(tmp_path))
    late.step()
    successor.step()
    with pytest.raises(Superseded, match="attempt 1 .* attempt 2 runs on"):
        late.step()
    assert drain(successor)[-1]["completed"]
    assert json.loads((tmp_path / ATTEMPT_FILE).read_text())["number"] == 2


def test_a_run_whose_last_process_hung_fails_with_what_it_left(tmp_path: Path) -> None:
    (tmp_path / OVERDUE_FILE).write_text("an evaluation interval took longer than 2 minutes")
    (last,) = drain(process(task(tmp_path)))
    assert last["failed"] == "an evaluation interval took longer than 2 minutes"
    assert not (tmp_path / OVERDUE_FILE).exists()


class Silent:
    """A file system whose server does not answer."""

    def __getattr__(self, name: str) -> Any:
        if name == "_strip_protocol":
            return lambda url: url.removeprefix("s3://")
        raise ConnectionError("nothing there")


class Ending(StandIn):
    """A run that writes its checkpoint and leaves, or its record and fails."""

    error: Exception = Preempted("its node is about to end")

    def _start(self, config: RunConfig, folder: Path) -> Run:
        yield next(super()._start(config, folder))
        (folder / "checkpoint" / "state.json").write_text('{"last": 1}')
        raise self.error


class Diverging(Ending):
    error = ValueError("diverged")


def in_bucket(bucket: str, name: str) -> bytes | None:
    return BucketCopy(bucket, "studies/tiny/trials/00000").read(name)


@pytest.mark.parametrize("kind", [Ending, Diverging])
def test_what_a_run_left_that_has_to_go_or_failed_is_in_its_bucket(
    bucket: str, own_home: Path, tmp_path: Path, kind: type[Ending]
) -> None:
    worker = kind.__new__(kind)
    worker.setup(task(tmp_path, bucket=bucket))
    worker.step()
    if kind is Ending:
        with pytest.raises(Preempted):
            worker.step()
    else:
        assert worker.step()["failed"] == "ValueError: diverged"
    assert in_bucket(bucket, "checkpoint/state.json") == b'{"last": 1}'


def test_why_a_run_failed_is_said_once_wherever_it_is_taken_up(
    bucket: str, own_home: Path, tmp_path: Path
) -> None:
    worker = process(task(tmp_path, 23, bucket=bucket))
    worker.step()
    with pytest.raises(BaseChanged):
        worker.step()
    with variables({"LORA2_SEARCH_HOME": str(tmp_path / "elsewhere")}):
        (last,) = drain(process(task(tmp_path, bucket=bucket)))
        assert last["failed"] == "BaseChanged: the base changed"
        assert in_bucket(bucket, OVERDUE_FILE) is None
        assert drain(process(task(tmp_path, bucket=bucket)))[-1]["completed"]
    assert drain(process(task(tmp_path, bucket=bucket)))[-1]["completed"]


def test_a_step_that_hangs_says_so_in_the_bucket(
    bucket: str, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr("lora2_search.execution.watchdog.os._exit", ended.append)
    copy = BucketCopy(bucket, "studies/tiny/trials/00000")
    copy.folder.mkdir(parents=True)
    with time_limit(copy.folder, 0.01, copy.send):
        for _ in range(400):
            time.sleep(0.01)
            if ended:
                break
    assert ended == [OVERDUE_EXIT_CODE]
    assert b"took longer than" in (in_bucket(bucket, OVERDUE_FILE) or b"")


def test_a_run_whose_bucket_is_lost_moves_instead_of_failing(
    bucket: str, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = process(task(tmp_path, bucket=bucket))
    worker.step()
    monkeypatch.setattr("lora2_search.store.object_store.PATIENCE_SECONDS", 0)
    monkeypatch.setattr("lora2_search.store.object_store._file_system", lambda url: Silent())
    with pytest.raises(Preempted, match=f"{bucket} does not answer: nothing there"):
        worker.step()


def test_a_run_whose_bucket_lets_nobody_in_fails_and_says_so(
    bucket: str, own_home: Path, tmp_path: Path
) -> None:
    worker = process(task(tmp_path, bucket=bucket))
    worker.step()
    fsspec.filesystem("s3").rm(bucket.removesuffix("/team"), recursive=True)
    assert f"{bucket} is not there: " in worker.step()["failed"]
