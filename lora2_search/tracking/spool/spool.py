"""The spool: what MLflow has not got yet, on disk."""

from __future__ import annotations

import errno
import logging
import os
import queue
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Literal
from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ...store import Damaged

# Each waiting file holds a descriptor; beyond this the caller waits instead.
_MAX_WAITING = 64

_log = logging.getLogger(__name__)


class Flusher:
    """Calls ``fsync`` soon, in order. Only a crash of the whole machine could tell the delay."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="spool-flusher", daemon=True)
        self._thread.start()

    def flush(self, file: BinaryIO) -> None:
        """Have ``file`` on disk soon; it may be closed meanwhile."""
        if self._waiting.qsize() < _MAX_WAITING:
            self._waiting.put(os.dup(file.fileno()))
        else:
            os.fsync(file.fileno())

    def close(self, timeout: float = 2.0) -> None:
        """Wait for what was asked for, at most ``timeout`` seconds."""
        self._waiting.put(None)
        self._thread.join(timeout)

    def _work(self) -> None:
        while (descriptor := self._waiting.get()) is not None:
            try:
                os.fsync(descriptor)
            except OSError as error:
                _log.warning("the spool could not be written: %s", error)
            finally:
                os.close(descriptor)


TRACKING_FOLDER = "tracking"

PARENT_FILE = "parent.jsonl"

RUNS_FOLDER = "runs"

ParentKind = Literal["study", "suite", "verification"]

RunState = Literal["RUNNING", "COMPLETE", "PRUNED", "FAIL", "STOPPED"]


class _Line(BaseModel):
    # NaN and infinity are no JSON numbers: written as strings, so that any reader takes the file.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")


class Identity(_Line):
    """First line of the parent's file: what the whole study or suite is.

    Attributes:
        uuid: Names the study in every MLflow store, whatever it is called there.
        what: ``study``, ``suite`` or ``verification``.
        name: Its name for people.
        columns: Settings shown beside the score in the prepared view.
        outcomes: Metrics and tags shown there before them, as MLflow names columns.
        groups: Tags by which a suite's runs are grouped there.
        metric: The metric that its runs are judged by; empty before the first has told.
    """

    kind: Literal["identity"] = "identity"
    uuid: str
    what: ParentKind
    name: str
    columns: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ("arm",)
    metric: str = ""


class Start(_Line):
    """A run begins, or goes on after a resume."""

    kind: Literal["start"] = "start"
    name: str
    time_ms: int
    params: dict[str, str] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)


class Metrics(_Line):
    """Values of one optimiser step; ``time_ms`` was taken once, when they were made."""

    kind: Literal["m"] = "m"
    step: int
    time_ms: int
    values: dict[str, float]


class Artifact(_Line):
    """A file or folder to keep: ``path`` relative to the study's folder, ``to`` inside the run."""

    kind: Literal["artifact"] = "artifact"
    path: str
    to: str = ""


class DataSet(_Line):
    """The data of a run: a name, a hash and where it came from, none of its content.

    Attributes:
        name: For people: the file, or the task.
        digest: The first 8 digits of ``RunRecord.data_hash``.
        source_type: What kind of source it is, in MLflow's word.
        source: The source, in MLflow's form, as JSON.
        sizes: Examples by split.
    """

    kind: Literal["data"] = "data"
    name: str
    digest: str
    source_type: Literal["local", "hugging_face"]
    source: str
    sizes: dict[str, int] = Field(default_factory=dict)


class Model(_Line):
    """What a run trained, to be kept as a model that MLflow can load.

    Attributes:
        key: The run's.
        name: The run's, for people.
        path: Its folder, relative to the study's.
        params: The settings that tell it from others, dotted.
    """

    kind: Literal["model"] = "model"
    key: str
    name: str
    path: str
    params: dict[str, str] = Field(default_factory=dict)


class End(_Line):
    """A run ended."""

    kind: Literal["end"] = "end"
    state: RunState
    time_ms: int
    reason: str = ""
    tags: dict[str, str] = Field(default_factory=dict)


class Tags(_Line):
    """What is known of a run only after its end, such as its place among the others."""

    kind: Literal["tags"] = "tags"
    tags: dict[str, str]


Record = Identity | Start | Metrics | Artifact | DataSet | Model | End | Tags

_RECORD: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="kind")])


@dataclass(frozen=True)
class Chunk:
    """What was read from one file.

    Attributes:
        records: Its records in order.
        end: The byte where the next reading begins.
        broken: Lines that are no records, left by a writer that was killed.
    """

    records: Sequence[Record]
    end: int
    broken: Sequence[bytes] = ()


def parent_path(folder: Path) -> Path:
    """Return the spool file of the study or suite in ``folder``."""
    return folder / TRACKING_FOLDER / PARENT_FILE


def run_path(folder: Path, key: str) -> Path:
    """Return the spool file of the run ``key``, whatever characters the key holds."""
    return folder / TRACKING_FOLDER / RUNS_FOLDER / f"{quote(key, safe=' ')}.jsonl"


