from __future__ import annotations

import errno
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from lora2_search.config.run import RunConfig
from lora2_search.errors import is_disk_full
from lora2_search.execution.loss import Loss
from lora2_search.execution.result import of_failure, of_report
from lora2_search.execution.run_queue import RunLimits, RunQueue
from lora2_search.execution.searcher import Leaving, TruthfulSearcher
from lora2_search.search.ask_tell import AskTell
from lora2_search.search.storage import open_study
from lora2_search.store.record import read_record
from tests.support.spaces import space_of
from tests.support.stand_in import Recorder, iterate, score_at


class Desk:
    """A searcher over a real study, and runs that really happen, without Ray."""

    def __init__(self, folder: Path, database: Any, **space: Any) -> None:
        self.study, storage = database
        self.seen = Recorder()
        over = space.pop("over", lambda: False)
        source = AskTell(self.study, storage, space_of(**space), folder, (), over)
        terms = RunLimits(threads=1, gpu=False, interval_seconds=None)
        self.queue = RunQueue(source, [self.seen], terms, lambda at: f"stopped at {at}")
        self.searcher = TruthfulSearcher(self.queue)
        self.source = source

    def begin(self, trial_id: str) -> dict[str, Any]:
        task = self.searcher.suggest(trial_id)
        assert isinstance(task, dict)
        self.queue.started(trial_id)
        return task

    def run(self, trial_id: str, task: dict[str, Any], intervals: int = 99) -> dict[str, Any]:
        """Run some intervals and return the last result."""
        result: dict[str, Any] = {}
        config = RunConfig.model_validate_json(task["config"])
        for report in iterate(config, Path(task["folder"])):
            result = of_report(report)
            self.queue.reported(trial_id, result)
            if report.interval >= intervals:
                break
        return result


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Any]:
    with open_study(tmp_path, "tiny") as pair:
        yield pair


@pytest.mark.parametrize(
    ("intervals", "change", "error", "state", "record", "reason"),
    [
        (5, {}, False, "COMPLETE", "completed", ""),
        (3, {}, False, "PRUNED", "pruned", "stopped at 3"),
        (3, None, False, "PRUNED", "pruned", "stopped at 0"),
        (2, of_failure("boom", 3), False, "FAIL", "failed", "boom"),
        (2, {"score": math.nan}, False, "FAIL", "failed", "diverged: the score is NaN"),
        (5, {"score": math.nan}, False, "FAIL", "completed", "diverged: the score is NaN"),
        (2, None, True, "FAIL", "failed", "its process died 1 times: killed, or out of memory"),
    ],
)
def test_optuna_is_told_the_truth(
    tmp_path: Path,
    database: Any,
    intervals: int,
    change: dict[str, Any] | None,
    error: bool,
    state: str,
    record: str,
    reason: str,
) -> None:
    desk = Desk(tmp_path, database)
    task = desk.begin("a")
    last = desk.run("a", task, intervals)
    result = None if change is None else {**last, **change}
    desk.searcher.on_trial_complete(trial_id="a", result=result, error=error)
    (trial,) = desk.study.trials
    config = RunConfig.model_validate_json(task["config"])
    assert trial.state == TrialState[state]
    assert trial.intermediate_values == {i: score_at(config, i) for i in range(1, intervals + 1)}
    assert trial.value == (score_at(config, 5) if state == "COMPLETE" else trial.value)
    assert trial.user_attrs.get("reason", "") == reason
    written = read_record(Path(task["folder"]))
    assert written is not None
    if (intervals, record) != (5, "completed") or state == "COMPLETE":
        assert written.status == record
    assert desk.seen.of("ended")["00000"][0][0] == state


def test_a_run_that_never_wrote_a_record_gets_one_that_says_why(
    tmp_path: Path, database: Any
) -> None:
    desk = Desk(tmp_path, database)
    task = desk.begin("a")
    desk.queue.lost("a", Loss("OutOfMemoryError"))
    desk.searcher.on_trial_complete("a", error=True)
    record = read_record(Path(task["folder"]))
    assert record is not None
    assert (record.status, record.error) == ("failed", "its process died 2 times: OutOfMemoryError")


