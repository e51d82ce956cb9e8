"""A suite's evidence made small: what every number of its report can be computed from again.

An archive is a folder: ``suite.yaml`` as it ran, ``records.jsonl`` (the first line holds what most
records share, each other line what one run has of its own), ``predictions.parquet`` (the test
predictions of all runs), ``examples.json`` (texts that the report shows), ``published.csv``.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..training.record import PREDICTIONS_FILE, RunRecord, read_record, write_json, write_text
from .archived_record import lean, rebuilt, shared, without_shared
from .disagreement import EXAMPLES_FILE
from .evidence import Evidence, gather
from .paper_figures import FIGURES_FOLDER
from .published import PUBLISHED_FILE
from .records import RUNS_FOLDER, SUITE_FILE
from .scores import TEST
from .suite_report import TABLES_FOLDER, write_texts
from .tuning import TUNING_FOLDER

RECORDS_FILE = "records.jsonl"
_FOLDERS = (RUNS_FOLDER, TUNING_FOLDER)


def is_archive(folder: Path) -> bool:
    """Whether a folder is an archive of a suite."""
    return (folder / RECORDS_FILE).is_file() and (folder / SUITE_FILE).is_file()


def write_archive(suite_folder: Path, out: Path) -> Path:
    """Write the archive of a suite, and the report that is made from it alone.

    The page for a browser is left out: it weighs megabytes, and holds the same numbers.

    Args:
        suite_folder: The suite's folder.
        out: The archive's folder; made if absent, what it holds of an older one is replaced.

    Returns:
        The path of ``report.md`` in it.

    Raises:
        UserError: The folder holds no suite, or the archive would overwrite the suite.
    """
    evidence = gather(suite_folder)
    if out.resolve() == suite_folder.resolve():
        raise UserError(f"the archive must go elsewhere than into the suite's own folder, {out}")
    if is_archive(out):
        _clear(out)
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(suite_folder / SUITE_FILE, out / SUITE_FILE)
    if any(item.published for item in evidence.values()):
        shutil.copyfile(suite_folder / PUBLISHED_FILE, out / PUBLISHED_FILE)
    write_json(out / EXAMPLES_FILE, {task: _shown(item) for task, item in evidence.items()})
    _write_records(suite_folder, out)
    _write_predictions(suite_folder, out)
    return write_archived_report(out)


def write_archived_report(folder: Path) -> Path:
    """Write the report of an archive into it, from the archive alone; return its path.

    Raises:
        UserError: The folder is no archive.
    """
    with archived(folder) as evidence:
        return write_texts(evidence, folder, ends=("svg",))


@contextmanager
def archived(folder: Path) -> Iterator[dict[str, Evidence]]:
    """Read and analyse an archive as ``gather`` does a suite's folder, for the time of a block.

    Raises:
        UserError: The folder is no archive.
    """
    if not is_archive(folder):
        raise UserError(
            f"{folder} is no archive of a suite: it must hold {SUITE_FILE} and {RECORDS_FILE}; "
            "`report SUITE --archive FOLDER` writes one"
        )
    with tempfile.TemporaryDirectory() as scratch:
        suite = Path(scratch) / "suite"
        _unpack(folder, suite)
        yield {
            task: replace(
                item,
                analysis=replace(item.analysis, suite=replace(item.analysis.suite, folder=folder)),
                archived=True,
            )
            for task, item in gather(suite).items()
        }


def _clear(archive: Path) -> None:
    """Take away what a new archive might not write again: a figure of an arm that is gone."""
    for name in (FIGURES_FOLDER, TABLES_FOLDER):
        shutil.rmtree(archive / name, ignore_errors=True)
    (archive / PUBLISHED_FILE).unlink(missing_ok=True)


def _shown(item: Evidence) -> dict[str, str]:
    examples = {one.example for found in item.disagreements.values() for one in found}
    return {str(number): item.texts[number] for number in sorted(examples & set(item.texts))}


def _records(folder: Path) -> dict[str, RunRecord]:
    """Return every readable record below a suite's folder, by ``runs/base-seed0``."""
    found = {}
    for kind in _FOLDERS:
        for path in sorted((folder / kind).glob("*")):
            try:
                record = read_record(path)
            except ValueError:
                continue
            if record is not None:
                found[f"{kind}/{path.name}"] = record
    return found


def _write_records(folder: Path, out: Path) -> None:
    records = {name: lean(record) for name, record in _records(folder).items()}
    common = shared(list(records.values()))
    lines: list[Mapping[str, Any]] = [{"shared": common}]
    lines += [{"run": name, **without_shared(told, common)} for name, told in records.items()]
    text = "\n".join(json.dumps(line, separators=(",", ":")) for line in lines)
    write_text(out / RECORDS_FILE, text + "\n")


def _write_predictions(folder: Path, out: Path) -> None:
    import pandas as pd

    tables = []
    for name in _records(folder):
        path = folder / name / PREDICTIONS_FILE
        if name.startswith(f"{RUNS_FOLDER}/") and path.is_file():
            columns = ["split", "example", "label", "prediction"]
            table = pd.read_parquet(path, columns=columns).query(f"split == '{TEST}'")
            table.insert(0, "run", path.parent.name)
            tables.append(table.drop(columns="split").sort_values("example"))
    empty = pd.DataFrame({"run": [], "example": [], "label": [], "prediction": []})
    every = pd.concat(tables, ignore_index=True) if tables else empty
    for column in ("label", "prediction"):
        every[column] = _small(every[column])
    # Numbers that count up by one take no room at all as differences.
    every["example"] = every["example"].astype("int32")
    every.to_parquet(
        out / PREDICTIONS_FILE,
        index=False,
        compression="zstd",
        use_dictionary=["run", "label", "prediction"],
        column_encoding={"example": "DELTA_BINARY_PACKED"},
    )


def _small(values: Any) -> Any:
    """Return a column in the smallest type that holds each of its numbers exactly."""
    for kind in ("int8", "int16", "float32"):
        whole = not kind.startswith("int") or bool((values.notna() & (values % 1 == 0)).all())
        if whole and bool(((values.astype(kind) == values) | values.isna()).all()):
            return values.astype(kind)
    return values


def _unpack(folder: Path, suite: Path) -> None:
    """Lay an archive out as the suite's folder was, records and test predictions run by run."""
    import pandas as pd

    suite.mkdir()
    for name in (SUITE_FILE, PUBLISHED_FILE, EXAMPLES_FILE):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, suite / name)
    lines = (folder / RECORDS_FILE).read_text(encoding="utf-8").splitlines()
    first, *rest = (json.loads(line) for line in lines)
    for line in rest:
        (suite / line["run"]).mkdir(parents=True)
        rebuilt(line, first["shared"]).write(suite / line["run"])
    every = pd.read_parquet(folder / PREDICTIONS_FILE)
    for name, table in every.groupby("run"):
        told = table.drop(columns="run").astype({"label": float, "prediction": float})
        told.insert(0, "split", TEST)
        told.to_parquet(suite / RUNS_FOLDER / str(name) / PREDICTIONS_FILE, index=False)
