from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from lora2_search.tracking.delivery.sync import sync
from lora2_search.tracking.session import Tracked
from lora2_search.tracking.spool.spool import End, parent_path, read, run_path
from tests.support.mlflow_study import Stored, parent, record, report, run, spooled


def ends(path: Path) -> list[tuple[str, str]]:
    return [(item.state, item.reason) for item in read(path).records if isinstance(item, End)]


def test_the_end_of_a_command_that_hangs_is_noted_unless_nothing_had_begun(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora2_search.tracking.session.start_syncer", lambda folder, uri: None)
    tracked = Tracked(folder, parent(), "sqlite:///store.db", print)
    tracked.abandon()
    assert not parent_path(folder).exists()
    tracked.started(run(folder, 1))
    tracked.abandon()
    assert ends(parent_path(folder)) == [("STOPPED", "interrupted")]
    assert ends(run_path(folder, "00001")) == [("STOPPED", "interrupted")]


@pytest.mark.slow
def test_a_syncer_that_is_killed_is_started_again_with_the_next_event(
    folder: Path, uri: str
) -> None:
    said: list[str] = []
    tracked, info = Tracked(folder, parent(), uri, said.append), run(folder, 1)
    tracked.started(info)
    first = tracked._syncer
    assert first is not None
    assert not first.was_killed
    os.kill(first.pid, signal.SIGKILL)
    while not first.was_killed:
        time.sleep(0.05)
    tracked.reported(info, report(0, 50))
    assert tracked._syncer is not first
    tracked.ended(info, "COMPLETE", record(info), "")
    tracked.close("COMPLETE")
    assert said[0].startswith("the process that delivers to MLflow was killed, and has been start")
    sync(folder, uri)  # what a busy machine did not deliver in ten seconds
    assert Stored(uri).points() == spooled(folder)
