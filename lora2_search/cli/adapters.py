"""The adapter that a name or a folder means: of a study's winner, of a run, or as it lies there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..chosen_run import trial_run
from ..errors import UserError
from ..invocation import command_line
from ..search.study import load_study
from ..training.record import ADAPTER_FOLDER, RunRecord, read_record
from ..training.record import CONFIG_FILE as RUN_CONFIG_FILE
from .named import find

# As in `training.export`, which imports more than a wrong name deserves.
_CONFIG_FILE = "adapter_config.json"


@dataclass(frozen=True)
class Found:
    """An adapter that was found.

    Attributes:
        what: What it is, for people.
        folder: Where it lies.
        record: Of the run that left it, where there is one.
    """

    what: str
    folder: Path
    record: RunRecord | None


def find_adapter(what: str, storage: Path | None) -> Found:
    """Return the adapter of a study's winner, of a run, or in a folder.

    Raises:
        UserError: There is no such thing, or it left no adapter.
    """
    path = Path(what).expanduser()
    if (path / _CONFIG_FILE).is_file():
        return Found(str(path), path, read_record(path.absolute().parent))
    if (path / ADAPTER_FOLDER).is_dir():
        return _of_run(str(path), path)
    if path.is_dir():
        _refuse_archived(str(path), path)
        raise UserError(f"{path} holds no adapter ({_CONFIG_FILE}), nor a run that left one")
    item = find(what, storage)
    if item.kind == "run":
        return _of_run(f"run {item.name}", item.folder)
    if item.kind == "verification":
        raise UserError(f"{item.name} is a verification, which keeps no adapter; name a run")
    if item.kind == "suite":
        raise UserError(
            f"{item.name} is a suite, which has no winner; name the folder of one of its runs: "
            f"{item.folder / 'runs'}/ARM-seedN"
        )
    winner = trial_run(load_study(item.name, storage))
    if winner is None or winner.folder is None:
        raise UserError(f"study {item.name} has no completed trial yet")
    return _of_run(f"{winner.name} of study {item.name}", winner.folder)


def _refuse_archived(what: str, folder: Path) -> None:
    record = read_record(folder)
    if record is not None and record.taken_from:
        again = command_line("train", "--config", str(folder / RUN_CONFIG_FILE))
        raise UserError(
            f"{what} was taken from the archive {record.taken_from}, which keeps no adapters; name "
            f"it where it was trained, or train it again: {again}"
        )


def _of_run(what: str, folder: Path) -> Found:
    record, adapter = read_record(folder), folder / ADAPTER_FOLDER
    if record is not None and record.status != "completed":
        raise UserError(f"{what} is not complete ({record.status}): it left no adapter yet")
    if not (adapter / _CONFIG_FILE).is_file():
        method = record.config["method"] if record else "unknown"
        if method not in ("full", "head-only"):
            lost = adapter / _CONFIG_FILE
            raise UserError(f"{what} has lost its adapter: {lost} is missing, or is no file")
        raise UserError(f"{what} left no adapter: its method is {method}")
    return Found(what, adapter, record)