def run_paths(folder: Path) -> list[tuple[str, Path, int]]:
    """Return key, file and size in bytes of every run that has a spool, sorted by key."""
    runs = []
    try:
        with os.scandir(folder / TRACKING_FOLDER / RUNS_FOLDER) as entries:
            for entry in entries:
                if entry.name.endswith(".jsonl"):
                    key = unquote(entry.name.removesuffix(".jsonl"))
                    runs.append((key, Path(entry.path), entry.stat().st_size))
    except FileNotFoundError:
        return []
    return sorted(runs)


def read(path: Path, start: int = 0) -> Chunk:
    """Read the complete lines of a spool from byte ``start``.

    A last line without its newline is left for the next reading, blank lines are passed over.
    A missing file is empty; one shorter than ``start`` was replaced and is read from its beginning.

    Raises:
        Damaged: Something else than a file stands there.
    """
    try:
        with path.open("rb") as file:
            start = start if start <= os.fstat(file.fileno()).st_size else 0
            file.seek(start)
            data = file.read()
    except FileNotFoundError:
        return Chunk((), start)
    except IsADirectoryError:
        raise Damaged(path, "it is a folder", "delete it") from None
    complete = data[: data.rfind(b"\n") + 1]
    records: list[Record] = []
    broken: list[bytes] = []
    for line in complete.split(b"\n"):
        if not line.strip():
            continue
        try:
            records.append(_RECORD.validate_json(line))
        except ValidationError:
            broken.append(line)
    return Chunk(records, start + len(complete), broken)


def check_identity(folder: Path) -> None:
    """Make sure that the spool says whose runs it holds, without which none can be delivered.

    Raises:
        Damaged: It does not: the file was emptied, cut or overwritten.
    """
    path = parent_path(folder)
    if not any(isinstance(record, Identity) for record in read(path).records):
        why = "it does not say which runs these are (its first line is lost)"
        raise Damaged(path, why, "restore it from a copy")


def damage(path: Path, delivered: int = 0) -> str | None:
    """Return what is wrong with a spool file, of which so many bytes are delivered, else ``None``.

    Every file begins with a whole line, and ends with one once its writer is gone.
    """
    try:
        with path.open("rb") as file:
            data = file.read()
    except FileNotFoundError:
        return "it is missing"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    if not data.strip():
        return "it is empty"
    if len(data) < delivered:
        return f"it has {len(data):,} bytes, but {delivered:,} were delivered before"
    broken = len(read(path).broken)
    if broken:
        return f"{broken} of its lines cannot be read"
    return None if data.endswith(b"\n") else "it ends within a line"


class Spool:
    """Appends to one spool file; what an earlier process wrote is known and not written again.

    Attributes:
        records: How many records an earlier process left here.
        begun_ms: Time of the first start found or written, ``None`` in a new file.
        last: The last start or end found or written, ``None`` in a new file.
    """

    def __init__(self, path: Path, flusher: Flusher) -> None:
        self._path, self._flusher = path, flusher
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
        except IsADirectoryError:
            raise Damaged(path, "it is a folder", "delete what is there") from None
        self._torn = False
        if os.fstat(self._file.fileno()).st_size:
            # Ends the line that a killed writer may have left open.
            self._write(b"\n")
        earlier = read(path).records
        self.records = len(earlier)
        self.begun_ms: int | None = None
        self.last: Start | End | None = None
        self._written: set[tuple[str, int]] = set()
        for record in earlier:
            self._note(record)

    def append(self, *records: Record) -> None:
        """Append records; a start or an end is soon on disk, the rest when the system likes.

        Raises:
            OSError: The disk is full or gone. The file stays readable.
        """
        text = "".join(record.model_dump_json() + "\n" for record in records)
        self._write(text.encode())
        for record in records:
            self._note(record)
        if any(isinstance(record, Start | End) for record in records):
            self._flusher.flush(self._file)

    def points(self, points: Iterable[tuple[int, int, Mapping[str, float]]]) -> None:
        """Append ``(step, time_ms, values)`` points, those already here excepted.

        Raises:
            OSError: As ``append``.
        """
        new = []
        for step, time_ms, values in points:
            fresh = {key: v for key, v in values.items() if (key, step) not in self._written}
            if fresh:
                new.append(Metrics(step=step, time_ms=time_ms, values=fresh))
        if new:
            self.append(*new)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, data: bytes) -> None:
        data = b"\n" + data if self._torn else data
        self._torn = True
        written = self._file.write(data)
        if written != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self._torn = False

    def _note(self, record: Record) -> None:
        if isinstance(record, Metrics):
            self._written.update((key, record.step) for key in record.values)
        elif isinstance(record, Start | End):
            self.last = record
            if isinstance(record, Start) and self.begun_ms is None:
                self.begun_ms = record.time_ms
