"""One reader for files of rows, whatever their format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ....config import DataConfig
from ....errors import ConfigError, Problem
from ....store import display_path
from .delimited import read_delimited
from .encoding import decode
from .json_rows import read_json
from .parquet import read_parquet
from .table import Table, Unreadable, checked

READERS = (".csv", ".tsv", ".jsonl", ".parquet", ".json")

_SEPARATORS = {".csv": ",", ".tsv": "\t"}


def read_file(path: Path, key: str = "data.path", data: DataConfig | None = None) -> Table:
    """Read a csv, tsv, jsonl, json or parquet file, every cell as it is written.

    Args:
        path: The file.
        key: The key under which its problems are reported.
        data: Separator, quotes, encoding and header where the user sets them, and the wanted
            columns.

    Raises:
        ConfigError: It is missing, of another kind, broken, ambiguous or empty; with the line.
    """
    path = path.expanduser()
    suffix = path.suffix.lower()
    if suffix not in READERS:
        message = f"must be one of {', '.join(READERS)}, got {path.name!r}"
        raise ConfigError([Problem(key, message)])
    if not path.is_file():
        raise ConfigError([Problem(key, f"no file {display_path(path)}")])
    try:
        return checked(_read(path, suffix, data or DataConfig()))
    except (Unreadable, OSError) as error:
        why = " ".join(str(getattr(error, "strerror", None) or error).split())
        message = f"{path} cannot be read as {suffix[1:]}: {why[:600]}"
        if why == "it holds no rows":
            message = f"{path} holds no rows"
        raise ConfigError([Problem(key, message)]) from None


def _read(path: Path, suffix: str, data: DataConfig) -> Table:
    if suffix == ".parquet":
        return read_parquet(path)
    text, encoding = decode(path.read_bytes(), data.encoding)
    if suffix in _SEPARATORS:
        table = read_delimited(text, path.name, _SEPARATORS[suffix], data)
    else:
        table = read_json(text, path.name)
    if data.encoding is None and encoding != "utf-8":
        said = f"{path.name}: read as {encoding.upper()}, by its byte order mark."
        table = replace(table, said=(said, *table.said))
    return table
