"""The Optuna study of a folder: SQLite, kept by one driver."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.storages import RDBStorage
    from optuna.study import Study as OptunaStudy

STUDY_FILE = "study.db"


@contextmanager
def opened(folder: Path, name: str) -> Iterator[tuple[OptunaStudy, RDBStorage]]:
    """Open the Optuna study of a folder, made if absent; larger values are better."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = _open_storage(folder / STUDY_FILE)
    try:
        study = optuna.create_study(
            storage=storage, study_name=name, direction="maximize", load_if_exists=True
        )
        yield study, storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def make_sampler(name: str, seed: int, startup_trials: int, conditional: bool) -> BaseSampler:
    """Return the sampler of one trial.

    A new one for each trial, seeded by the trial's number, needs no state to be saved: a resumed
    study proposes what the unbroken one would have. Conditional settings are modelled in groups.
    """
    import optuna

    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=startup_trials, multivariate=True, group=conditional
        )


def _open_storage(path: Path) -> RDBStorage:
    """Open the database with a write-ahead log.

    It spares an fsync at each report, and readers (a report, a dashboard) do not wait for the
    driver. After a power cut the last trials may be missing, never half a trial.
    """
    from optuna.storages import RDBStorage
    from sqlalchemy import event

    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    storage = RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})
    event.listen(storage.engine, "connect", _relax)
    storage.engine.dispose()  # connections made before the listener
    return storage


def _relax(connection: Any, record: Any) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")
