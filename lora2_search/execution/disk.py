"""How much of a disk a study or suite may take: no run begins that would go beyond it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_GB = 10**9


class DiskLimit:
    """The limit of one folder.

    A run takes as much as the largest one so far; before the first there is nothing to judge by.

    Args:
        folder: Of the study or suite; its runs are two levels below it.
        gigabytes: ``resources.max_disk_gb``; ``None`` for no limit.

    Attributes:
        refused: Why no more runs begin, in words; empty while they do.
    """

    def __init__(self, folder: Path, gigabytes: float | None) -> None:
        self._folder, self._limit = folder, gigabytes
        self.refused = ""

    def allows(self, under_way: int) -> bool:
        """Return whether another run may begin beside those under way."""
        if self._limit is None or self.refused:
            return not self.refused
        used, largest = _used(self._folder)
        if used + (under_way + 1) * largest > self._limit * _GB:
            self.refused = (
                f"{self._folder} holds {used / _GB:.3g} GB, and a run takes up to "
                f"{largest / _GB:.2g}: another one might go beyond resources.max_disk_gb, "
                f"{self._limit:g}"
            )
        return not self.refused


def _used(folder: Path) -> tuple[int, int]:
    """Return the bytes in a folder, and those of the largest run in it."""
    total = 0
    runs: dict[tuple[str, str], int] = {}
    for path, size in _files(str(folder)):
        total += size
        parts = os.path.relpath(path, folder).split(os.sep)
        if len(parts) > 2:
            run = (parts[0], parts[1])
            runs[run] = runs.get(run, 0) + size
    return total, max(runs.values(), default=0)


def _files(folder: str) -> Iterator[tuple[str, int]]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:  # of a run that ended meanwhile
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
            continue
        try:
            yield entry.path, entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
