"""Processes that this package starts find this package, not another one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from lora2_search.tracking import ui
from lora2_search.tracking.delivery import syncer

HERE = Path(__file__).parents[2]


class Started(Exception):
    """In place of a process."""


@pytest.mark.parametrize("what", ["syncer", "server"])
def test_a_process_of_ours_runs_this_copy(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow  # noqa: F401  it starts processes while it is imported

    seen: dict[str, Any] = {}

    def popen(command: list[str], **options: Any) -> None:
        seen.update(options, command=command)
        raise Started

    monkeypatch.setattr(subprocess, "Popen", popen)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(Started):
        if what == "syncer":
            syncer.start_syncer(tmp_path, uri)
        else:
            ui.start_server(uri, 5077, tmp_path / "log")
    # `-m` looks in the working directory first.
    assert Path(seen["cwd"], *seen["command"][2].split(".")).with_suffix(".py").is_file()
    assert Path(seen["cwd"]) == HERE
