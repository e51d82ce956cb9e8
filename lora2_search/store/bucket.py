"""Object storage behind ``--storage s3://bucket/folder``: a copy in the home that follows it.

What is run lies in folders everywhere: files are renamed into place and locked. A bucket can do
neither. So every process works on a copy in its own home, sends what it has written, and fetches
what others have sent before it goes on from it. Of a file that both have changed, the bucket's
stands.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from ..errors import UserError, first_line
from .attempt import ATTEMPT_FILE
from .files import stored_json, write_json
from .layout import CHECKPOINT_STATE, LEASE_FILE, LOCK_FILE, OWNER_FILE
from .paths import home, home_path
from .record import ADAPTER_FOLDER, CHECKPOINT_FOLDER, RECORD_FILE

_COPIES = "copies"

_ABOUT = "url.json"

_INDEX = "index.db"

# What fsspec needs beside itself.
PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}

# What says that the files beside it are whole is sent after them.
_LAST = (CHECKPOINT_STATE, RECORD_FILE)

_NOT_SENT = (LOCK_FILE, OWNER_FILE, LEASE_FILE, _ABOUT, _INDEX)

# Seconds between attempts while a bucket does not answer.
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)

# What libraries of object stores raise then is not an OSError in all of them.
_SILENCE = ("ConnectionError", "HTTPClientError", "ClientConnectionError", "TimeoutError")

Answer = TypeVar("Answer")


class NoBucket(UserError):
    """A bucket is not there, or does not let us in, or has not answered for a minute."""


def copy_of(folder: Path) -> Copy:
    """Return what keeps a folder and its bucket alike; for other folders, something idle."""
    root = home_path() / _COPIES
    path = Path(os.path.abspath(folder))
    if root not in path.parents:
        return Copy()
    top = root / path.relative_to(root).parts[0]
    about = stored_json(top / _ABOUT, "delete the folder: the bucket has what it held") or {}
    return BucketCopy(str(about["url"]), "/".join(path.relative_to(top).parts))


def remove_folder(folder: Path) -> None:
    """Delete a folder, and what a bucket has of it.

    What cannot be deleted here stays: on NFS a file that is open elsewhere, for a while.
    """
    shutil.rmtree(folder, ignore_errors=True)
    copy_of(folder).delete()


@contextmanager
def sending(folder: Path) -> Iterator[None]:
    """Send what the block wrote in a folder, however it ends."""
    try:
        yield
    finally:
        copy_of(folder).send()


class Copy:
    """A folder and what it is a copy of: of nothing, so that nothing is to be done."""

    def fetch(self, *, heavy: bool = True) -> None:
        """Fetch what the bucket has that the folder has not.

        Args:
            heavy: Checkpoints and adapters too.

        Raises:
            NoBucket: The bucket cannot be read.
        """

    def fetch_claim(self) -> None:
        """Fetch which process may write into a run's folder, and nothing else."""

    def send(self, wanted: Callable[[str], bool] = lambda name: True) -> None:
        """Send what was written in the folder; in runs inside, those who run them do that.

        Args:
            wanted: Says of a file, by its name, whether it is sent.

        Raises:
            NoBucket: The bucket cannot be written.
        """

    def delete(self) -> None:
        """Delete what the bucket has of the folder."""

    def delete_file(self, name: str) -> None:
        """Delete what the bucket has of one file."""

    def impatient(self) -> Copy:
        """Return a copy that gives a bucket up at once when it does not answer."""
        return self


