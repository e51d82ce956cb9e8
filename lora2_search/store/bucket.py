"""Object storage behind ``--storage s3://bucket/folder``: a copy in the home that follows it.

What is run lies in folders everywhere: files are renamed into place and locked. A bucket can do
neither. So every process works on a copy in its own home, sends what it has written, and fetches
what others have sent before it goes on from it.

Who may write says so first: a driver by its lease, a run's process by its claim. Taking one up
fetches what the bucket has, over what was left here; both are looked at before anything is sent.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from .attempt import ATTEMPT_FILE
from .copy_index import INDEX_FILE, CopyIndex, Entry, Stamp
from .files import Damaged, stored_json, write_bytes, write_json
from .layout import CHECKPOINT_STATE, LEASE_PREFIX, LOCK_FILE, OWNER_FILE, RUN_FOLDERS
from .object_store import NoBucket, ObjectStore
from .paths import home, home_path
from .record import ADAPTER_FOLDER, CHECKPOINT_FOLDER, RECORD_FILE

_COPIES = "copies"

_ABOUT = "url.json"

_REMEDY = "delete the folder: the bucket has what it held"

# What says that the files beside it are whole is sent after them.
_LAST = (CHECKPOINT_STATE, RECORD_FILE)

_NOT_SENT = (LOCK_FILE, OWNER_FILE, _ABOUT, INDEX_FILE)

# How often a folder is listed again while files vanish before they arrive.
_LISTINGS = 5

Permit = Callable[[], None]

# What a process must hold to write below a folder of a copy: see `permitted`.
_permits: dict[Path, Permit] = {}


def copy_of(folder: Path) -> Copy:
    """Return what keeps a folder and its bucket alike; for other folders, something idle.

    Raises:
        Damaged: The copy has lost the file that says of what it is one.
    """
    root = home_path() / _COPIES
    path = Path(os.path.abspath(folder))
    if root not in path.parents:
        return Copy()
    top = root / path.relative_to(root).parts[0]
    about = stored_json(top / _ABOUT, _REMEDY) or {}
    if "url" not in about:
        raise Damaged(top / _ABOUT, "it says no URL", _REMEDY)
    permit = next((_permits[held] for held in (path, *path.parents) if held in _permits), None)
    inside = "" if path == top else path.relative_to(top).as_posix()
    return BucketCopy(str(about["url"]), inside, permit=permit)


@contextmanager
def permitted(folder: Path, permit: Permit) -> Iterator[None]:
    """Let this process send what is in a folder only while ``permit`` does not raise."""
    path = Path(os.path.abspath(folder))
    _permits[path] = permit
    try:
        yield
    finally:
        del _permits[path]


def remove_folder(folder: Path) -> None:
    """Delete a folder, and what a bucket has of it.

    What cannot be deleted here stays: on NFS a file that is open elsewhere, for a while.
    """
    shutil.rmtree(folder, ignore_errors=True)
    copy_of(folder).delete()


class Copy:
    """A folder and what it is a copy of: of nothing, so that nothing is to be done."""

    def begin(self) -> None:
        """Make the folder of a copy, which `copy_of` then knows."""

    def fetch(self, *, heavy: bool = True, overrule: bool = False) -> None:
        """Fetch what the bucket has that the folder has not.

        Args:
            heavy: Checkpoints and adapters too.
            overrule: For who takes the folder up: also over what was changed here and not sent,
                by a process that is no more. Else that stays.

        Raises:
            NoBucket: The bucket cannot be read.
        """

    def fetch_claim(self) -> None:
        """Fetch which process may write into a run's folder, and nothing else."""

    def send(
        self, wanted: Callable[[str], bool] = lambda name: True, *, rotate: bool = False
    ) -> None:
        """Send what was written in the folder; of a study or suite, what is not in its runs.

        What is missing here is not deleted there: somebody may have cleared a cache.

        Args:
            wanted: Says of a file, by its name, whether it is sent.
            rotate: For a run's own process, which drops old checkpoints: drop them there too.

        Raises:
            NoBucket: The bucket cannot be written.
        """

    def delete(self) -> None:
        """Delete what the bucket has of the folder."""

    def delete_file(self, name: str) -> None:
        """Delete what the bucket has of one file."""

    def sizes(self) -> dict[str, int]:
        """Return the bytes of all files that the bucket has of the folder, by name."""
        return {}

    def impatient(self) -> Copy:
        """Return a copy that gives a bucket up at once when it does not answer."""
        return self

    def permitting(self, permit: Permit) -> Copy:
        """Return a copy that sends only while ``permit`` does not raise."""
        return self


