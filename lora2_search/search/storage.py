"""The Optuna study of a folder, kept by one driver."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..analysis import WARM_START, own_trials, quietly
from ..config.space import Objective
from ..errors import first_line
from ..store import (
    JOURNAL_FILE,
    PATIENCE_SECONDS,
    STUDY_FILE,
    TRIALS_FOLDER,
    Damaged,
    open_database,
    reading_database,
    stored_study,
    study_file,
)

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage
    from optuna.study import Study as OptunaStudy
    from optuna.trial import FrozenTrial

_REMEDY = "restore it from a copy; the records of its trials are intact and stay"


@contextmanager
def open_study(
    folder: Path, name: str, *, shared: bool = False, goals: Sequence[Objective] = ()
) -> Iterator[tuple[OptunaStudy, BaseStorage]]:
    """Open the Optuna study of a folder to run it, made if absent.

    Args:
        folder: The study's folder.
        name: The study's name.
        shared: Whether the folder may be on a network file system. A study that begins there has
            a journal. One that began in SQLite stays there, without the write-ahead log, which
            needs memory that all its users share.
        goals: What is optimised, the score first; one that is maximised where there are none.

    Raises:
        Damaged: It cannot be read.
    """
    from optuna.storages import RDBStorage

    path = study_file(folder, shared=shared)
    with reading_database(path, _REMEDY):
        if path.name == STUDY_FILE:
            _set_journal_mode(path, "DELETE" if shared else "WAL")
    with open_database(path, _REMEDY) as storage:
        if isinstance(storage, RDBStorage) and not shared:
            _spare_syncs(storage)
        study = _study(path, name, storage, goals)
        if len(goals) > 1:
            with quietly():
                study.set_metric_names([str(goal.metric) for goal in goals])
        yield study, storage


def _study(path: Path, name: str, storage: BaseStorage, goals: Sequence[Objective]) -> OptunaStudy:
    import optuna

    directions = ["maximize" if goal.maximizes else "minimize" for goal in goals]
    try:
        return optuna.create_study(
            storage=storage,
            study_name=name,
            directions=directions or ["maximize"],
            load_if_exists=True,
        )
    except ValueError as error:
        # Of a journal: its last line, whole and no entry, which only shows when one follows it.
        raise Damaged(path, first_line(error), _REMEDY) from None


def stored_trials(folder: Path, name: str) -> list[FrozenTrial]:
    """Return the trials that a study made, running or not; none where it has not begun.

    Raises:
        Damaged: The study cannot be read, or trials have left folders that it knows nothing of.
    """
    # Looked at first: a driver stores a trial before it makes its folder.
    begun = [path.name for path in (folder / TRIALS_FOLDER).glob("*/")]
    path = study_file(folder)
    if not path.exists():
        if begun:
            why = f"it is missing (as is {JOURNAL_FILE}), but {TRIALS_FOLDER}/ holds trials"
            raise Damaged(path, why, _REMEDY)
        return []
    with stored_study(path, name, _REMEDY) as study:
        if study is None and begun:
            why = f"it holds no study {name}, but {TRIALS_FOLDER}/ holds trials"
            raise Damaged(path, why, _REMEDY)
        if study is None:
            return []
        _check_complete(path, study, begun)
        return own_trials(study)


def _check_complete(path: Path, study: OptunaStudy, begun: Sequence[str]) -> None:
    """Make sure that a journal, which is readable wherever it is cut, knows all trials.

    Not of SQLite, which after a power cut may have lost the last ones: see `_spare_syncs`.
    """
    if path.name != JOURNAL_FILE:
        return
    known = len(study.get_trials(deepcopy=False))
    last = max((int(name) for name in begun if name.isdigit()), default=-1)
    if last >= known:
        why = f"it knows {known} trials, but {TRIALS_FOLDER}/ holds number {last}"
        raise Damaged(path, why, _REMEDY)


def stored_warm_start(folder: Path, name: str) -> str:
    """Return what a study took over from an older one, in a sentence; empty for most."""
    path = study_file(folder)
    if not path.exists():
        return ""
    with stored_study(path, name, _REMEDY) as study:
        return "" if study is None else str(study.user_attrs.get(WARM_START, ""))


def _set_journal_mode(path: Path, mode: str) -> None:
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
