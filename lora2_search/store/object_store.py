"""The files of a bucket: listed, read, written and deleted, asked again while it does not answer.

What goes wrong on this side (the disk is full, a file vanishes) is not said of the bucket.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from ..errors import UserError, first_line, is_disk_full
from .attempt import Superseded

# What fsspec needs beside itself.
PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}

# Seconds for which one that does not answer is asked again; the last attempt may take 20 more.
# Together less than what a lease has left when it could not be renewed once: see `lease`.
PATIENCE_SECONDS = 40.0

_PAUSES = (1.0, 2.0, 4.0, 8.0)

# What libraries of object stores raise then is not an OSError in all of them.
_SILENCE = (
    *("ConnectionError", "HTTPClientError", "ClientConnectionError", "TimeoutError"),
    *("ServiceRequestError", "ServiceResponseError"),
)

# What s3fs makes of 500, 502, 503 and SlowDown, and what the network says.
_SILENT_ERRNOS = {
    *(errno.EBUSY, errno.ETIMEDOUT, errno.ECONNRESET, errno.EPIPE),
    *(errno.ENETUNREACH, errno.EHOSTUNREACH, getattr(errno, "EREMOTEIO", errno.EIO)),
}

# Attempts are counted here alone: their own come on top, minutes of them.
_ONE_ATTEMPT = {
    "config_kwargs": {
        "connect_timeout": 5,
        "read_timeout": 15,
        "retries": {"total_max_attempts": 1},
    }
}

_AT_ONCE = 16

# By store, in lower case: what changes with each version of a file.
_VERSIONS = ("etag", "lastmodified", "last_modified", "mtime", "updated")

Answer = TypeVar("Answer")


class NoBucket(UserError):
    """A bucket is not there, does not let us in, or does not answer."""


class NoAnswer(NoBucket):
    """A bucket does not answer: it may later, or elsewhere."""


def _permitted() -> None:
    """Permit every write."""


@dataclass(frozen=True)
class ObjectStore:
    """A storage in a bucket.

    Attributes:
        url: Of the storage, ``s3://bucket/folder``.
        patient: Whether to ask again for a minute when it does not answer.
        permit: Called before something is written, and again before each further attempt: raises
            where this process must write no more.
    """

    url: str
    patient: bool = True
    permit: Callable[[], None] = _permitted

    def tags(self, folder: str, *, deep: bool = True) -> dict[str, str]:
        """Return what tells versions of the files of a folder apart, by name in the folder.

        Args:
            folder: In the storage.
            deep: Those in folders inside too.

        Raises:
            NoBucket: It cannot be listed.
        """
        base = self._path(folder)
        return {name: _tag(info, self.url) for name, info in self._listed(base, deep)}

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the bytes of the files of a folder, by name in the folder."""
        listed = self._listed(self._path(folder), deep=True)
        return {name: int(info["size"]) for name, info in listed}

    def read(self, name: str) -> bytes | None:
        """Return what a file holds, ``None`` where it is not there."""
        try:
            data: bytes = self._ask(lambda fs: fs.cat_file(self._path(name)))
        except FileNotFoundError as error:
            self._check_exists(error)
            return None
        return data

    def write(self, name: str, data: bytes, *, new: bool = False) -> None:
        """Write a file; with ``new`` one that is there already stays as it is."""
        mode = "create" if new else "overwrite"
        self._ask(self._permit)
        with suppress(FileExistsError):
            self._ask(lambda fs: fs.pipe_file(self._path(name), data, mode=mode), self.permit)

    def upload(self, files: Mapping[str, Path]) -> dict[str, str]:
        """Write files of the disk, by name; return their tags, without those that vanished."""

        def put(name: str) -> str:
            def call(fs: Any) -> str:
                fs.put_file(str(files[name]), self._path(name))
                return _tag(fs.info(self._path(name)), self.url)

            try:
                return self._ask(call, self.permit)
            except FileNotFoundError as error:
                if files[name].exists():
                    raise NoBucket(f"{self.url} is not there: {first_line(error)}") from None
                return ""

        if files:
            self._ask(self._permit)
        return {name: tag for name, tag in _at_once(put, files) if tag}

    def download(self, files: Mapping[str, Path]) -> set[str]:
        """Read files, by name, onto the disk; return which were still there."""

        def get(name: str) -> bool:
            try:
                self._ask(lambda fs: fs.get_file(self._path(name), str(files[name])))
            except FileNotFoundError:
                return False
            return True

        return {name for name, arrived in _at_once(get, files) if arrived}

    def delete(self, names: Iterable[str]) -> None:
        """Delete files; those that are not there are no matter."""

        # One by one, and not `fs.rm`: that takes [ and * in a name for a pattern.
        def remove(name: str) -> None:
            with suppress(FileNotFoundError):
                self._ask(lambda fs: fs.rm_file(self._path(name)), self.permit)

        names = list(names)
        if names:
            self._ask(self._permit)
        _at_once(remove, names)

    def _permit(self, fs: Any) -> None:
        self.permit()

    def _path(self, name: str) -> str:
        return "/".join(part for part in (_root(self.url), name) if part)

    def _listed(self, base: str, deep: bool) -> list[tuple[str, dict[str, Any]]]:
        def call(fs: Any) -> list[dict[str, Any]]:
            # Not `find` with a depth: it takes an error for an empty folder.
            return list(fs.find(base, detail=True).values() if deep else fs.ls(base, detail=True))

        try:
            found = self._ask(call)
        except FileNotFoundError as error:
            self._check_exists(error)
            return []
        named = [(info["name"].removeprefix(base).lstrip("/"), info) for info in found]
        return [
            (name, info)
            for name, info in named
            # Somebody else's keys may lead out of the folder of a copy.
            if info["type"] == "file" and name and ".." not in name.split("/")
        ]

    def _check_exists(self, error: FileNotFoundError) -> None:
        bucket = _root(self.url).split("/")[0]
        if not self._ask(lambda fs: fs.exists(bucket)):
            raise NoBucket(f"{self.url} is not there: {first_line(error)}") from None

    def _ask(self, call: Callable[[Any], Answer], again: Callable[[], None] = _permitted) -> Answer:
        fs, attempts = _file_system(self.url), 0
        end = time.monotonic() + (PATIENCE_SECONDS if self.patient else 0.0)
        while True:
            try:
                if attempts:
                    again()
                return call(fs)
            except (FileNotFoundError, FileExistsError):
                raise
            except Exception as error:
                if not _silent(error):
                    if is_disk_full(error) or isinstance(error, UserError | Superseded):
                        raise
                    raise NoBucket(f"{self.url} cannot be used: {first_line(error)}") from None
                pause = _PAUSES[min(attempts, len(_PAUSES) - 1)]
                if time.monotonic() + pause >= end:
                    raise NoAnswer(f"{self.url} does not answer: {first_line(error)}") from None
                attempts += 1
                time.sleep(pause)


