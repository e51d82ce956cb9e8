"""How far a study was delivered to one MLflow store. Losing it is harmless: replaying is too."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from ...store import Damaged, set_aside, write_text
from ..spool.spool import (
    PARENT_FILE,
    TRACKING_FOLDER,
    Metrics,
    damage,
    parent_path,
    read,
    run_path,
    run_paths,
)

_REMEDY = "MLflow lacks what it held; the record of the run is another file, and has it"


class Position(BaseModel):
    """Delivered part of one spool file.

    Attributes:
        offset: Bytes delivered.
        run_id: MLflow's name of the run.
        refused: Pieces that MLflow would not take; they are in the dead-letter file.
    """

    offset: int = 0
    run_id: str | None = None
    refused: int = 0


class Cursor(BaseModel):
    """Delivered part of one study.

    Attributes:
        experiment_id: MLflow's name of the experiment.
        parent: Position in the parent's file.
        runs: Positions by run key.
        trouble: What stood in the way last, empty when nothing does.
    """

    experiment_id: str | None = None
    parent: Position = Field(default_factory=Position)
    runs: dict[str, Position] = Field(default_factory=dict)
    trouble: str = ""

    def positions(self) -> Iterable[Position]:
        """Return the positions of the parent and of all runs."""
        return (self.parent, *self.runs.values())


class Pending(BaseModel):
    """What still waits in the spool: values, runs that hold any record, and refused pieces.

    Of files that are damaged nobody knows what they held.
    """

    points: int = 0
    runs: int = 0
    refused: int = 0
    damaged: list[str] = Field(default_factory=list)


def cursor_path(folder: Path, uri: str) -> Path:
    """Return the cursor file of a study for one store."""
    return folder / TRACKING_FOLDER / f"cursor-{_short(uri)}.json"


def dead_letter_path(folder: Path, uri: str) -> Path:
    """Return the jsonl file that lists what one store refused, and why."""
    return folder / TRACKING_FOLDER / f"refused-{_short(uri)}.jsonl"


def load(path: Path) -> Cursor:
    """Return the cursor, a new one where the file is absent or broken."""
    try:
        return Cursor.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return Cursor()


def save(cursor: Cursor, path: Path) -> None:
    """Write the cursor in one piece."""
    if path.is_dir():
        set_aside(path)
    write_text(path, cursor.model_dump_json())


def pending(folder: Path, uri: str) -> Pending:
    """Count what the spool of ``folder`` holds beyond what the store at ``uri`` has taken."""
    cursor = load(cursor_path(folder, uri))
    files = [(PARENT_FILE, parent_path(folder), cursor.parent)]
    files += [(k, p, cursor.runs.get(k, Position())) for k, p, _ in run_paths(folder)]
    result = Pending(refused=sum(position.refused for position in cursor.positions()))
    result.damaged = damaged_spools(folder, cursor)
    for _, path, position in files:
        try:
            records = read(path, position.offset).records
        except Damaged:
            continue
        result.runs += bool(records)
        result.points += sum(len(r.values) for r in records if isinstance(r, Metrics))
    return result


def damaged_spools(folder: Path, cursor: Cursor) -> list[str]:
    """Return which files of a spool cannot be read, or not whole, one sentence each."""
    return [str(damage) for damage in _damages(folder, cursor)]


def spool_damages(folder: Path, uri: str) -> list[Damaged]:
    """Return the same as errors, none where nothing is tracked; the store's cursor is read."""
    if not (folder / TRACKING_FOLDER).is_dir():
        return []
    return _damages(folder, load(cursor_path(folder, uri)))


def _damages(folder: Path, cursor: Cursor) -> list[Damaged]:
    files = [(parent_path(folder), cursor.parent.offset)]
    known = {key: path for key, path, _ in run_paths(folder)}
    for key in sorted(known.keys() | cursor.runs.keys()):
        delivered = cursor.runs.get(key, Position()).offset
        files.append((known.get(key, run_path(folder, key)), delivered))
    damages = ((path, damage(path, delivered)) for path, delivered in files)
    return [Damaged(path, why, _REMEDY) for path, why in damages if why]


def _short(uri: str) -> str:
    # A hash, because a URI may hold a password.
    return hashlib.sha256(uri.encode()).hexdigest()[:12]
