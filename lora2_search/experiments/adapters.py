"""Which adapter a request names: that of a study's winner, of a run, or in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..store import ADAPTER_FOLDER, RunRecord, command_line, read_record
from ..store import CONFIG_FILE as RUN_CONFIG_FILE
from .find_run import FoundRun, find_run

if TYPE_CHECKING:
    from ..training import Merged

# As in `training.export`, whose imports a mistyped name should not wait for.
_CONFIG_FILE = "adapter_config.json"


@dataclass(frozen=True)
class FoundAdapter:
    """An adapter that was found.

    Attributes:
        what: What it is, for people.
        folder: Where it lies.
        record: Of the run that left it, where there is one.
    """

    what: str
    folder: Path
    record: RunRecord | None


def find_adapter(what: str, storage: Path | None) -> FoundAdapter:
    """Return the adapter of a study's winner, of a run, or in a folder.

    Raises:
        UserError: There is no such thing, or it left no adapter.
    """
    path = Path(what).expanduser()
    if (path / _CONFIG_FILE).is_file():
        return FoundAdapter(str(path), path, read_record(path.absolute().parent))
    if (path / ADAPTER_FOLDER).is_dir():
        return _of_run(str(path), path)
    if path.is_dir():
        _refuse_archived(str(path), path)
        raise UserError(f"{path} holds no adapter ({_CONFIG_FILE}), nor a run that left one")
    run = find_run(what, storage)
    return _of_run(run.what, run.folder)


def merge_run(what: str, out: Path, storage: Path | None) -> tuple[FoundRun, Merged]:
    """Write the whole model of a run, or of a study's winner, its adapter merged.

    Raises:
        UserError: There is no such run, it is not complete or trained nothing, PEFT cannot merge
            its adapter, or ``out`` is in use.
    """
    found = find_run(what, storage)
    found.check_complete()
    _refuse_archived(found.what, found.folder)
    from ..training import export_merged

    return found, export_merged(found.record, found.folder, out)


def _refuse_archived(what: str, folder: Path) -> None:
    record = read_record(folder)
    if record is not None and record.taken_from:
        again = command_line("train", "--config", str(folder / RUN_CONFIG_FILE))
        raise UserError(
            f"{what} was taken from the archive {record.taken_from}, which holds no adapters; use "
            f"it on the machine where it was trained, or train it again: {again}"
        )


def _of_run(what: str, folder: Path) -> FoundAdapter:
    record, adapter = read_record(folder), folder / ADAPTER_FOLDER
    if record is not None and record.status != "completed":
        raise UserError(f"{what} is not complete ({record.status}): it has no adapter yet")
    if not (adapter / _CONFIG_FILE).is_file():
        method = record.config["method"] if record else "unknown"
        if method not in ("full", "head-only"):
            lost = adapter / _CONFIG_FILE
            again = "`runs gc` may have removed it, and `reproduce` trains it again"
            raise UserError(f"{what} has lost its adapter: {lost} is missing, or no file; {again}")
        raise UserError(f"{what} left no adapter: its method is {method}")
    return FoundAdapter(what, adapter, record)