def test_a_trial_told_twice_counts_once(tmp_path: Path, database: Any) -> None:
    desk = Desk(tmp_path, database)
    last = desk.run("a", desk.begin("a"))
    desk.searcher.on_trial_complete("a", last)
    desk.searcher.on_trial_complete("a", None, True)
    assert [trial.state.name for trial in desk.study.trials] == ["COMPLETE"]


def test_a_run_whose_end_cannot_be_written_is_not_over(
    tmp_path: Path, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path, database)
    last = desk.run("a", desk.begin("a"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(desk.source, "ended", full)
        with pytest.raises(Leaving) as left:
            desk.searcher.on_trial_complete("a", last)
    assert left.value.error is not None and is_disk_full(left.value.error)
    assert [trial.state.name for trial in desk.study.trials] == ["RUNNING"]
    assert desk.seen.of("ended") == {}
    desk.searcher.on_trial_complete("a", last)
    assert [trial.state.name for trial in desk.study.trials] == ["COMPLETE"]
    assert len(desk.seen.of("ended")["00000"]) == 1


def test_a_full_disk_of_a_run_ends_the_execution_and_not_the_run(
    tmp_path: Path, database: Any
) -> None:
    first = Desk(tmp_path, database)
    task = first.begin("a")
    first.run("a", task, 2)
    with pytest.raises(OSError, match="No space left on device"):
        first.queue.reported("a", of_failure("OSError: [Errno 28] No space left on device", 3))
    assert [trial.state.name for trial in first.study.trials] == ["RUNNING"]
    second = Desk(tmp_path, database)
    second.searcher.on_trial_complete("b", second.run("b", second.begin("b")))
    (trial,) = second.study.trials
    assert (trial.state.name, len(trial.intermediate_values)) == ("COMPLETE", 5)


def test_a_study_ends_with_its_trials_or_its_time(tmp_path: Path, database: Any) -> None:
    late: list[bool] = []
    desk = Desk(tmp_path, database, trials=3, over=lambda: bool(late))
    for name in "ab":
        desk.searcher.on_trial_complete(name, desk.run(name, desk.begin(name)))
    late.append(True)
    assert desk.searcher.suggest("c") == "FINISHED"
    late.clear()
    desk.begin("c")
    assert desk.searcher.suggest("d") == "FINISHED"
    assert len(desk.study.trials) == 3


def test_orphans_come_first_with_the_numbers_and_settings_they_had(
    tmp_path: Path, database: Any
) -> None:
    first = Desk(tmp_path, database)
    tasks = {name: first.begin(name) for name in "ab"}
    first.run("a", tasks["a"], 2)
    second = Desk(tmp_path, database)
    again = [second.begin(name) for name in "cd"]
    assert [task["config"] for task in again] == [task["config"] for task in tasks.values()]
    assert again[0]["past"] == [[i, score_at(_config(again[0]), i)] for i in (1, 2)]
    assert again[1]["past"] == []
    for name, task in zip("cd", again, strict=True):
        second.searcher.on_trial_complete(name, second.run(name, task))
    assert second.begin("e")["key"] == "00002"
    states = [trial.state.name for trial in second.study.trials]
    assert states == ["COMPLETE", "COMPLETE", "RUNNING"]
    assert all(len(trial.intermediate_values) == 5 for trial in second.study.trials[:2])


def test_evaluations_that_no_driver_received_are_not_lost(tmp_path: Path, database: Any) -> None:
    first = Desk(tmp_path, database)
    task = first.begin("a")
    reports = iterate(_config(task), Path(task["folder"]))
    for _ in range(3):
        next(reports)  # the worker goes on; its driver is dead
    second = Desk(tmp_path, database)
    second.searcher.on_trial_complete("b", second.run("b", second.begin("b")))
    assert list(second.study.trials[0].intermediate_values) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("status", "state"), [("completed", "COMPLETE"), ("pruned", "PRUNED"), ("failed", "FAIL")]
)
def test_a_run_that_ended_while_no_driver_listened_is_told_and_not_repeated(
    tmp_path: Path, database: Any, status: str, state: str
) -> None:
    first = Desk(tmp_path, database)
    task = first.begin("a")
    folder = Path(task["folder"])
    for _ in iterate(_config(task), folder):
        pass
    record = read_record(folder)
    assert record is not None
    record.model_copy(update={"status": status, "error": None}).write(folder)
    second = Desk(tmp_path, database)
    assert second.begin("b")["key"] == "00001"
    assert second.study.trials[0].state.name == state
    assert [kind for _, kind, key, _ in second.seen.events if key == "00000"][-1] == "ended"


def test_a_proposal_cut_short_keeps_what_it_has_and_is_completed(
    tmp_path: Path, database: Any
) -> None:
    search = {name: {"type": "int", "low": 1, "high": 64} for name in ("adapter.k", "adapter.r")}
    cut = Desk(tmp_path, database, search=search)
    k = cut.study.ask().suggest_int("adapter.k", 1, 64)  # the driver dies before adapter.r
    config = _config(Desk(tmp_path, database, search=search).begin("a"))
    (trial,) = cut.study.trials
    assert trial.params == {"adapter.k": k, "adapter.r": config.adapter.r}


def test_three_first_trials_that_fail_alike_end_the_study(tmp_path: Path, database: Any) -> None:
    desk = Desk(tmp_path, database, trials=9)
    for name in "abc":
        assert desk.source.common_failure is None
        desk.begin(name)
        desk.searcher.on_trial_complete(name, of_failure("no model there", 1))
    assert desk.source.common_failure == "no model there"
    assert desk.searcher.suggest("d") == "FINISHED"


def test_three_later_trials_that_fail_alike_do_not(tmp_path: Path, database: Any) -> None:
    desk = Desk(tmp_path, database, trials=9)
    desk.searcher.on_trial_complete("a", desk.run("a", desk.begin("a")))
    for name in "bcd":
        desk.begin(name)
        desk.searcher.on_trial_complete(name, of_failure("unlucky", 1))
    assert desk.source.common_failure is None
    desk.begin("e")


def test_a_streak_of_divergence_does_not_end_a_study_that_has_complete_trials(
    tmp_path: Path, database: Any
) -> None:
    first = Desk(tmp_path, database, trials=2)
    first.searcher.on_trial_complete("a", first.run("a", first.begin("a")))
    resumed = Desk(tmp_path, database, trials=9)
    for name in "bcd":
        resumed.begin(name)
        resumed.searcher.on_trial_complete(name, of_failure("Diverged: the loss is NaN", 1))
    assert resumed.source.common_failure is None
    resumed.begin("e")


@pytest.mark.parametrize("end", ["COMPLETE", "FAIL"])
def test_a_trial_under_way_that_has_a_score_is_waited_for(
    tmp_path: Path, database: Any, end: str
) -> None:
    desk = Desk(tmp_path, database, trials=9)
    good = desk.begin("good")
    desk.run("good", good, intervals=1)
    for name in "abc":
        desk.begin(name)
        desk.searcher.on_trial_complete(name, of_failure("Diverged: the loss is NaN", 1))
    assert desk.source.common_failure is None
    last = desk.run("good", good) if end == "COMPLETE" else of_failure("Diverged: also", 2)
    desk.searcher.on_trial_complete("good", last)
    assert (desk.source.common_failure is None) == (end == "COMPLETE")


def test_a_folder_with_another_run_is_refused(tmp_path: Path, database: Any) -> None:
    for _ in iterate(space_of().run_config({"adapter.k": 3}), tmp_path / "trials" / "00000"):
        pass
    with pytest.raises(Leaving) as left:
        Desk(tmp_path, database, seed=5).searcher.suggest("a")
    assert "holds a run with other settings than trial 0" in str(left.value.error)


def _config(task: dict[str, Any]) -> RunConfig:
    return RunConfig.model_validate_json(task["config"])
