"""Find what was run by its name: studies, suites and single runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import UserError, did_you_mean
from ..home import home
from ..training.record import RECORD_FILE, RunRecord, read_record

Kind = Literal["study", "suite", "run"]
FOLDERS: dict[Kind, str] = {"study": "studies", "suite": "suites", "run": "runs"}
PLANS: dict[Kind, str] = {"study": "space.yaml", "suite": "suite.yaml", "run": RECORD_FILE}
REFERENCE = "head only"


@dataclass(frozen=True)
class Named:
    """Something that was run.

    Attributes:
        kind: What it is.
        folder: Where it lies; its last part is the name.
    """

    kind: Kind
    folder: Path

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    def records(self) -> list[tuple[str, RunRecord]]:
        """Return the name and record of each run in it that has one, in order.

        Raises:
            UserError: Its plan is broken.
        """
        if self.kind == "run":
            record = read_record(self.folder)
            return [(self.name, record)] if record else []
        from ..report.records import read_study, read_suite

        if self.kind == "suite":
            runs = read_suite(self.folder).runs.values()
            return [(run.name, run.record) for run in runs]
        study = read_study(self.folder)
        rows = [(f"trial {number}", run.record) for number, run in study.trials.items()]
        return rows + ([(REFERENCE, study.reference.record)] if study.reference else [])


def everything(storage: Path | None) -> list[Named]:
    """Return all that lies in the home, or under ``storage``; studies first, then by name."""
    return [
        Named(kind, folder)
        for kind in FOLDERS
        for folder in sorted(_base(kind, storage).glob("*"))
        if (folder / PLANS[kind]).is_file()
    ]


def find(name: str, storage: Path | None) -> Named:
    """Return the study, suite or run of that name; a study wins over a suite of the same name.

    ``studies/quick`` or ``suites/quick`` tells the two apart.

    Raises:
        UserError: There is none; the message names the nearest.
    """
    known = everything(storage)
    for item in known:
        if name in (item.name, f"{FOLDERS[item.kind]}/{item.name}"):
            return item
    where = storage or home()
    if not known:
        raise UserError(f"nothing called {name}: nothing was run yet under {where}")
    hint = did_you_mean(name, [item.name for item in known])
    raise UserError(f"nothing called {name} under {where}; {hint}")


def best(records: list[tuple[str, RunRecord]]) -> tuple[str, RunRecord] | None:
    """Return the completed run with the best validation score, a study's reference left out."""
    scored = [
        (record.score("validation"), name, record)
        for name, record in records
        if record.status == "completed" and name != REFERENCE
    ]
    known = [item for item in scored if item[0] is not None]
    if not known:
        return None
    _, name, record = max(known, key=lambda item: item[0] or 0.0)
    return name, record


def changed(record: RunRecord, keys: list[str]) -> dict[str, Any]:
    """Return the values of dotted settings in a record's configuration."""
    values = {}
    for key in keys:
        node: Any = record.config
        for part in key.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        values[key] = node
    return values


def _base(kind: Kind, storage: Path | None) -> Path:
    # Single runs always live in the home.
    return (home() if kind == "run" or storage is None else storage) / FOLDERS[kind]
