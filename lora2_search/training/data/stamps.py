"""Caches that follow the files, not their names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ...config import GLUE_TASKS, METAMATH, RunConfig
from .metamath import metamath_files

Stamp = tuple[str, int, int, int, int]


def stamp(path: Path) -> Stamp:
    """Return what changes whenever a file's contents do.

    Its place, size and number on the disk, and the times of the last change of its contents and of
    anything about it. The last of these cannot be set back; ``touch`` and ``cp -p`` set the other.

    Raises:
        OSError: There is no such file.
    """
    state = path.stat()
    times = (state.st_mtime_ns, state.st_ctime_ns)
    return (str(path.resolve()), state.st_size, state.st_ino, *times)


def stamps(paths: Iterable[Path]) -> tuple[Stamp, ...]:
    """Return the stamps of those files that are there."""
    return tuple(stamp(path) for path in sorted(paths) if path.is_file())


def data_files(config: RunConfig) -> list[Path]:
    """Return the files that are read; none for packaged sentences, nor for those of the hub.

    Both are fixed by their sha256 or revision.
    """
    data = config.data
    if data.path is not None and config.task in GLUE_TASKS:
        return sorted((Path(data.path).expanduser() / config.task).glob("*.parquet"))
    if data.path is not None and config.task == METAMATH:
        return metamath_files(Path(data.path).expanduser())
    named = (data.path, data.test_path, config.language.chat_template)
    return [Path(path).expanduser() for path in named if path is not None]
