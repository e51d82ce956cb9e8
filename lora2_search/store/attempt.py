"""Which process may write into a run's folder: the one that took it up last."""

from __future__ import annotations

import os
import platform
import uuid
from pathlib import Path

from ..errors import FolderGone
from .files import set_aside, stored_json, write_json

ATTEMPT_FILE = "attempt.json"


class Superseded(Exception):
    """Another process has taken the run up: this one was thought dead and must not write."""


class Attempt:
    """The claim of one process on the folder of a run.

    A node that lost its network is declared dead while it still trains. Its claim is then older
    than that of the process which goes on in its place, and it stops at its next interval.

    Attributes:
        number: 1 for the first process, one more for each that took the run up after it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / ATTEMPT_FILE
        self._token = uuid.uuid4().hex
        self.number = _last(self._path) + 1
        owner = {"host": platform.node(), "pid": os.getpid(), "token": self._token}
        write_json(self._path, {"number": self.number, **owner})

    def check(self) -> None:
        """Make sure that the claim still stands.

        Raises:
            FolderGone: The run's folder vanished.
            Superseded: A later attempt exists.
        """
        latest = _read(self._path)
        if not latest:
            raise FolderGone(self._path.parent)
        if latest.get("token") != self._token:
            raise Superseded(
                f"attempt {self.number} of {self._path.parent.name} stops: attempt "
                f"{latest.get('number')} runs on {latest.get('host')} (pid {latest.get('pid')})"
            )


def _last(path: Path) -> int:
    """Return the number of the last attempt; 0 where the file is damaged: a token tells them."""
    try:
        return int(_read(path).get("number", 0))
    except (TypeError, ValueError):
        if path.exists():
            set_aside(path)
        return 0


def _read(path: Path) -> dict[str, str | int]:
    return stored_json(path, "delete it: the run then counts its attempts from the start") or {}
