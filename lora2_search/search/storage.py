"""The Optuna study of a folder: SQLite, kept by one driver."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..analysis import WARM_START, own_trials, quietly
from ..config.space import Objective
from ..store import (
    PATIENCE_SECONDS,
    STUDY_FILE,
    TRIALS_FOLDER,
    Damaged,
    open_database,
    reading_database,
    stored_study,
)

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.study import Study as OptunaStudy
    from optuna.trial import FrozenTrial

_REMEDY = "restore it from a copy; the records of its trials are intact and stay"


@contextmanager
def open_study(
    folder: Path, name: str, *, shared: bool = False, goals: Sequence[Objective] = ()
) -> Iterator[tuple[OptunaStudy, RDBStorage]]:
    """Open the Optuna study of a folder to run it, made if absent.

    Args:
        folder: The study's folder.
        name: The study's name.
        shared: Whether the folder may be on a network file system. SQLite's write-ahead log needs
            memory that all its users share, so it is for a local disk alone.
        goals: What is optimised, the score first; one that is maximised where there are none.

    Raises:
        Damaged: It cannot be read.
    """
    import optuna

    path = folder / STUDY_FILE
    with reading_database(path, _REMEDY):
        _set_journal(path, "DELETE" if shared else "WAL")
    with open_database(path) as storage:
        if not shared:
            _spare_syncs(storage)
        directions = ["maximize" if goal.maximizes else "minimize" for goal in goals]
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=directions or ["maximize"],
            load_if_exists=True,
        )
        if len(goals) > 1:
            with quietly():
                study.set_metric_names([str(goal.metric) for goal in goals])
        yield study, storage


def stored_trials(folder: Path, name: str) -> list[FrozenTrial]:
    """Return the trials that a study made, running or not; none where it has not begun.

    Raises:
        Damaged: The database cannot be read, or trials have left folders that it knows nothing of.
    """
    path = folder / STUDY_FILE
    begun = any((folder / TRIALS_FOLDER).glob("*/"))
    if not path.exists():
        if begun:
            raise Damaged(path, f"it is missing, but {TRIALS_FOLDER}/ holds trials", _REMEDY)
        return []
    with stored_study(path, name, _REMEDY) as study:
        if study is None and begun:
            why = f"it holds no study {name}, but {TRIALS_FOLDER}/ holds trials"
            raise Damaged(path, why, _REMEDY)
        return [] if study is None else own_trials(study)


def stored_warm_start(folder: Path, name: str) -> str:
    """Return what a study took over from an older one, in a sentence; empty for most."""
    path = folder / STUDY_FILE
    if not path.exists():
        return ""
    with stored_study(path, name, _REMEDY) as study:
        return "" if study is None else str(study.user_attrs.get(WARM_START, ""))


def _set_journal(path: Path, mode: str) -> None:
    with closing(sqlite3.connect(path, timeout=PATIENCE_SECONDS)) as connection:
        connection.execute(f"PRAGMA journal_mode={mode}")


def _spare_syncs(storage: RDBStorage) -> None:
    """Write without an fsync at each report.

    Safe with a write-ahead log: after a power cut the last trials may be missing, never half a
    trial. Readers (a report, a dashboard) do not wait for the driver then.
    """
    from sqlalchemy import event

    event.listen(storage.engine, "connect", _relax)
    storage.engine.dispose()  # connections made before the listener


def _relax(connection: Any, record: Any) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")
