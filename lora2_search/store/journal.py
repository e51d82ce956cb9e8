"""A study's journal: Optuna's own file of one entry per line, for folders that machines share."""

from __future__ import annotations

import os
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from .files import Damaged, reading


def open_journal(path: Path, remedy: str = "") -> JournalStorage:
    """Open a journal, made if absent, and replay it. Reading it needs no lock and writes nothing.

    Of a last line that a writer left unfinished nothing is read, for its caller never heard that
    it was written.

    Raises:
        Damaged: Another line is no entry of Optuna's.
    """
    name = str(path.absolute())
    try:
        with reading(path, remedy):
            return JournalStorage(JournalFileBackend(name, _Lock(name)))
    except AssertionError:
        raise Damaged(
            path, "it has entries that this version of Optuna cannot read", remedy
        ) from None


class _Lock(JournalFileSymlinkLock):
    """Optuna's lock, whose holder first cuts off an unfinished last line.

    Optuna would append the next entry to that line (after kill -9, or on a disk that was full),
    and no reader would get past the two of them.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._path = Path(name)

    def acquire(self) -> bool:
        acquired = super().acquire()
        try:
            _cut_unfinished_line(self._path)
        except BaseException:
            self.release()
            raise
        return acquired


def _cut_unfinished_line(path: Path) -> None:
    with path.open("rb+") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return
        file.seek(-1, os.SEEK_END)
        if file.read() != b"\n":
            file.truncate(path.read_bytes().rfind(b"\n") + 1)
