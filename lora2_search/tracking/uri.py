"""Where runs are tracked: which MLflow store, and how a local one comes into being."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from ..errors import Argument, RequestError, UserError
from ..store import SQLITE, home, sqlite_path, sqlite_url, writable_folder

VARIABLE = "MLFLOW_TRACKING_URI"

DATABASE = "mlflow.db"

ARTIFACTS = "mlartifacts"

Origin = Literal["option", "environment", "default"]

_DATABASES = ("postgresql", "mysql", "mssql", "sqlite")

_REMOTE = ("http", "https", "databricks")

_PACKAGES = {"psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}

_SHORTEST_SECRET = 3

_URI = re.compile(r"[\w+.-]+://\S+")

_TOKEN = re.compile(r"^(https?://)[^:@/?#]+@")

# Up to the last @: a password may hold one that nobody quoted.
_PASSWORD = re.compile(r"^((?:[\w+.-]*:?//)?[^:@/?#]*):(.*)@", re.DOTALL)

_SECRET_OPTION = re.compile(
    r"([?&][^=&#]*(?:pass|pwd|secret|token|key|odbc_connect)[^=&#]*=)([^&#]*)", re.IGNORECASE
)


def resolve_uri(given: str | None = None) -> str:
    """Return the tracking URI: ``given``, else ``$MLFLOW_TRACKING_URI``, else the home's SQLite.

    A relative SQLite path is made absolute, so that every process opens the same file.

    Raises:
        UserError: The URI is of a kind that MLflow would turn into a folder somewhere.
    """
    origin: str | Argument = Argument("tracking_uri")
    uri = given
    if not uri:
        uri, origin = os.environ.get(VARIABLE), VARIABLE
    if not uri:
        return sqlite_url(home() / DATABASE)
    path = sqlite_path(uri)
    if path is not None and uri != SQLITE and ":memory:" not in uri:
        if "?" in uri:
            message = f" takes no options, and a ? in a path is %3F, but got {uri!r}"
            raise RequestError(origin, message)
        return sqlite_url(Path(os.path.expanduser(path)))
    scheme = uri.partition(":")[0].partition("+")[0]
    if scheme == "databricks" or ("://" in uri and scheme in (*_DATABASES[:-1], *_REMOTE)):
        return uri.rstrip("/")
    raise RequestError(
        origin,
        " must be a server (http://host:5000) or a database "
        f"(sqlite:////folder/{DATABASE}, postgresql://...), but got {display_uri(uri)!r}",
    )


def origin(uri: str) -> Origin:
    """Return what must be set for ``resolve_uri`` to find a resolved URI again.

    ``environment``: the variable, as it is set now. ``default``: nothing. ``option``: the URI.
    """
    try:
        default = resolve_uri()
    except UserError:
        return "option"
    if default != uri:
        return "option"
    return "environment" if os.environ.get(VARIABLE) else "default"


def options(uri: str) -> list[str]:
    """Return the options with which a printed command finds a resolved URI again."""
    return ["--tracking-uri", display_uri(uri)] if origin(uri) == "option" else []


def display_uri(uri: str) -> str:
    """Return the URI for people to read: without its password.

    Also where it is no URI, or its password holds what should have been quoted: rather too much
    is hidden than too little.
    """
    uri = _TOKEN.sub(r"\1***@", uri, count=1)
    uri = _PASSWORD.sub(r"\1:***@", uri, count=1)
    return _SECRET_OPTION.sub(r"\1***", uri)


def redacted(text: str, uri: str = "") -> str:
    """Return a text for people without the passwords of URIs in it, that of ``uri`` above all.

    Libraries that are given a URI may name it in their errors, whole or in parts.
    """
    if uri:
        text = text.replace(uri, display_uri(uri))
        secrets = [*_PASSWORD.findall(uri), *_SECRET_OPTION.findall(uri)]
        for secret in {part for match in secrets for part in (match[1], unquote(match[1]))}:
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
    return _URI.sub(lambda match: display_uri(match[0]), text)


def check_driver(uri: str) -> None:
    """Check that the Python package that opens a database is installed.

    Raises:
        UserError: It is not, or the URI is none; the message says what to do.
    """
    if database_path(uri) is not None or is_server(uri):
        return
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        make_url(uri).get_dialect().import_dbapi()
    except ImportError as error:
        package = _PACKAGES.get(str(error.name), error.name)
        raise UserError(
            f"{display_uri(uri)} needs the Python package {error.name}, which is not installed: "
            f"pip install {package}, or name another store with --tracking-uri"
        ) from None
    except (ArgumentError, ValueError):
        raise UserError(
            f"{display_uri(uri)} is not a database URI; the form is postgresql://user:password@host:5432/"
            "database; in a password write %40 for @, %3A for : and %2F for /"
        ) from None


def without_proxies() -> dict[str, str]:
    """Return the variables that keep this machine's own servers away from an ``http_proxy``."""
    spared = {}
    for name in ("no_proxy", "NO_PROXY"):
        given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        spared[name] = ",".join(filter(None, [given, "localhost", "127.0.0.1"]))
    return spared


def is_server(uri: str) -> bool:
    """Return whether somebody's server answers at ``uri``, so that none has to be started."""
    return uri.partition(":")[0] in _REMOTE


def database_path(uri: str) -> Path | None:
    """Return the file of a SQLite URI, ``None`` for any other."""
    return sqlite_path(uri)


def artifact_folder(uri: str) -> Path | None:
    """Return where artifacts of a SQLite store lie, beside it; a server knows that itself."""
    path = database_path(uri)
    return path.parent / ARTIFACTS if path else None


def prepare(uri: str) -> None:
    """Make a local database ready; every opener calls this first. Costs nothing when it exists.

    MLflow's migrations crash when two processes start them at once, and cannot be taken up again
    when killed. So one process runs them, on a file that gets its name only when it is whole.

    Raises:
        UserError: The folder cannot be written, or the database's driver is not installed.
    """
    check_driver(uri)
    path = database_path(uri)
    if path is None or _has_content(path):
        return
    from filelock import FileLock

    writable_folder(path.parent, "name another store with ", Argument("tracking_uri"))
    with FileLock(path.with_name(f".{path.name}.lock")):
        if not _has_content(path):
            _create(path)


def _create(path: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    # Two lines about tables, on everybody's first run.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    store = SqlAlchemyStore(sqlite_url(new), str(path.parent / ARTIFACTS))
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
