"""The Optuna database of a study: one way to open it, and errors that name the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import first_line
from .files import Damaged, sqlite_url

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.study import Study

PATIENCE_SECONDS = 60


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
def open_database(path: Path) -> Iterator[RDBStorage]:
    """Open a database for the time of a block; it waits while others write."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
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
    """Open a study to read it, running or not; ``None`` where the database has none yet.

    It can be read after the block too, by connections that are made anew.

    Raises:
        Damaged: The database cannot be read, or holds a study of another name.
    """
    import optuna

    with reading_database(path, remedy), open_database(path) as storage:
        try:
            study = optuna.load_study(study_name=name, storage=storage)
        except KeyError:
            study = None
            if others := [item.study_name for item in storage.get_all_studies()]:
                why = f"it holds the study {others[0]}, not {name}"
                raise Damaged(path, why, f"rename its folder back to {others[0]}") from None
        yield study
