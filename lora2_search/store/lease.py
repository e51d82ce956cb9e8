"""One driver at a time in a folder of a bucket, where no file can be locked.

Leases are numbered: who takes a folder over makes the next file, and leaves that of its predecessor
alone. So a process that slept, or whose request arrives late, can neither hold the folder again nor
take it from its successor; it finds a higher number and stops.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from signal import Signals
from typing import Any

import psutil

from .. import signals
from ..errors import UserError
from .bucket import BucketCopy, NoBucket, copy_of, permitted
from .files import Damaged, stored_json
from .layout import LEASE_PREFIX

# One that was not renewed for so long is that of a process that was killed. What it had begun to
# send then has ended: see `object_store.PATIENCE_SECONDS`.
_SECONDS = 90.0

_RENEWAL_SECONDS = 20.0

# Stores that do not refuse to make a file twice keep the last one: until then nobody holds it.
_SETTLING_SECONDS = 0.5

# A request that is under way when the work is over.
_LAST_RENEWAL_SECONDS = 10.0


class InUse(UserError):
    """A process on another machine holds a folder of a bucket."""


class LeaseLost(UserError):
    """A folder of a bucket was taken over: this process must send nothing more."""


@contextmanager
def leased(folder: Path, *, patient: bool = True) -> Iterator[None]:
    """Hold a folder's bucket for this process; without one there is nothing to hold.

    The folder has then what the bucket has, and what the block writes is sent, however it ends. A
    process that was suspended for long, and finds that another one holds it, ends as by SIGTERM.

    Args:
        folder: The folder.
        patient: Whether to wait, for a minute, for a bucket that does not answer.

    Raises:
        InUse: A process on another machine holds it.
        LeaseLost: Another process took it over meanwhile.
        NoBucket: The bucket cannot be used.
    """
    copy = copy_of(folder)
    if not isinstance(copy, BucketCopy):
        yield
        return
    copy = copy if patient else copy.impatient()
    lease = _Lease(copy)
    lease.take()
    try:
        with lease.renewed(), permitted(folder, lease.check):
            held = copy.permitting(lease.check)
            for known in folder.glob(f"{LEASE_PREFIX}*.json"):
                known.unlink()  # of somebody who has released it since
            held.fetch(heavy=False, overrule=True, wanted=lambda name: not _is_lease(name))
            try:
                yield
            except BaseException:
                with suppress(Exception):  # why it ended matters more
                    held.impatient().send()
                raise
            held.send()
    finally:
        with suppress(UserError):  # then it ends by itself, or is another's
            lease.release()


@contextmanager
def sending(folder: Path) -> Iterator[None]:
    """Send what the block wrote in a folder, however it ends, unless another process runs it."""
    try:
        yield
    except BaseException:
        with suppress(Exception):  # why it ended matters more
            _send(folder, patient=False)
        raise
    _send(folder)


def is_leased(folder: Path) -> bool:
    """Return whether another machine runs what is in a folder, as far as was fetched."""
    try:
        latest = max(folder.glob(f"{LEASE_PREFIX}*.json"), default=None)
        return latest is not None and _is_fresh(stored_json(latest) or {})
    except Damaged:
        return False


class _Lease:
    """The lease of this process on a folder."""

    def __init__(self, copy: BucketCopy) -> None:
        self._copy = copy
        # At once or not at all: a renewal that comes late is none.
        self._at_once = copy.impatient()
        self._token = uuid.uuid4().hex
        self._number = 0

    def take(self) -> None:
        earlier, owner = _latest(self._copy)
        self._refuse(owner)
        self._number = max(earlier, default=0) + 1
        self._copy.write(_file(self._number), self._ours(time.time()), new=True)
        time.sleep(_SETTLING_SECONDS)
        _, owner = _latest(self._copy)
        if owner.get("token") != self._token:
            self._refuse({**owner, "seconds": time.time()})
        for number in earlier:
            self._copy.delete_file(_file(number))

    def check(self) -> None:
        """Make sure that it is still held."""
        _, owner = _latest(self._at_once)
        name = self._copy.folder.name
        if not owner:
            raise LeaseLost(f"{name} was deleted in the bucket while it was run")
        if owner.get("token") != self._token:
            raise LeaseLost(
                f"{name} was taken over by process {owner.get('pid')} on {owner.get('host')}: "
                f"this one was not heard of for {_SECONDS:.0f} seconds"
            )

    def release(self) -> None:
        # The file stays: a number must not come twice.
        self.check()
        self._at_once.write(_file(self._number), self._ours(0))

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew it while the block runs."""
        over = threading.Event()
        thread = threading.Thread(target=self._keep_renewing, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(_LAST_RENEWAL_SECONDS)

    def _keep_renewing(self, over: threading.Event) -> None:
        while not over.wait(_RENEWAL_SECONDS):
            try:
                self.check()
                self._at_once.write(_file(self._number), self._ours(time.time()))
            except LeaseLost as lost:
                if not over.is_set():
                    signals.pretend(Signals.SIGTERM, str(lost))
                return
            except NoBucket:
                continue  # the next renewal is in time too

    def _refuse(self, owner: Mapping[str, Any]) -> None:
        if _is_fresh(owner):
            raise InUse(
                f"{self._copy.folder.name} is being run by process {owner.get('pid')} on "
                f"{owner.get('host')}; stop it first; if it was killed, wait {_SECONDS:.0f} seconds"
            )

    def _ours(self, seconds: float) -> bytes:
        owner = {"pid": os.getpid(), "host": platform.node(), "machine": _machine()}
        return json.dumps({**owner, "token": self._token, "seconds": seconds}).encode()


def _send(folder: Path, *, patient: bool = True) -> None:
    if folder.is_dir():
        with suppress(InUse), leased(folder, patient=patient):
            pass  # that sends


def _file(number: int) -> str:
    return f"{LEASE_PREFIX}{number:08d}.json"


def _latest(copy: BucketCopy) -> tuple[list[int], dict[str, Any]]:
    """Return the numbers of the leases that there are, and who has the last one."""
    stems = (Path(n).stem.removeprefix(LEASE_PREFIX) for n in copy.names() if _is_lease(n))
    numbers = sorted(int(stem) for stem in stems if stem.isdigit())
    if not numbers:
        return [], {}
    try:
        owner = json.loads(copy.read(_file(numbers[-1])) or b"{}")
    except ValueError:
        owner = {}
    return numbers, owner if isinstance(owner, dict) else {}


def _is_lease(name: str) -> bool:
    return name.startswith(LEASE_PREFIX)


def _is_fresh(owner: Mapping[str, Any]) -> bool:
    if owner.get("machine") == _machine() and not psutil.pid_exists(int(owner["pid"])):
        return False
    return time.time() - float(owner.get("seconds", 0)) < _SECONDS


@cache
def _machine() -> str:
    """Return what tells machines apart on which a process may have the same number.

    A start of a machine, and a container on it: containers may share their host's name.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{platform.node()} {psutil.boot_time():.0f}"