@dataclass(frozen=True)
class BucketCopy(Copy):
    """A copy of a folder in a bucket.

    Attributes:
        url: Of the storage, ``s3://bucket/folder``.
        inside: The folder in it, ``studies/rte``; empty for the storage itself.
        patient: Whether to wait, for a minute, for one that does not answer.
    """

    url: str
    inside: str = ""
    patient: bool = True

    @property
    def folder(self) -> Path:
        """The copy, in the home of this process."""
        plain = re.sub(r"[^\w.-]+", "-", self.url)
        name = f"{plain}-{hashlib.sha256(self.url.encode()).hexdigest()[:8]}"
        return home() / _COPIES / name / self.inside

    def begin(self) -> None:
        """Make the folder of the copy, which `copy_of` then knows."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / _ABOUT, {"url": self.url})

    def fetch(
        self, *, heavy: bool = True, wanted: Callable[[str], bool] = lambda name: True
    ) -> None:
        """See `Copy.fetch`; ``wanted`` says of a file, by its name, whether it may be touched."""
        there = self._tags()
        with self._index() as index:
            known = index.entries(self.inside)
            changed = [
                name
                for name, tag in there.items()
                if (heavy or not _is_heavy(name))
                and wanted(name)
                and (
                    name not in known or known[name][2] != tag or not (self.folder / name).exists()
                )
            ]
            self._download(changed, there, index)
            for name in filter(wanted, known.keys() - there.keys()):
                self._remove(self.folder / name)
                index.drop(name)

    def fetch_claim(self) -> None:
        """See `Copy.fetch_claim`."""
        there = self._tags(ATTEMPT_FILE)
        with self._index() as index:
            known = index.entries(self.inside).get(ATTEMPT_FILE)
            if ATTEMPT_FILE in there and (known is None or known[2] != there[ATTEMPT_FILE]):
                self._download([ATTEMPT_FILE], there, index)

    def send(self, wanted: Callable[[str], bool] = lambda name: True) -> None:
        """See `Copy.send`."""
        with self._index() as index:
            known = {n: entry for n, entry in index.entries(self.inside).items() if wanted(n)}
            here = {n: stamp for n, stamp in _own_files(self.folder) if wanted(n)}
            changed = [name for name, stamp in here.items() if known.get(name, ())[:2] != stamp]
            gone = [name for name in known if self._is_gone(name)]
            for later in (False, True):
                self._upload([name for name in changed if (Path(name).name in _LAST) == later])
            if gone:
                self._ask(lambda fs: fs.rm([self._path(name) for name in gone]))
            there = self._tags() if changed else {}
            for name in changed:
                index.keep(name, here[name], there.get(name, ""))
            for name in gone:
                index.drop(name)

    def delete(self) -> None:
        """See `Copy.delete`."""
        if self._tags():
            self._ask(lambda fs: fs.rm(self._path(), recursive=True))
        with self._index() as index:
            for name in index.entries(self.inside):
                index.drop(name)

    def delete_file(self, name: str) -> None:
        """See `Copy.delete_file`."""
        if name in self._tags(name):
            self._ask(lambda fs: fs.rm_file(self._path(name)))
        with self._index() as index:
            index.drop(name)

    def impatient(self) -> BucketCopy:
        """See `Copy.impatient`."""
        return replace(self, patient=False)

    def check(self) -> None:
        """Make sure that this machine can read the bucket.

        Raises:
            NoBucket: It cannot.
        """
        self._tags(LEASE_FILE)

    def read(self, name: str) -> bytes | None:
        """Return a file of the bucket that no copy has, ``None`` where it is not there."""
        if name not in self._tags(name):
            return None
        data: bytes = self._ask(lambda fs: fs.cat_file(self._path(name)))
        return data

    def write(self, name: str, data: bytes | None, *, new: bool = False) -> bool:
        """Write a file of the bucket that no copy has; ``None`` deletes it.

        Args:
            name: Its name.
            data: What it is to hold.
            new: Only where there is none yet.

        Returns:
            Whether it was written.
        """
        path = self._path(name)
        if data is None:
            self._ask(lambda fs: fs.rm(path))
            return True

        def put(fs: Any) -> bool:
            try:
                fs.pipe_file(path, data, mode="create" if new else "overwrite")
            except FileExistsError:
                return False
            return True

        return self._ask(put)

    def _download(self, names: Sequence[str], tags: Mapping[str, str], index: _Index) -> None:
        if not names:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".incoming-") as scratch:
            arrived = [Path(scratch) / str(number) for number in range(len(names))]
            sources = [self._path(name) for name in names]
            self._ask(lambda fs: fs.get(sources, [str(path) for path in arrived]))
            for name, path in zip(names, arrived, strict=True):
                target = self.folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
                index.keep(name, _stamp(target), tags[name])

    def _remove(self, file: Path) -> None:
        file.unlink(missing_ok=True)
        for folder in file.parents:
            if folder == BucketCopy(self.url).folder:
                break
            with suppress(OSError):  # it is not there, or not empty
                folder.rmdir()

    def _upload(self, names: Sequence[str]) -> None:
        if names:
            sources = [str(self.folder / name) for name in names]
            self._ask(lambda fs: fs.put(sources, [self._path(name) for name in names]))

    def _is_gone(self, name: str) -> bool:
        """Whether a file was deleted here, outside runs inside: their processes say so."""
        runs = [*(self.folder / name).parents][: len(Path(name).parts) - 1]
        if any((folder / ATTEMPT_FILE).exists() for folder in runs):
            return False
        return not (self.folder / name).exists()

    def _path(self, name: str = "") -> str:
        return "/".join(part for part in (_root(self.url), self.inside, name) if part)

    def _tags(self, name: str = "") -> dict[str, str]:
        """Return what tells versions of the files apart, by name; checkpoints that are whole."""
        base = self._path()
        found: dict[str, dict[str, Any]] = self._ask(
            lambda fs: fs.find(self._path(name), detail=True), {}
        )
        tags = {
            path.removeprefix(base).lstrip("/"): _tag(info)
            for path, info in found.items()
            if info["type"] == "file"
        }
        return {name: tag for name, tag in tags.items() if _is_whole(name, tags)}

    def _ask(self, call: Callable[[Any], Answer], absent: Answer | None = None) -> Answer:
        fs, pauses = _file_system(self.url), list(_PAUSES if self.patient else ())
        while True:
            try:
                return call(fs)
            except FileNotFoundError as error:
                if absent is not None and self._exists():
                    return absent
                raise NoBucket(f"{self.url} is not there: {first_line(error)}") from None
            except Exception as error:
                if not (pauses and _says_silence(error)):
                    raise NoBucket(f"{self.url} cannot be used: {first_line(error)}") from None
                time.sleep(pauses.pop(0))

    def _exists(self) -> bool:
        fs = _file_system(self.url)
        return bool(fs.exists(_root(self.url).split("/")[0]))

    @contextmanager
    def _index(self) -> Iterator[_Index]:
        top = BucketCopy(self.url).folder
        top.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(top / _INDEX, timeout=60)) as connection, connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS files "
                "(name TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, tag TEXT)"
            )
            yield _Index(connection, self.inside)


class _Index:
    """Which version of each file the copy has, and how the file looked then."""

    def __init__(self, connection: sqlite3.Connection, inside: str) -> None:
        self._connection, self._inside = connection, f"{inside}/" if inside else ""

    def entries(self, inside: str) -> dict[str, tuple[int, int, str]]:
        start = f"{inside}/" if inside else ""
        rows = self._connection.execute(
            "SELECT name, size, mtime_ns, tag FROM files WHERE substr(name, 1, ?) = ?",
            (len(start), start),
        )
        return {name[len(start) :]: (size, mtime, tag) for name, size, mtime, tag in rows}

    def keep(self, name: str, stamp: tuple[int, int], tag: str) -> None:
        values = (self._inside + name, *stamp, tag)
        self._connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", values)
        self._connection.commit()

    def drop(self, name: str) -> None:
        self._connection.execute("DELETE FROM files WHERE name = ?", (self._inside + name,))
        self._connection.commit()


def _own_files(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield name and stamp of each file that whoever writes the folder has to send."""
    for place, folders, files in os.walk(folder):
        here = Path(place)
        if here != folder and ATTEMPT_FILE in files:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and name not in _NOT_SENT:
                try:
                    yield (here / name).relative_to(folder).as_posix(), _stamp(here / name)
                except FileNotFoundError:
                    continue  # it was there a moment ago


def _says_silence(error: Exception) -> bool:
    return any(kind.__name__ in _SILENCE for kind in type(error).__mro__)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _tag(info: Mapping[str, Any]) -> str:
    changed = info.get("ETag") or info.get("LastModified") or info.get("mtime")
    return f"{changed} {info.get('size')}"


def _is_heavy(name: str) -> bool:
    return bool({CHECKPOINT_FOLDER, ADAPTER_FOLDER} & {*Path(name).parts[:-1]})


def _is_whole(name: str, names: Collection[str]) -> bool:
    """Whether a file belongs to a checkpoint that was sent whole, or to none."""
    path = Path(name)
    if path.parent.parent.name != CHECKPOINT_FOLDER:
        return True
    return path.with_name(CHECKPOINT_STATE).as_posix() in names


@cache
def _file_system(url: str) -> Any:
    import fsspec

    try:
        return fsspec.core.url_to_fs(url, use_listings_cache=False)[0]
    except ImportError:
        package = PACKAGES[url.partition("://")[0]]
        raise UserError(f"{url} needs a package: pip install {package}") from None


@cache
def _root(url: str) -> str:
    return str(_file_system(url)._strip_protocol(url)).rstrip("/")
