"""The address of a SQLite file, for those who open it by SQLAlchemy: Optuna and MLflow."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

SQLITE = "sqlite:///"


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file, whatever characters its folders have.

    In a URL ``?`` begins the options and ``%`` a quoted character: a folder with one of them would
    be another folder, or another file. ``#`` ends it for some readers.
    """
    text = str(path.absolute())
    for character in "%?#":
        text = text.replace(character, f"%{ord(character):02X}")
    return SQLITE + text


def sqlite_path(url: str) -> Path | None:
    """Return the file of a SQLite URL, ``None`` for any other."""
    return Path(unquote(url.removeprefix(SQLITE))) if url.startswith(SQLITE) else None
