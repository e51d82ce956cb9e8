"""Files of ours: written whole or not at all, and read with the name of what is damaged."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ..errors import UserError, first_line


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new text, never a part of it."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one piece, as `write_text` does."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def write_json(path: Path, value: Any) -> None:
    """Write plain values as JSON, in one piece."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True))


DAMAGED_SUFFIX = ".damaged"


class Damaged(UserError, ValueError):
    """A file of ours that cannot be read.

    Attributes:
        path: The file.
        why: What is wrong with it.
    """

    def __init__(self, path: Path, why: str, remedy: str = "") -> None:
        self.path, self.why = path, why
        super().__init__(f"{path} is broken: {why}" + (f"; {remedy}" if remedy else ""))


def stored_text(path: Path, remedy: str = "") -> str | None:
    """Return the text of a file, ``None`` where there is none.

    Args:
        path: The file.
        remedy: What to do about a damaged one, for the message.

    Raises:
        Damaged: It is empty, no text, or something else than a file stands there.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        raise Damaged(path, "it is a folder", remedy) from None
    except OSError as error:
        raise Damaged(path, f"it cannot be read ({error.strerror})", remedy) from None
    except UnicodeDecodeError:
        raise Damaged(path, "it is no text", remedy) from None
    if not text.strip():
        raise Damaged(path, "it is empty", remedy)
    return text


def stored_json(path: Path, remedy: str = "", kind: type = dict) -> Any:
    """Return a JSON file of one object (or ``kind``), ``None`` where there is none.

    Raises:
        Damaged: As `stored_text`, or it is no such JSON.
    """
    text = stored_text(path, remedy)
    if text is None:
        return None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Damaged(path, f"it is not JSON ({error})", remedy) from None
    if not isinstance(data, kind):
        raise Damaged(path, f"it holds no JSON {kind.__name__}", remedy)
    return data


@contextmanager
def reading(path: Path, remedy: str = "") -> Iterator[None]:
    """Say of what is wrong with the contents of a file, while they are taken apart, whose it is.

    Raises:
        Damaged: A key is missing, a value is of another kind, or a library cannot read the file.
    """
    try:
        yield
    except UserError:
        raise
    except KeyError as error:
        raise Damaged(path, f"it holds no {error}", remedy) from None
    except IsADirectoryError:
        raise Damaged(path, "it is a folder", remedy) from None
    except (ValueError, TypeError, AttributeError, OSError, LookupError) as error:
        # pyarrow's errors are ValueErrors or OSErrors.
        raise Damaged(path, first_line(error), remedy) from None


def set_aside(path: Path) -> Path:
    """Rename a damaged file, so that another can take its place, and return where it is now."""
    target = path.with_name(path.name + DAMAGED_SUFFIX)
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}{DAMAGED_SUFFIX}-{number}")
    path.rename(target)
    return target


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
