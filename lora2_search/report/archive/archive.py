"""A suite's evidence made small: what every number of its report can be computed from again.

An archive is a folder: ``suite.yaml`` as it ran, ``records.jsonl`` (the first line holds what most
records share, each other line what one run has of its own), ``predictions.parquet`` (the test
predictions of all runs), ``examples.json`` (texts that the report shows), ``published.csv``, and
``archive.json`` (how far the suite had come). It may be written while the suite runs, and again.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from ...analysis import EXAMPLES_FILE, PUBLISHED_FILE, TEST, Evidence, gather, stored_texts
from ...config import stored_plan
from ...config.suite import Suite
from ...errors import UserError
from ...store import (
    PAGE_FILE,
    PREDICTIONS_FILE,
    RUNS_FOLDER,
    SUITE_FILE,
    TUNING_FOLDER,
    RunRecord,
    read_record,
    reading,
    stored_text,
    write_json,
    write_text,
)
from ..figures.paper import FIGURES_FOLDER
from ..pages.suite import suite_page
from ..pages.suite_files import TABLES_FOLDER, write_texts
from .record import JsonObject, lean, rebuilt, shared, without_shared
from .state import STATE_FILE, read_state, state_of

if TYPE_CHECKING:
    import pandas

RECORDS_FILE = "records.jsonl"

_REMEDY = "restore it from a copy of the archive"

_FILES = {SUITE_FILE, RECORDS_FILE, EXAMPLES_FILE, PREDICTIONS_FILE, PUBLISHED_FILE, STATE_FILE}

# So many of them tell one that has lost some from a folder with a file of the same name.
_MOST_OF_AN_ARCHIVE = 3

_FOLDERS = (RUNS_FOLDER, TUNING_FOLDER)


def is_archive(folder: Path) -> bool:
    """Whether a folder is an archive of a suite."""
    return (folder / RECORDS_FILE).exists() and (folder / SUITE_FILE).exists()


def write_archive(suite_folder: Path, out: Path) -> Path:
    """Write the archive of a suite, and the report that is made from it alone.

    The page for a browser is left out: it weighs megabytes, and holds the same numbers. A suite
    that is running or was interrupted gives what there is; written again later, the archive grows.
    Whoever is stopped while it is written leaves the older archive, or one that has more.

    Args:
        suite_folder: The suite's folder.
        out: The archive's folder; made if absent, what it holds of an older one is replaced.

    Returns:
        The path of ``report.md`` in it.

    Raises:
        UserError: The folder holds no suite, or the archive would overwrite the suite, or lie among
            files that are of no archive.
    """
    evidence = gather(suite_folder)
    if out.resolve() == suite_folder.resolve():
        raise UserError(f"the archive must not go into the suite's own folder, {out}")
    _refuse_foreign(out)
    _clear(out)
    out.mkdir(parents=True, exist_ok=True)
    # Read once: a run that ends in between is left to the next time. The records come last.
    records, plan = _records(suite_folder), (suite_folder / SUITE_FILE).read_text(encoding="utf-8")
    # First: by it, one that was stopped before it had records is known again.
    write_json(out / EXAMPLES_FILE, {task: _shown(item) for task, item in evidence.items()})
    if any(item.published for item in evidence.values()):
        shutil.copyfile(suite_folder / PUBLISHED_FILE, out / PUBLISHED_FILE)
    _write_predictions(suite_folder, records, out)
    write_text(out / SUITE_FILE, plan)
    _write_records(records, out)
    runs, tuning = (
        {name: record for name, record in records.items() if name.startswith(f"{kind}/")}
        for kind in _FOLDERS
    )
    state_of(stored_plan(Suite, yaml.safe_load(plan)), runs, tuning).write(out)
    return write_archived_report(out)


def write_archived_report(folder: Path, out: Path | None = None) -> Path:
    """Write the report of an archive, from the archive alone.

    Args:
        folder: The archive's folder.
        out: Where to write it, with the page for a browser, which an archive is spared; by default
            into the archive.

    Returns:
        The path of the page, or of ``report.md`` in the archive.

    Raises:
        UserError: The folder is no archive, or a damaged one.
    """
    with archive_suite(folder) as evidence:
        if out is None:
            return write_texts(evidence, folder, ends=("svg",))
        write_texts(evidence, out)
        page = out / PAGE_FILE
        write_text(page, suite_page(evidence))
        return page


@contextmanager
def suite_evidence(folder: Path) -> Iterator[dict[str, Evidence]]:
    """Read and analyse a suite's folder or an archive, for the time of a block.

    Raises:
        UserError: The folder holds no suite, or a damaged archive.
    """
    if not is_archive(folder):
        yield gather(folder)
        return
    with archive_suite(folder) as evidence:
        yield evidence


@contextmanager
def archive_suite(folder: Path) -> Iterator[dict[str, Evidence]]:
    """Read and analyse an archive as ``gather`` does a suite's folder, for the time of a block.

    Raises:
        UserError: The folder is no archive, or a damaged one.
    """
    with unpack_archive(folder) as suite:
        yield {
            task: replace(
                item,
                analysis=replace(item.analysis, suite=replace(item.analysis.suite, folder=folder)),
                archived=True,
            )
            for task, item in gather(suite).items()
        }


@contextmanager
def unpack_archive(folder: Path) -> Iterator[Path]:
    """Lay an archive out as the suite's folder was, for the time of a block; yield that folder.

    Of a run it holds what the archive does: its record, and its test predictions.

    Raises:
        UserError: The folder is no archive, or a damaged one.
    """
    check_archive(folder)
    # Neither is needed for every use, but a damaged archive is one at each.
    read_state(folder)
    stored_texts(folder / EXAMPLES_FILE)
    with tempfile.TemporaryDirectory() as scratch:
        suite = Path(scratch) / "suite"
        with _named_as(folder, suite):
            _unpack(folder, suite)
            yield suite


@contextmanager
def _named_as(folder: Path, suite: Path) -> Iterator[None]:
    """Name the archive's own files in messages: those that they are laid out as are gone by then.

    Raises:
        UserError: What went wrong in the block.
    """
    try:
        yield
    except UserError as error:
        if str(suite) not in str(error):
            raise
        raise UserError(str(error).replace(str(suite), str(folder))) from None


def check_archive(folder: Path) -> None:
    """Make sure that a folder is an archive of a suite.

    Raises:
        UserError: It is not; the message says how one is written.
    """
    if not is_archive(folder):
        raise UserError(
            f"{folder} is not an archive of a suite: it must hold {SUITE_FILE} and {RECORDS_FILE}; "
            "`report SUITE --archive FOLDER` writes one"
        )


def _refuse_foreign(out: Path) -> None:
    """Make sure that a folder is absent, empty, or an archive: whole, damaged or just begun.

    Raises:
        UserError: It holds other files, which an archive would overwrite or lie among.
    """
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    names -= {name for name in names if name.startswith(".") and name.endswith(".tmp")}
    ours = names & _FILES
    begun = EXAMPLES_FILE in names and ours == names
    if names and not is_archive(out) and not begun and len(ours) < _MOST_OF_AN_ARCHIVE:
        named = ", ".join(sorted(names)[:3]) + (" ..." if len(names) > 3 else "")
        raise UserError(
            f"{out} is not an archive, and not empty (it holds {named}): an archive would mix with "
            "other files, and overwrite some; name a new folder"
        )


def _clear(archive: Path) -> None:
    """Take away what a new archive might not write again: a figure of an arm that is gone."""
    for name in (FIGURES_FOLDER, TABLES_FOLDER):
        shutil.rmtree(archive / name, ignore_errors=True)
    (archive / PUBLISHED_FILE).unlink(missing_ok=True)


def _shown(item: Evidence) -> dict[str, str]:
    examples = {
        one.example for examples_of_pair in item.disagreements.values() for one in examples_of_pair
    }
    return {str(number): item.texts[number] for number in sorted(examples & set(item.texts))}


def _records(folder: Path) -> dict[str, RunRecord]:
    """Return every readable record below a suite's folder, by ``runs/base-seed0``."""
    records = {}
    for kind in _FOLDERS:
        for path in sorted((folder / kind).glob("*")):
            try:
                record = read_record(path)
            except ValueError:
                continue
            if record is not None:
                records[f"{kind}/{path.name}"] = record
    return records


