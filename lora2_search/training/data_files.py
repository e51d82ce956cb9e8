"""The files that hold a run's sentences, where they are the user's."""

from __future__ import annotations

from pathlib import Path

from ..config import GLUE_TASKS, RunConfig


def data_files(config: RunConfig) -> list[Path]:
    """Return the files that are read; none for packaged sentences, nor for those of the hub.

    Both are what their sha256 or their revision names.
    """
    data = config.data
    if data.path is not None and config.task in GLUE_TASKS:
        return sorted((Path(data.path).expanduser() / config.task).glob("*.parquet"))
    named = (data.path, data.test_path)
    return [Path(path).expanduser() for path in named if path is not None]
