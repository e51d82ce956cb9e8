"""What was run as a table for other tools: csv, json, jsonl or parquet."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal, get_args

import pandas

from ..errors import Argument, RequestError, UserError
from ..search import load_study
from ..store import RunRecord
from .catalog import find_item

Format = Literal["csv", "json", "jsonl", "parquet"]

FORMATS: tuple[Format, ...] = get_args(Format)

# Not a table: `peft_results`.
PEFT = "peft"


def frame_of(name: str, storage: Path | None = None) -> pandas.DataFrame:
    """Return what was run as a table.

    A study: a row per trial (`Study.frame`). A suite: a row per run (`SuiteResult.frame`). A single
    run: a row per step, with everything that was measured there. A verification: a row per claim.

    Raises:
        UserError: There is nothing of that name, or its plan is broken.
    """
    item = find_item(name, storage)
    if item.kind == "study":
        return load_study(item.name, storage).frame()
    if item.kind == "suite":
        from ..ablation import read_suite_result

        return read_suite_result(item.name, storage).frame()
    if item.kind == "run":
        ((_, record),) = item.records()
        return _history(record)
    from ..verification import read_rows

    rows = [{**vars(row), **row.numbers} for row in read_rows(item.folder)]
    return pandas.DataFrame(rows).drop(columns="numbers", errors="ignore")


def _history(record: RunRecord) -> pandas.DataFrame:
    begun = record.started_ms
    return pandas.DataFrame(
        {"step": point.step, "seconds": (point.time_ms - begun) / 1000, **point.metrics}
        for point in record.history
    )


def format_of(to: str | None, out: Path | None) -> Format:
    """Return a table's format: the one that is named, else the one of the file's suffix, else csv.

    Raises:
        UserError: It is none of `FORMATS`.
    """
    suffix = "" if out is None else out.suffix.lower().removeprefix(".")
    if to is None and out is None:
        return "csv"
    for known in FORMATS:
        if known == (to or suffix):
            return known
    if to is None:
        known_names = ", ".join(f".{name}" for name in FORMATS)
        what = f"{out} must end in one of {known_names}, or name the format with "
        raise RequestError(what, Argument("to"))
    raise RequestError(
        Argument("to"), f" must be one of {', '.join((*FORMATS, PEFT))}, but got {to!r}"
    )


def write_frame(frame: pandas.DataFrame, form: Format, out: Path | None = None) -> None:
    """Write a table into a file, or to stdout.

    Raises:
        UserError: The file cannot be written, or parquet would go to a terminal.
    """
    data = _bytes(frame, form)
    if out is None:
        if form == "parquet" and sys.stdout.isatty():
            raise RequestError(
                "parquet is no text for a terminal; name a file with ", Argument("out")
            )
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        out.expanduser().write_bytes(data)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}") from None


def _bytes(frame: pandas.DataFrame, form: Format) -> bytes:
    if form == "parquet":
        return frame.apply(_of_one_type).to_parquet(index=False)
    if form == "csv":
        return frame.to_csv(index=False).encode()
    rows = [_plain(row) for row in frame.to_dict("records")]
    if form == "json":
        return (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode()
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _plain(row: dict[Any, Any]) -> dict[str, Any]:
    """Return a row as JSON has it, every digit kept: NaN, which JSON lacks, becomes null."""
    plain = {str(key): getattr(value, "tolist", lambda v=value: v)() for key, value in row.items()}
    return {key: None if value != value else value for key, value in plain.items()}


def _of_one_type(column: pandas.Series) -> pandas.Series:
    """Return a column that parquet can hold: what mixes types (a searched list) becomes text."""
    if column.dtype != object or len({type(value) for value in column.dropna()}) < 2:
        return column
    return column.map(_text, na_action="ignore")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
