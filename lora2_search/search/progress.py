"""How far a study or a suite has come, and whether somebody runs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..source import read_yaml
from .ownership import is_owned
from .references import begun_references, reference_records
from .space import SPACE_FILE
from .storage import stored_trials


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


def study_progress(folder: Path) -> Progress:
    """Return how far a study has come.

    Raises:
        ConfigError: Its ``space.yaml`` is broken.
    """
    plan = read_yaml(folder / SPACE_FILE).data
    trials = stored_trials(folder, folder.name)
    done = sum(trial.state.is_finished() for trial in trials)
    beside = reference_records(folder)
    # Whatever stops a driver early leaves a trial under way, except before the first one.
    whole = 0 < done == len(trials) and all(item.status != "running" for item in beside.values())
    # A resume makes those anew whose record is damaged.
    whole &= len(beside) == len(begun_references(folder))
    total = plan.get("trials")
    enough = total is None or plan.get("hours") is not None or done >= total
    return progress_of(folder, "trials", done, total, whole and enough)
