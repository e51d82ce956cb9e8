"""One home for several drivers at once, under a name that shells and URIs quote."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from lora2_search.tracking.uri import DATABASE
from tests.cli.test_signals import Command
from tests.support.afterwards import searched
from tests.support.commands import run
from tests.support.exactly_once import assert_every_point_once
from tests.support.patience import BUSY

pytestmark = pytest.mark.cluster


@pytest.fixture
def home(tmp_path: Path, fresh_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "ein schönes Heim"
    folder.mkdir()
    shutil.copy(fresh_store, folder / DATABASE)
    monkeypatch.setenv("LORA2_SEARCH_HOME", str(folder))
    return folder


def test_two_studies_at_once_in_one_home_and_who_reads_it_meanwhile(
    home: Path, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    space = searched(tmp_path, tiny_bert, reviews_csv, steps=480, evaluations=16)
    words = ("--set", "resources.concurrent=1")
    commands = {name: Command("tune", space, "--name", name, *words) for name in ("one", "two")}
    for name, command in commands.items():
        command.wait_for_a_score(home / "studies" / name)
    second = run("tune", "--resume", "one", code=2).stderr
    assert second.startswith(f"one is being run by process {commands['one'].process.pid} on ")
    listed = run("runs", "list").stdout
    for name, command in commands.items():
        assert re.search(rf"^{name}\b.*running", listed, re.MULTILINE), listed
        run("runs", "show", name)
        run("report", name)
        assert command.process.poll() is None, "it was over before it was read"
    for name, command in commands.items():
        said = command.process.communicate(timeout=300 * BUSY)[1]
        assert (command.process.returncode, said) == (0, "")
        assert_every_point_once(home / "studies" / name, f"sqlite:///{home / DATABASE}")
        assert "complete" in run("runs", "show", name).stdout
