"""Which version of each file of a bucket a copy has, and how the file looked then."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

INDEX_FILE = "index.db"

# Size and time of change of a file here.
Stamp = tuple[int, int]

Entry = tuple[Stamp, str]


class CopyIndex:
    """The index of a copy; its processes share it, and none holds it while a bucket answers.

    Args:
        top: The folder of the copy.
    """

    def __init__(self, top: Path) -> None:
        self._top = top

    def below(self, folder: str) -> dict[str, Entry]:
        """Return the entries of a folder, by name in the folder."""
        start = f"{folder}/" if folder else ""
        # A range, so that the key is used: chr(ord("/") + 1) is "0".
        where = "WHERE name >= ? AND name < ?" if folder else ""
        with self._open() as connection:
            rows = connection.execute(
                f"SELECT name, size, mtime_ns, tag FROM files {where}",
                (start, f"{folder}0") if folder else (),
            ).fetchall()
        return {name[len(start) :]: ((size, mtime), tag) for name, size, mtime, tag in rows}

    def of(self, names: Iterable[str]) -> dict[str, Entry]:
        """Return the entries of these files, those that have one."""
        found = {}
        with self._open() as connection:
            for name in names:
                row = connection.execute(
                    "SELECT size, mtime_ns, tag FROM files WHERE name = ?", (name,)
                ).fetchone()
                if row is not None:
                    found[name] = ((row[0], row[1]), row[2])
        return found

    def note(self, entries: Mapping[str, Entry], dropped: Iterable[str] = ()) -> None:
        """Keep entries, by name, and drop others."""
        rows = [(name, *stamp, tag) for name, (stamp, tag) in entries.items()]
        gone = [(name,) for name in dropped]
        if not (rows or gone):
            return
        with self._open() as connection:
            connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)
            connection.executemany("DELETE FROM files WHERE name = ?", gone)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self._top.mkdir(parents=True, exist_ok=True)
        file = self._top / INDEX_FILE
        with closing(sqlite3.connect(file, timeout=60)) as connection, connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS files "
                "(name TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, tag TEXT)"
            )
            yield connection
