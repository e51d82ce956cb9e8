"""A home that fills up, cannot be written or is locked, and a clock that is set back: for real."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from lora2_search.store.layout import STUDY_FILE
from lora2_search.tracking.uri import DATABASE
from tests.cli.test_signals import PLACES, Command, begin, points, settings
from tests.support.commands import run
from tests.support.exactly_once import assert_every_point_once
from tests.support.patience import BUSY

__all__ = ["settings"]

pytestmark = pytest.mark.cluster

# The clock of every Python process: back by an hour once a file exists. What is measured in
# monotonic time goes on, as it does when a machine's clock is set.
CLOCK = """
import os, time
def back(clock, hour):
    return lambda: clock() - (hour if os.path.exists({signal!r}) else 0)
time.time, time.time_ns = back(time.time, 3600), back(time.time_ns, 3600 * 10**9)
"""


@contextmanager
def mounted(home: Path, store: Path, patch: pytest.MonkeyPatch, *how: str | Path) -> Iterator[Path]:
    """Make ``home`` the home for the time of a block, mounted as ``how`` says."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    home.mkdir()
    mount(*how, home)
    shutil.copy(store, home / DATABASE)
    patch.setenv("LORA2_SEARCH_HOME", str(home))
    yield home
    subprocess.run(["umount", "-l", home], check=True)


@pytest.fixture
def small_home(
    tmp_path: Path, fresh_store: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A home on a file system of its own, with room for 64 MB."""
    how = ("-t", "tmpfs", "-o", "size=64m", "tmpfs")
    with mounted(tmp_path / "a home", fresh_store, monkeypatch, *how) as home:
        yield home


@pytest.fixture
def mounted_home(
    tmp_path: Path, fresh_store: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A home that is mounted, from the folder ``disk`` beside it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(tmp_path / "home", fresh_store, monkeypatch, "--bind", disk) as home:
        yield home


def fill(home: Path) -> None:
    """Leave no byte free."""
    with (home / "ballast").open("ab", buffering=0) as ballast:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    ballast.write(b"\0" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)


def said_at_the_end(command: Command) -> str:
    said = command.process.communicate(timeout=240 * BUSY)[1]
    print(said)
    assert "Traceback" not in said
    assert command.process.returncode == 2, said
    return said


def go_on(verb: str, home: Path, before: int) -> None:
    folder = home / PLACES[verb] / "mine"
    run(verb, "--resume", "mine")
    assert points(folder) > before
    assert_every_point_once(folder, f"sqlite:///{home / DATABASE}")


@pytest.mark.parametrize("verb", PLACES)
def test_a_disk_that_is_full_ends_a_verb_with_2_and_with_room_it_goes_on(
    verb: str, settings: dict[str, Any], small_home: Path
) -> None:
    folder = small_home / PLACES[verb] / "mine"
    command = begin(verb, settings, small_home)
    command.wait_for_a_score(folder)
    while command.process.poll() is None:
        fill(small_home)
        time.sleep(0.2)
    said = said_at_the_end(command)
    assert said.startswith("the disk is full (")
    assert f"; free some space, then resume with: lora2-search {verb} --resume mine\n" in said
    (small_home / "ballast").unlink()
    go_on(verb, small_home, points(folder))


@pytest.mark.parametrize("verb", PLACES)
def test_a_home_that_cannot_be_written_is_refused_in_one_line(
    verb: str, settings: dict[str, Any], small_home: Path, tmp_path: Path
) -> None:
    mount("-o", "remount,ro", small_home)
    said = said_at_the_end(begin(verb, settings, tmp_path))
    assert said.startswith(f"the folder {small_home} cannot be written; set LORA2_SEARCH_HOME to ")


@pytest.mark.parametrize("verb", PLACES)
def test_a_home_that_is_unmounted_ends_a_verb_with_2_and_once_it_is_back_it_goes_on(
    verb: str, settings: dict[str, Any], mounted_home: Path
) -> None:
    folder = mounted_home / PLACES[verb] / "mine"
    command = begin(verb, settings, mounted_home)
    command.wait_for_a_score(folder)
    subprocess.run(["umount", "-l", mounted_home], check=True)
    said = said_at_the_end(command)
    again = f"bring it back, then resume with: lora2-search {verb} --resume mine"
    assert f"{folder} is gone: " in said and again in said
    # What were written would be hidden by the home that comes back.
    assert not (mounted_home / PLACES[verb]).exists()
    mount("--bind", mounted_home.with_name("disk"), mounted_home)
    go_on(verb, mounted_home, points(folder))


def test_databases_that_others_lock_for_a_minute_cost_nothing_but_time(
    settings: dict[str, Any], home_with_store: Path
) -> None:
    folder = home_with_store / PLACES["tune"] / "mine"
    command = begin("tune", settings, home_with_store)
    command.wait_for_a_score(folder)
    with ExitStack() as locked:
        for path in (folder / STUDY_FILE, home_with_store / DATABASE):
            database = locked.enter_context(
                closing(sqlite3.connect(path, timeout=60, isolation_level=None))
            )
            database.execute("BEGIN EXCLUSIVE")
        before = points(folder)
        time.sleep(60)
    said = command.process.communicate(timeout=300 * BUSY)[1]
    assert (command.process.returncode, said) == (0, "")
    assert points(folder) > before
    assert_every_point_once(folder, f"sqlite:///{home_with_store / DATABASE}")


@pytest.mark.parametrize("verb", PLACES)
def test_a_clock_that_is_set_back_by_an_hour_changes_nothing(
    verb: str,
    settings: dict[str, Any],
    home_with_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "sitecustomize.py").write_text(CLOCK.format(signal=str(tmp_path / "now")))
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        command = begin(verb, settings, home_with_store)
    folder = home_with_store / PLACES[verb] / "mine"
    command.wait_for_a_score(folder)
    (tmp_path / "now").touch()
    said = command.process.communicate(timeout=300 * BUSY)[1]
    assert (command.process.returncode, said) == (0, "")
    assert_every_point_once(folder, f"sqlite:///{home_with_store / DATABASE}")
