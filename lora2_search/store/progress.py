"""How far a study or a suite has come, and whether somebody runs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .lock import is_owned


@dataclass(frozen=True)
class Progress:
    """How far a study or a suite has come.

    Attributes:
        what: ``trials`` or ``runs``.
        done: How many ended, well or badly.
        total: How many there are to be; ``None`` when hours alone bound them.
        state: ``stopped`` when there is something left to do and nobody runs it.
    """

    what: str
    done: int
    total: int | None
    state: Literal["running", "stopped", "complete"]

    def __str__(self) -> str:
        of = "" if self.total is None else f" of {self.total}"
        return f"{self.done}{of} {self.what}"


def progress_of(folder: Path, what: str, done: int, total: int | None, over: bool) -> Progress:
    """Return how far what is in ``folder`` has come; ``over`` when nothing is left to do."""
    if is_owned(folder):
        return Progress(what, done, total, "running")
    return Progress(what, done, total, "complete" if over else "stopped")