@dataclass(frozen=True)
class BucketCopy(Copy):
    """A copy of a folder in a bucket.

    Attributes:
        url: Of the storage, ``s3://bucket/folder``.
        inside: The folder in it, ``studies/rte``; empty for the storage itself.
        patient: Whether to wait, for a minute, for one that does not answer.
        permit: Raises where this process must not write.
    """

    url: str
    inside: str = ""
    patient: bool = True
    permit: Permit | None = None

    @property
    def folder(self) -> Path:
        """The copy, in the home of this process."""
        return self._top / self.inside

    def begin(self) -> None:
        """See `Copy.begin`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self._top / _ABOUT).exists():
            write_json(self._top / _ABOUT, {"url": self.url})

    def fetch(
        self,
        *,
        heavy: bool = True,
        overrule: bool = False,
        wanted: Callable[[str], bool] = lambda name: True,
    ) -> None:
        """See `Copy.fetch`; ``wanted`` says of a file, by its name, whether it may be touched."""
        for _ in range(_LISTINGS):
            # Before the listing: what a process of this machine sends meanwhile is not gone there.
            known = self._index.below(self.inside)
            there = self._tags()
            differing = {
                name: _stamp(self.folder / name)
                for name, tag in there.items()
                if (heavy or not _is_heavy(name))
                and wanted(name)
                and (name not in known or known[name][1] != tag or self._lacks(name))
            }
            if not overrule:
                differing = {n: s for n, s in differing.items() if _is_ours(s, known.get(n))}
            vanished = self._download(differing, there, overrule)
            self._follow(filter(wanted, known.keys() - there.keys()), known, overrule)
            if not vanished:
                return
        raise NoBucket(f"{self.url}: {self.inside} changes faster than it can be fetched")

    def fetch_claim(self) -> None:
        """See `Copy.fetch_claim`."""
        claim, path = self._store.read(self._name(ATTEMPT_FILE)), self.folder / ATTEMPT_FILE
        if claim is not None and not (path.exists() and path.read_bytes() == claim):
            write_bytes(path, claim)

    def send(
        self, wanted: Callable[[str], bool] = lambda name: True, *, rotate: bool = False
    ) -> None:
        """See `Copy.send`."""
        here = {name: stamp for name, stamp in self._own_files() if wanted(name)}
        known = self._index.of(map(self._name, here))
        changed = [n for n in here if known.get(self._name(n), (None, ""))[0] != here[n]]
        for later in (False, True):
            names = {self._name(n): n for n in changed if (Path(n).name in _LAST) == later}
            tags = self._store.upload({there: self.folder / name for there, name in names.items()})
            self._index.note({there: (here[names[there]], tag) for there, tag in tags.items()})
        if rotate:
            checkpoints = self._index.below(self._name(CHECKPOINT_FOLDER))
            places = [f"{CHECKPOINT_FOLDER}/{name}" for name in checkpoints]
            self._drop(place for place in places if self._lacks(place))

    def delete(self) -> None:
        """See `Copy.delete`."""
        names = self._store.sizes(self.inside)
        # Last, of a study: until then it is held.
        leases = [name for name in names if name.startswith(LEASE_PREFIX)]
        self._drop(name for name in names if name not in leases)
        self._store.delete(map(self._name, leases))
        self._index.note({}, map(self._name, self._index.below(self.inside)))

    def delete_file(self, name: str) -> None:
        """See `Copy.delete_file`."""
        self._drop([name])

    def impatient(self) -> BucketCopy:
        """See `Copy.impatient`."""
        return replace(self, patient=False)

    def permitting(self, permit: Permit) -> BucketCopy:
        """See `Copy.permitting`."""
        return replace(self, permit=permit)

    def check(self) -> None:
        """Make sure that this machine can read the bucket, and write into it.

        Raises:
            NoBucket: It cannot.
        """
        probe = f".probe-{os.urandom(8).hex()}"
        self.write(probe, b"")
        self._store.delete([self._name(probe)])

    def names(self) -> list[str]:
        """Return the names of the files of the folder in the bucket, not of folders inside."""
        return list(self._store.tags(self.inside, deep=False))

    def sizes(self) -> dict[str, int]:
        """See `Copy.sizes`."""
        return self._store.sizes(self.inside)

    def read(self, name: str) -> bytes | None:
        """Return a file of the bucket that no copy has, ``None`` where it is not there."""
        return self._store.read(self._name(name))

    def write(self, name: str, data: bytes, *, new: bool = False) -> None:
        """Write a file of the bucket that no copy has; ``new``: only where there is none yet."""
        self._store.write(self._name(name), data, new=new)

    @property
    def _top(self) -> Path:
        plain = re.sub(r"[^\w.-]+", "-", self.url)
        name = f"{plain}-{hashlib.sha256(self.url.encode()).hexdigest()[:8]}"
        return home() / _COPIES / name

    @property
    def _index(self) -> CopyIndex:
        return CopyIndex(self._top)

    @property
    def _store(self) -> ObjectStore:
        if self.permit is None:
            return ObjectStore(self.url, self.patient)
        return ObjectStore(self.url, self.patient, self.permit)

    def _name(self, name: str) -> str:
        return f"{self.inside}/{name}" if self.inside else name

    def _lacks(self, name: str) -> bool:
        return not (self.folder / name).exists()

    def _tags(self) -> dict[str, str]:
        """Return the tags of the files there, by name; of checkpoints, those that are whole."""
        tags = self._store.tags(self.inside)
        return {name: tag for name, tag in tags.items() if _is_whole(name, tags)}

    def _download(
        self, stamps: Mapping[str, Stamp | None], tags: Mapping[str, str], overrule: bool
    ) -> bool:
        """Fetch files; return whether one vanished first. ``stamps``: of those that are here."""
        if not stamps:
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        entries: dict[str, Entry] = {}
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".incoming-") as scratch:
            places = {name: Path(scratch) / str(number) for number, name in enumerate(stamps)}
            arrived = self._store.download({self._name(n): file for n, file in places.items()})
            for name, file in places.items():
                target = self.folder / name
                if self._name(name) not in arrived:
                    continue
                if not overrule and _stamp(target) != stamps[name]:
                    continue  # written since
                target.parent.mkdir(parents=True, exist_ok=True)
                stamp = _stamp(file)
                assert stamp is not None
                os.replace(file, target)
                entries[self._name(name)] = (stamp, tags[name])
        self._index.note(entries)
        return len(arrived) < len(stamps)

    def _follow(self, names: Iterable[str], known: Mapping[str, Entry], overrule: bool) -> None:
        """Delete here what was deleted there, but not what was changed here since."""
        gone = [n for n in names if overrule or _is_ours(_stamp(self.folder / n), known[n])]
        for name in gone:
            (self.folder / name).unlink(missing_ok=True)
            for folder in (self.folder / name).parents:
                if folder == self._top:
                    break
                with suppress(OSError):  # it is not there, or not empty
                    folder.rmdir()
        self._index.note({}, map(self._name, gone))

    def _drop(self, names: Iterable[str]) -> None:
        places = [self._name(name) for name in names]
        self._store.delete(places)
        self._index.note({}, places)

    def _own_files(self) -> Iterator[tuple[str, Stamp]]:
        """Yield name and stamp of each file that whoever writes the folder has to send."""
        # A study or a suite; its runs are sent by who writes them.
        of_many = len(PurePosixPath(self.inside).parts) == 2
        for place, folders, files in os.walk(self.folder):
            here = Path(place)
            passed = RUN_FOLDERS if of_many and here == self.folder else ()
            folders[:] = [n for n in folders if not n.startswith(".") and n not in passed]
            for file in (here / name for name in files if _is_sent(name)):
                stamp = None if file.is_symlink() else _stamp(file)
                if stamp is not None:
                    yield file.relative_to(self.folder).as_posix(), stamp


def _is_sent(name: str) -> bool:
    # Locks of Optuna's journal are files, or links, beside it.
    return not (name.startswith((".", LEASE_PREFIX)) or name.endswith(".lock")) and (
        name not in _NOT_SENT
    )


def _is_ours(stamp: Stamp | None, entry: Entry | None) -> bool:
    """Whether a file here is as the copy left it, or is not here."""
    return stamp is None or (entry is not None and entry[0] == stamp)


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_size, status.st_mtime_ns


def _is_heavy(name: str) -> bool:
    return bool({CHECKPOINT_FOLDER, ADAPTER_FOLDER} & {*Path(name).parts[:-1]})


def _is_whole(name: str, names: Collection[str]) -> bool:
    """Whether a file belongs to a checkpoint that was sent whole, or to none."""
    path = Path(name)
    if path.parent.parent.name != CHECKPOINT_FOLDER:
        return True
    return path.with_name(CHECKPOINT_STATE).as_posix() in names