def _at_once(call: Callable[[str], Answer], names: Iterable[str]) -> list[tuple[str, Answer]]:
    names = list(names)
    if len(names) < 2:
        return [(name, call(name)) for name in names]
    with ThreadPoolExecutor(min(_AT_ONCE, len(names))) as pool:
        return list(zip(names, pool.map(call, names), strict=True))


def _silent(error: Exception) -> bool:
    if isinstance(error, NoAnswer) or getattr(error, "errno", None) in _SILENT_ERRNOS:
        return True
    return any(kind.__name__ in _SILENCE for kind in type(error).__mro__)


def _tag(info: Mapping[str, Any], url: str) -> str:
    known = {key.lower(): value for key, value in info.items()}
    version = next((known[key] for key in _VERSIONS if known.get(key)), None)
    if version is None:
        raise NoBucket(f"{url} does not say when a file changed, so copies cannot follow it")
    # Some stores quote it in one of their answers and not in another.
    return f"{str(version).strip(chr(34))} {info.get('size')}"


@cache
def _file_system(url: str) -> Any:
    import fsspec

    kind = url.partition("://")[0]
    options = _ONE_ATTEMPT if kind == "s3" else {}
    try:
        fs = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)[0]
    except ImportError:
        raise UserError(f"{url} needs a package: pip install {PACKAGES[kind]}") from None
    if kind == "s3":
        fs.retries = 1
    return fs


@cache
def _root(url: str) -> str:
    return str(_file_system(url)._strip_protocol(url)).rstrip("/")
