"""The address of a SQLite file, for those who open it by SQLAlchemy: Optuna and MLflow."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

SQLITE = "sqlite:///"


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file, whatever characters its folders have.

    In a URL ``?`` begins the options, and ``%`` with two digits is a character: a folder with one
    of them would be another folder, or another file. No more is quoted than that, for MLflow makes
    the folder of the URL as it is written, an empty one beside the real one where they differ.
    """
    text = re.sub(r"%(?=[0-9A-Fa-f]{2})", "%25", str(path.absolute()))
    return SQLITE + text.replace("?", "%3F")


def sqlite_path(url: str) -> Path | None:
    """Return the file of a SQLite URL, ``None`` for any other."""
    return Path(unquote(url.removeprefix(SQLITE))) if url.startswith(SQLITE) else None
