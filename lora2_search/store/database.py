"""The Optuna storage of a study: which file it is, one way to open it, errors that name it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import first_line
from .files import Damaged, sqlite_url
from .layout import JOURNAL_FILE, STUDY_FILE

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study

PATIENCE_SECONDS = 60


def study_file(folder: Path, *, shared: bool = False) -> Path:
    """Return where the study of a folder is stored, or will be: a database or a journal.

    A study stays in the file in which it began, wherever its folder is used later.

    Args:
        folder: The study's folder.
        shared: Whether the folder may be on a network file system, where SQLite's locks may do
            nothing; a study that begins there has a journal.
    """
    journal, database = folder / JOURNAL_FILE, folder / STUDY_FILE
    if journal.exists() or (shared and not database.exists()):
        return journal
    return database


@contextmanager
def reading_database(path: Path, remedy: str = "") -> Iterator[None]:
    """Say of errors of SQLite and of Optuna which database they are about.

    Raises:
        Damaged: It cannot be read, or is no database of Optuna.
    """
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    if path.is_dir():
        raise Damaged(path, "it is a folder", remedy)
    try:
        yield
    except (sqlite3.DatabaseError, SQLAlchemyError, OptunaError) as error:
        cause = getattr(error, "orig", None) or error.__cause__ or error
        raise Damaged(path, first_line(cause), remedy) from None


@contextmanager
def open_database(path: Path, remedy: str = "") -> Iterator[BaseStorage]:
    """Open a study's file for the time of a block; it waits while others write.

    Raises:
        Damaged: It is a journal that cannot be read.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if path.name == JOURNAL_FILE:
        from .journal import open_journal

        yield open_journal(path, remedy)
        return
    storage = optuna.storages.RDBStorage(
        sqlite_url(path), engine_kwargs={"connect_args": {"timeout": PATIENCE_SECONDS}}
    )
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


@contextmanager
def stored_study(path: Path, name: str, remedy: str = "") -> Iterator[Study | None]:
    """Open a study to read it, running or not; ``None`` where its file has none yet.

    It can be read after the block too, by connections that are made anew.

    Raises:
        Damaged: The file cannot be read, or holds a study of another name.
    """
    import optuna

    with reading_database(path, remedy), open_database(path, remedy) as storage:
        try:
            study = optuna.load_study(study_name=name, storage=storage)
        except KeyError:
            study = None
            if others := [item.study_name for item in storage.get_all_studies()]:
                why = f"it holds the study {others[0]}, not {name}"
                raise Damaged(path, why, f"rename its folder back to {others[0]}") from None
        yield study
