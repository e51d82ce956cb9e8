"""Where runs are tracked: which MLflow store, and how a local one comes into being."""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from ..errors import UserError
from ..home import home, writable_folder

VARIABLE = "MLFLOW_TRACKING_URI"
DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"

Origin = Literal["option", "environment", "default"]

_SQLITE = "sqlite:///"
_DATABASES = ("postgresql", "mysql", "mssql", "sqlite")
_REMOTE = ("http", "https", "databricks")


def resolve(given: str | None = None) -> str:
    """Return the tracking URI: ``given``, else ``$MLFLOW_TRACKING_URI``, else the home's SQLite.

    A relative SQLite path is made absolute, so that every process opens the same file.

    Raises:
        UserError: The URI is of a kind that MLflow would turn into a folder somewhere.
    """
    uri, origin = given, "--tracking-uri"
    if not uri:
        uri, origin = os.environ.get(VARIABLE), VARIABLE
    if not uri:
        return _SQLITE + str(home() / DATABASE)
    if uri.startswith(_SQLITE) and len(uri) > len(_SQLITE) and ":memory:" not in uri:
        return _SQLITE + str(Path(uri.removeprefix(_SQLITE)).expanduser().absolute())
    scheme = uri.partition(":")[0].partition("+")[0]
    if scheme == "databricks" or ("://" in uri and scheme in (*_DATABASES[:-1], *_REMOTE)):
        return uri.rstrip("/")
    raise UserError(
        f"{origin} must be a server (http://host:5000) or a database "
        f"(sqlite:////folder/{DATABASE}, postgresql://...), but got {uri!r}"
    )


def origin(uri: str) -> Origin:
    """Return what must be said for ``resolve`` to find a resolved URI again.

    ``environment``: the variable, as it is set now. ``default``: nothing. ``option``: the URI.
    """
    try:
        found = resolve()
    except UserError:
        return "option"
    if found != uri:
        return "option"
    return "environment" if os.environ.get(VARIABLE) else "default"


def options(uri: str) -> list[str]:
    """Return the options with which a printed command finds a resolved URI again."""
    return ["--tracking-uri", shown(uri)] if origin(uri) == "option" else []


def shown(uri: str) -> str:
    """Return the URI for people to read: without its password."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:***@{host}"))


def is_server(uri: str) -> bool:
    """Return whether somebody's server answers at ``uri``, so that none has to be started."""
    return uri.partition(":")[0] in _REMOTE


def database_path(uri: str) -> Path | None:
    """Return the file of a SQLite URI, ``None`` for any other."""
    return Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None


def artifact_folder(uri: str) -> Path | None:
    """Return where artifacts of a SQLite store lie, beside it; a server knows that itself."""
    path = database_path(uri)
    return path.parent / ARTIFACTS if path else None


def prepare(uri: str) -> None:
    """Make a local database ready; every opener calls this first. Costs nothing when it exists.

    MLflow's migrations crash when two processes start them at once, and cannot be taken up again
    when killed. So one process runs them, on a file that gets its name only when it is whole.

    Raises:
        UserError: The folder cannot be written.
    """
    path = database_path(uri)
    if path is None or _has_content(path):
        return
    from filelock import FileLock

    writable_folder(path.parent, "name another store with --tracking-uri")
    with FileLock(path.with_name(f".{path.name}.lock")):
        if not _has_content(path):
            _create(path)


def _create(path: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    # Two lines about tables, on everybody's first run.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    store = SqlAlchemyStore(_SQLITE + str(new), str(path.parent / ARTIFACTS))
    store.engine.dispose()
    # Readers (the UI) and the syncer then do not wait for each other; the file remembers it.
    connection = sqlite3.connect(new)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    os.replace(new, path)


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return False
