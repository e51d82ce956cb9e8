"""Signals to the verbs that train, as terminals and schedulers send them, and what is left then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from signal import Signals
from typing import Any

import psutil
import pytest
import yaml

from lora2_search.tracking.uri import DATABASE
from tests.support.commands import COMMAND, run
from tests.support.exactly_once import assert_every_point_once, records_under
from tests.support.mlflow_study import Stored
from tests.support.patience import BUSY

# What the signal is sent to: the driver alone, its process group (`timeout`, a shell), or every
# process that came from it (Slurm, systemd); and how often.
CASES = [
    ("SIGTERM", "driver", 1),
    ("SIGTERM", "group", 2),
    ("SIGTERM", "job", 1),
    ("SIGUSR1", "driver", 1),
    ("SIGUSR1", "group", 1),
    ("SIGUSR2", "group", 1),
    ("SIGHUP", "driver", 1),
    ("SIGHUP", "group", 1),
    ("SIGINT", "driver", 1),
    ("SIGINT", "group", 2),
]
# To begin on Ray takes long, so one study is sent them all and one suite each signal once: each
# command goes on with what the one before left.
IN_A_ROW = {
    "tune": [
        ("SIGINT", "driver", 1),
        ("SIGINT", "group", 2),
        ("SIGTERM", "driver", 1),
        ("SIGTERM", "group", 1),
        ("SIGUSR1", "driver", 1),
        ("SIGUSR1", "group", 1),
        ("SIGHUP", "driver", 1),
        ("SIGHUP", "group", 1),
    ],
    "ablate": [
        ("SIGINT", "group", 2),
        ("SIGTERM", "driver", 1),
        ("SIGUSR1", "group", 1),
        ("SIGHUP", "driver", 1),
    ],
}
CODES = {"SIGINT": 130, "SIGHUP": 129, "SIGTERM": 85, "SIGUSR1": 85, "SIGUSR2": 85}
BY_FORCE = "something hangs: left without waiting for it"
SYNCER = "lora2_search.tracking.delivery.syncer"
HANGS = """
import os
from lora2_search import signals
from lora2_search.cli import main
with signals.blocked():  # as a command imports it
    from lora2_search.training.loop import run
