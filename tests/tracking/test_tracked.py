from __future__ import annotations

from pathlib import Path

import pytest

from lora2_search.tracking.session import Tracked
from lora2_search.tracking.spool.spool import End, parent_path, read, run_path
from tests.support.mlflow_study import parent, run


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
