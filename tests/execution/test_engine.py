from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from lora2_search.config.run import RunConfig, with_settings
from lora2_search.config.run_info import RunInfo
from lora2_search.config.space.schema import Resources
from lora2_search.errors import ConfigError, FolderGone
from lora2_search.execution.engine import RunList, execute
from lora2_search.execution.session import run_session
from lora2_search.store.record import read_record
from tests.support.exactly_once import assert_every_point_once
from tests.support.patience import BUSY
from tests.support.stand_in import STEPS, LateStandIn, Recorder, SlowStandIn, StandIn

ONE = Resources(concurrent=1)


def runs(folder: Path, seeds: list[int]) -> list[RunInfo]:
    base = RunConfig(task="sentiment")
    return [
        RunInfo(
            key=f"base-seed{seed}",
            name=f"base, seed {seed}",
            config=with_settings(base, {"seed": seed}),
            settings={},
            folder=folder / "runs" / f"base-seed{seed}",
        )
        for seed in seeds
    ]


def run_all(listed: list[RunInfo], folder: Path, *, resources: Resources, **more: Any) -> bool:
    with run_session(folder, resources, device="auto", resume=True, address=None) as terms:
        return execute(RunList(listed), folder, terms, **more)


def test_a_list_runs_in_order_in_one_process_and_failures_stop_no_other(
    tmp_path: Path, ray_here: None, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = Recorder()
    handler = signal.getsignal(signal.SIGINT)
    listed = runs(tmp_path, [1, 13, 17, 2])
    capfd.readouterr()
    assert not run_all(listed, tmp_path, resources=ONE, observers=[seen], trainable=StandIn)
    assert capfd.readouterr() == ("", "")
    assert signal.getsignal(signal.SIGINT) is handler
    assert list(seen.of("ended")) == [run.key for run in listed]
    assert [seen.of("ended")[run.key][0] for run in listed] == [
        ("COMPLETE", "completed", ""),
        ("FAIL", "failed", "RuntimeError: unlucky"),
        ("FAIL", "failed", "diverged: the score is NaN at step 20"),
        ("COMPLETE", "completed", ""),
    ]
    assert len({line.split()[1] for run in listed for line in _steps(run)}) == 1
    assert not (tmp_path / ".ray").exists()

    # The same call again tells of what is complete, and runs only the rest.
    again = Recorder()
    run_all(listed, tmp_path, resources=ONE, observers=[again], trainable=StandIn)
    assert [state for ((state, *_),) in again.of("ended").values()] == [
        "COMPLETE", "FAIL", "FAIL", "COMPLETE",
    ]  # fmt: skip
    assert [len(_steps(run)) for run in listed] == [5, 1, 2, 5]
    points = [report.points for report in again.of("reported")["base-seed1"]]
    record = read_record(listed[0].folder)
    assert record is not None
    assert points == [tuple(record.history)]


class Sender:
    """An observer that sends a signal to this process, as soon as a run has a score."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.sent = 0.0

    def started(self, run):
        pass

    def reported(self, run, report):
        self.sent = time.monotonic()
        os.kill(os.getpid(), self._number)

    def ended(self, run, state, record, reason):
        raise AssertionError("it was told as ended")


# Tune takes SIGUSR1 for itself; it then ends as if all were done.
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_ends_an_execution_at_once_and_the_next_goes_on_with_the_runs(
    tmp_path: Path, ray_here: None, number: int
) -> None:
    listed, sender = runs(tmp_path, [1, 2]), Sender(number)
    assert run_all(listed, tmp_path, resources=ONE, observers=[sender], trainable=SlowStandIn)
    assert time.monotonic() - sender.sent < 2 * BUSY
    record = read_record(listed[0].folder)
    assert record is not None and record.status == "running"
    seen = Recorder()
    assert not run_all(listed, tmp_path, resources=ONE, observers=[seen], trainable=SlowStandIn)
    assert [states[0][0] for states in seen.of("ended").values()] == ["COMPLETE", "COMPLETE"]
    assert_every_point_once(tmp_path)


def test_a_folder_that_vanishes_ends_an_execution_and_nothing_is_written_under_its_name(
    tmp_path: Path, ray_here: None
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()

    class Mover(Recorder):
        def reported(self, run: RunInfo, report: Any) -> None:
            folder.rename(tmp_path / "moved")

    listed = runs(folder, [1, 2])
    with pytest.raises(FolderGone, match=f"{folder} is gone"):
        run_all(listed, folder, resources=ONE, observers=[Mover()], trainable=SlowStandIn)
    assert not folder.exists(), list(folder.rglob("*"))
    (tmp_path / "moved").rename(folder)
    seen = Recorder()
    assert not run_all(listed, folder, resources=ONE, observers=[seen], trainable=SlowStandIn)
    assert [states[0][0] for states in seen.of("ended").values()] == ["COMPLETE", "COMPLETE"]
    assert_every_point_once(folder)


def test_a_run_that_fits_nowhere_is_refused_at_once(tmp_path: Path, ray_here: None) -> None:
    with pytest.raises(ConfigError, match=r"cpus_per_trial: a run asks for 4096 .* no node has"):
        run_all(runs(tmp_path, [1]), tmp_path, resources=Resources(cpus_per_trial=4096))


def test_runs_that_take_less_than_a_worker_needs_to_start_do_not_keep_it_from_starting(
    tmp_path: Path, ray_here: None
) -> None:
    listed = runs(tmp_path, [*range(100, 200)])
    run_all(listed, tmp_path, resources=Resources(concurrent=2), trainable=LateStandIn)
    assert len({line.split()[1] for run in listed for line in _steps(run)}) == 2


def test_a_process_whose_base_has_changed_runs_nothing_more(tmp_path: Path, ray_here: None) -> None:
    seen = Recorder()
    listed = runs(tmp_path, [1, 23, 2, 3])
    run_all(listed, tmp_path, resources=ONE, observers=[seen], trainable=StandIn)
    ended = [seen.of("ended")[run.key] for run in listed]
    assert ended == [
        [("COMPLETE", "completed", "")],
        [("FAIL", "failed", "BaseChanged: the base changed")],
        [("COMPLETE", "completed", "")],
        [("COMPLETE", "completed", "")],
    ]
    first, bad, *later = [{line.split()[1] for line in _steps(run)} for run in listed]
    assert first == bad and later[0] == later[1] != bad
    # It was tried once: another process was given it only to hear why it failed.
    assert len(_steps(listed[1])) == 1
    assert not list(listed[1].folder.glob("overdue"))


def _steps(run: RunInfo) -> list[str]:
    path = run.folder / STEPS
    return path.read_text().splitlines() if path.is_file() else []