run.run = lambda *terms: os.system("echo it hangs; exec sleep 60 > /dev/null 2>&1")
main()
"""
LENGTHS = {
    "train": {"steps": 240, "evaluations": 12},
    "tune": {"steps": 960, "evaluations": 32},
    "ablate": {"steps": 1200, "evaluations": 40},
}
PLACES = {"train": "runs", "tune": "studies", "ablate": "suites"}
OPTIONS = {"train": "--config", "tune": "--space", "ablate": "--suite"}
MORE: dict[str, dict[str, Any]] = {
    "train": {},
    "tune": {
        "search": {"adapter.k": {"type": "int", "low": 2, "high": 4}},
        "trials": 2,
        "scheduler": {"name": "none"},
        "resources": {"concurrent": 1},
    },
    "ablate": {
        "arms": {"head-only": {"method": "head-only"}},
        "seeds": 1,
        "comparisons": [],
        "floor": None,
        "resources": {"concurrent": 1},
    },
}


@pytest.fixture
def settings(tiny_bert: Path, reviews_csv: Path) -> dict[str, Any]:
    return {
        "task": "custom",
        "data": {"path": str(reviews_csv), "text": ["review"], "label": "verdict"},
        "model": {"name_or_path": str(tiny_bert)},
        "adapter": {"k": 4, "r": 4, "target_rank": 2},
        "training": {"device": "cpu"},
    }


class Command:
    """A verb in a process group of its own, and all the processes that came from it."""

    def __init__(self, *words: object, command: Sequence[str] = COMMAND) -> None:
        self.process = subprocess.Popen(
            [*command, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # Under nohup it would be ignored, and rightly so.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
        self.family: list[psutil.Process] = []
        self.syncers: list[psutil.Process] = []

    def wait_for_a_score(self, folder: Path, before: int = 0) -> None:
        """Wait until more points are recorded than there were before."""
        end = time.monotonic() + 120 * BUSY
        while points(folder) <= before:
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end, "it took too long"
            time.sleep(0.3)  # to read the records takes time from who writes them
        self.note_family()

    def note_family(self) -> None:
        self.family = psutil.Process(self.process.pid).children(recursive=True)
        self.syncers = [child for child in self.family if SYNCER in child.cmdline()]

    def leave(self, number: Signals, target: str, times: int) -> str:
        """Send a signal and return what was said; the code and the time are checked here."""
        for more in reversed(range(times)):
            self._send(number, target)
            time.sleep(0.3 if more else 0)  # as fast as people press Ctrl-C
        begun = time.monotonic()
        said = self.process.communicate(timeout=10 * BUSY)[1]
        print(f"{number.name} to {target}: gone after {time.monotonic() - begun:.1f} s")
        assert self.process.returncode == CODES[number.name], said
        return said

    def _send(self, number: Signals, target: str) -> None:
        if target == "group":
            os.killpg(self.process.pid, number)
            return
        for process in self.family if target == "job" else []:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        self.process.send_signal(number)

    def assert_all_gone(self) -> None:
        """Nothing survives; the syncer alone may still deliver what is left."""
        _wait_for_the_end(
            [process for process in self.family if process not in self.syncers], 5 * BUSY
        )
        _wait_for_the_end(self.syncers, 60 * BUSY)


def points(folder: Path) -> int:
    return sum(len(record.history) for record in records_under(folder).values())


def _wait_for_the_end(processes: list[psutil.Process], seconds: float) -> None:
    end = time.monotonic() + seconds
    while left := [process for process in processes if _runs(process)]:
        assert time.monotonic() < end, left
        time.sleep(0.1)


def _runs(process: psutil.Process) -> bool:
    # Who it falls to may take long to take note of its end.
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def begin(
    verb: str, settings: dict[str, Any], home: Path, command: Sequence[str] = COMMAND
) -> Command:
    path = home / "mine.yaml"
    whole = {**settings, **MORE[verb]}
    whole["training"] = {**settings["training"], **LENGTHS[verb]}
    path.write_text(yaml.safe_dump(whole))
    return Command(verb, OPTIONS[verb], path, "--name", "mine", command=command)


def last_line(verb: str, number: Signals) -> str:
    by = "" if number == signal.SIGINT else f" by {number.name}"
    return f"interrupted{by}; resume with: lora2-search {verb} --resume mine"


def interrupted_and_taken_up(
    verb: str, settings: dict[str, Any], home: Path, number: Signals, target: str, times: int = 1
) -> None:
    folder, uri = home / PLACES[verb] / "mine", f"sqlite:///{home / DATABASE}"
    command = begin(verb, settings, home)
    command.wait_for_a_score(folder)
    said = command.leave(number, target, times)
    assert said.strip() == last_line(verb, number)
    command.assert_all_gone()
    assert {run.info.status for run in Stored(uri, "mine").all()} == {"KILLED"}
    run(verb, "--resume", "mine")
    assert_every_point_once(folder, uri)


@pytest.mark.parametrize(("number", "target"), [("SIGTERM", "group")])
def test_train_leaves_at_a_signal_with_its_code_and_goes_on(
    number: str, target: str, settings: dict[str, Any], home_with_store: Path
) -> None:
    interrupted_and_taken_up("train", settings, home_with_store, Signals[number], target)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "target", "times"), CASES)
def test_train_leaves_at_every_signal_with_its_code_and_goes_on(
    number: str, target: str, times: int, settings: dict[str, Any], home_with_store: Path
) -> None:
    interrupted_and_taken_up("train", settings, home_with_store, Signals[number], target, times)


@pytest.mark.slow
def test_a_command_whose_main_thread_does_not_return_from_c_tells_mlflow_and_ends(
    settings: dict[str, Any], home_with_store: Path
) -> None:
    command = begin("train", settings, home_with_store, [sys.executable, "-c", HANGS])
    assert command.process.stdout is not None
    while command.process.stdout.readline() != "it hangs\n":
        assert command.process.poll() is None
    command.note_family()
    assert command.leave(Signals.SIGTERM, "group", 1).splitlines()[-2:] == [
        "",
        "interrupted by SIGTERM",  # the run had no record yet
    ]
    _wait_for_the_end(command.syncers, 60 * BUSY)
    stored = Stored(f"sqlite:///{home_with_store / DATABASE}", "mine")
    assert {run.info.status for run in stored.all()} == {"KILLED"}


@pytest.mark.long
@pytest.mark.parametrize("verb", IN_A_ROW)
def test_a_verb_on_ray_leaves_at_every_signal_and_each_time_goes_on(
    verb: str, settings: dict[str, Any], home_with_store: Path
) -> None:
    folder, uri = home_with_store / PLACES[verb] / "mine", f"sqlite:///{home_with_store / DATABASE}"
    command, before, by_force = begin(verb, settings, home_with_store), 0, 0
    for name, target, times in IN_A_ROW[verb]:
        command.wait_for_a_score(folder, before)
        said = command.leave(Signals[name], target, times)
        by_force += said.startswith(BY_FORCE)
        assert said.removeprefix(f"{BY_FORCE}\n").strip() == last_line(verb, Signals[name])
        command.assert_all_gone()
        stored = Stored(uri, "mine")
        assert stored.parent().info.status == "KILLED"
        assert {run.info.status for run in stored.runs().values()} <= {"KILLED", "FINISHED"}
        before = points(folder)
        command = Command(verb, "--resume", "mine")
    said = command.process.communicate(timeout=120 * BUSY)[1]
    assert (command.process.returncode, said) == (0, "")
    # That it ends in time so is right now and then, on a busy machine.
    assert by_force < len(IN_A_ROW[verb]) / 2
    assert_every_point_once(folder, uri)