def _write_records(records: Mapping[str, RunRecord], out: Path) -> None:
    leaned = {name: lean(record) for name, record in records.items()}
    common = shared(list(leaned.values()))
    lines: list[Mapping[str, Any]] = [{"shared": common}]
    lines += [{"run": name, **without_shared(values, common)} for name, values in leaned.items()]
    text = "\n".join(json.dumps(line, separators=(",", ":")) for line in lines)
    write_text(out / RECORDS_FILE, text + "\n")


def _write_predictions(folder: Path, records: Mapping[str, RunRecord], out: Path) -> None:
    import pandas as pd

    tables = []
    for name in records:
        path = folder / name / PREDICTIONS_FILE
        if name.startswith(f"{RUNS_FOLDER}/") and path.exists():
            columns = ["split", "example", "label", "prediction"]
            with reading(path, "delete it to keep the evidence without it"):
                table = pd.read_parquet(path, columns=columns).query(f"split == '{TEST}'")
            table.insert(0, "run", path.parent.name)
            tables.append(table.drop(columns="split").sort_values("example"))
    empty = pd.DataFrame({"run": [], "example": [], "label": [], "prediction": []})
    every = pd.concat(tables, ignore_index=True) if tables else empty
    for column in ("label", "prediction"):
        every[column] = _small(every[column])
    # Numbers that count up by one take no room at all as differences.
    every["example"] = every["example"].astype("int32")
    temporary = out / f".{PREDICTIONS_FILE}.{os.getpid()}.tmp"
    every.to_parquet(
        temporary,
        index=False,
        compression="zstd",
        use_dictionary=["run", "label", "prediction"],
        column_encoding={"example": "DELTA_BINARY_PACKED"},
    )
    os.replace(temporary, out / PREDICTIONS_FILE)


