"""Whether a file is still the one that was read: cheap to tell, without reading it again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

Stamp = tuple[str, int, int, int, int]


def stamp(path: Path) -> Stamp:
    """Return what a file cannot keep when its contents change.

    Its place, size and number on the disk, and the times of the last change of its contents and of
    anything about it. The last one nobody can set back, as ``touch`` and ``cp -p`` set the other.

    Raises:
        OSError: There is no such file.
    """
    state = path.stat()
    times = (state.st_mtime_ns, state.st_ctime_ns)
    return (str(path.resolve()), state.st_size, state.st_ino, *times)


def stamps(paths: Iterable[Path]) -> tuple[Stamp, ...]:
    """Return the stamps of those files that are there."""
    return tuple(stamp(path) for path in sorted(paths) if path.is_file())
