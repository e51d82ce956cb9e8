"""Which run a request names: a single one, a study's winner, one inside a study or a suite."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..config import RunConfig
from ..errors import UserError, did_you_mean
from ..search import load_study, trial_key
from ..store import (
    RECORD_FILE,
    REFERENCES_FOLDER,
    RUNGS_FOLDER,
    RUNS_FOLDER,
    SEEDS_FOLDER,
    TRIALS_FOLDER,
    WINNER_FOLDER,
    Damaged,
    RunRecord,
    copy_of,
    read_record,
)
from .catalog import Named, all_items, find_item
from .train import run_of_winner

# What holds the runs of a study or a suite, by kind, in the order in which a name is looked for.
_INSIDE = {
    "study": (TRIALS_FOLDER, SEEDS_FOLDER, REFERENCES_FOLDER, WINNER_FOLDER, RUNGS_FOLDER),
    "suite": (RUNS_FOLDER,),
}


@dataclass(frozen=True)
class FoundRun:
    """A run that was found.

    Attributes:
        what: What it is, for people: ``trial 3 of study quick``.
        name: The same as a name for files: ``quick-3``.
        folder: Where its record lies.
        record: Its record.
        metric: What it was judged by; ``None`` for the task's primary metric.
    """

    what: str
    name: str
    folder: Path
    record: RunRecord
    metric: str | None = None

    @property
    def config(self) -> RunConfig:
        """Its settings.

        Raises:
            UserError: Another version of this package made the run, and this one lacks a setting.
        """
        try:
            return RunConfig.model_validate(self.record.config)
        except ValueError as error:
            raise UserError(
                f"{self.what} has settings that this version does not have: {error}"
            ) from None

    def check_complete(self) -> None:
        """Make sure that it ran to its end.

        Raises:
            UserError: It did not.
        """
        if self.record.status != "completed":
            raise UserError(f"{self.what} is not complete ({self.record.status})")


def find_run(name: str, storage: Path | None) -> FoundRun:
    """Return the run that a name means.

    A single run by its name, a study's winner by the study's; ``quick/3`` is trial 3 of a study,
    ``quick/head-only`` a run outside its search, ``quick/3-seed6`` trial 3 on that seed,
    ``quick/3-rung2`` at the second rung, ``quick/base-seed0`` a run of a suite. The folder
    of a run is taken too.

    Raises:
        UserError: There is no such run; the message names the nearest.
        Damaged: Its record cannot be read.
    """
    path = Path(name).expanduser()
    if (path / RECORD_FILE).is_file():
        return _in(path, str(path), path.resolve().name)
    item, inside = split_name(name, storage)
    if inside:
        return _inside(item, inside)
    if item.kind == "run":
        return _in(item.folder, f"run {item.name}", item.name)
    if item.kind == "study":
        return _winner(item, storage)
    if item.kind == "suite":
        example = f"{item.name}/{next(iter(_names(item)), 'ARM-seedN')}"
        raise UserError(f"{item.name} is a suite, which has no winner; name a run: {example}")
    raise UserError(f"{item.name} is a verification, which keeps no adapter; name a run or a study")


def split_name(name: str, storage: Path | None) -> tuple[Named, str]:
    """Return what a name is in, and what follows its slash: ``quick/3`` is 3 in quick."""
    outer, slash, inner = name.rpartition("/")
    named = {name for item in all_items(storage) for name in (item.name, _long_name(item))}
    if not slash or name in named or outer not in named:
        return find_item(name, storage), ""
    return find_item(outer, storage), inner


def _long_name(item: Named) -> str:
    return f"{item.folder.parent.name}/{item.name}"


def _names(item: Named) -> list[str]:
    """Return the names of the runs in a study or a suite: numbers of trials without zeros."""
    folders = _INSIDE.get(item.kind, ())
    found = [path for inside in folders for path in sorted((item.folder / inside).glob("*/"))]
    return [str(int(path.name)) if path.name.isdigit() else path.name for path in found]


def _inside(item: Named, name: str) -> FoundRun:
    known = _names(item)
    if name not in known:
        if not known:
            raise UserError(f"{item.kind} {item.name} holds no runs")
        raise UserError(f"{item.kind} {item.name} has no run {name}; {did_you_mean(name, known)}")
    key = trial_key(int(name)) if name.isdigit() and item.kind == "study" else name
    folders = [item.folder / inside / key for inside in _INSIDE[item.kind]]
    folder = next(path for path in folders if path.is_dir())
    called = f"trial {name}" if name.isdigit() else name
    what = f"{called} of {item.kind} {item.name}"
    return _in(folder, what, f"{item.name}-{name}", item.metric)


def _winner(item: Named, storage: Path | None) -> FoundRun:
    winner = run_of_winner(load_study(item.name, storage))
    if winner is None or winner.folder is None:
        raise UserError(f"study {item.name} has no completed trial yet")
    what = f"{winner.name} of study {item.name}"
    key = str(int(winner.key)) if winner.key.isdigit() else winner.key
    return _in(winner.folder, what, f"{item.name}-{key}", item.metric)


def _in(folder: Path, what: str, name: str, metric: str | None = None) -> FoundRun:
    copy_of(folder).fetch()
    record = read_record(folder)
    if record is None:
        raise Damaged(folder / RECORD_FILE, "it is missing", "restore it from a copy")
    return FoundRun(what, name, folder, record, metric)