def _small(values: Any) -> Any:
    """Return a column in the smallest type that holds each of its numbers exactly."""
    for kind in ("int8", "int16", "float32"):
        fits = not kind.startswith("int") or bool((values.notna() & (values % 1 == 0)).all())
        if fits and bool(((values.astype(kind) == values) | values.isna()).all()):
            return values.astype(kind)
    return values


def _unpack(folder: Path, suite: Path) -> None:
    suite.mkdir()
    for name in (SUITE_FILE, PUBLISHED_FILE, EXAMPLES_FILE):
        if (folder / name).exists():
            stored_text(folder / name, _REMEDY)
            shutil.copyfile(folder / name, suite / name)
    for name, record in _stored_records(folder / RECORDS_FILE).items():
        (suite / name).mkdir(parents=True)
        record.write(suite / name)
    for name, table in _stored_predictions(folder / PREDICTIONS_FILE):
        run = suite / RUNS_FOLDER / name
        if run.is_dir():  # or it ended while an archive was written, which got no further
            table.to_parquet(run / PREDICTIONS_FILE, index=False)


def _stored_records(path: Path) -> dict[str, RunRecord]:
    """Return the records of an archive by ``runs/base-seed0``.

    Raises:
        UserError: A line holds no record of a run.
    """
    records: dict[str, RunRecord] = {}
    common: JsonObject = {}
    with reading(path, _REMEDY):
        lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines or [b""], start=1):
        try:
            entry = json.loads(line)
            if number == 1:
                common = entry["shared"]
            else:
                records[_place(entry["run"])] = rebuilt(entry, common)
        # Whatever a file holds that was cut short, merged by git or written by hand.
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise _damaged(path, f"line {number} is not a record of a run") from error
    return records


def _place(name: str) -> str:
    """Return where a run is below its suite's folder; an archive from elsewhere may say any place.

    Raises:
        ValueError: It is elsewhere.
    """
    parts = PurePosixPath(name).parts
    if len(parts) != 2 or parts[0] not in _FOLDERS or parts[1] == ".." or "\\" in name:
        raise ValueError(name)
    return "/".join(parts)


def _stored_predictions(path: Path) -> Iterator[tuple[str, pandas.DataFrame]]:
    """Yield the test predictions of each run, as the run left them.

    Raises:
        UserError: The file is missing or holds no predictions.
    """
    import pandas as pd

    try:
        every = pd.read_parquet(path).astype({"run": str, "label": float, "prediction": float})
        every["example"]
    # Parquet that cannot be read is an OSError or a ValueError, whatever is wrong with it.
    except (OSError, ValueError, LookupError) as error:
        raise _damaged(path, "it holds no predictions") from error
    every.insert(0, "split", TEST)
    for name, table in every.groupby("run"):
        yield str(name), table.drop(columns="run")


def _damaged(path: Path, what: str) -> UserError:
    return UserError(
        f"{path}: {what}; the archive is damaged, or a later version of this package wrote it: "
        "take a complete copy, or write it again with `report SUITE --archive FOLDER`"
    )
