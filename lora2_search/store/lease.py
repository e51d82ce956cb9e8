"""One driver at a time in a folder of a bucket, where no file can be locked."""

from __future__ import annotations

import json
import os
import platform
import signal
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from ..errors import UserError
from .bucket import BucketCopy, NoBucket, copy_of
from .files import Damaged, stored_json
from .layout import LEASE_FILE

# One that was not renewed for so long is that of a process that was killed.
_SECONDS = 90.0

_RENEWAL_SECONDS = 20.0


@contextmanager
def leased(folder: Path) -> Iterator[None]:
    """Hold a folder's bucket for this process; without one there is nothing to hold.

    A process that was suspended for long, and finds that another one holds it, ends as by SIGTERM.

    Raises:
        UserError: A process on another machine holds it.
    """
    copy = copy_of(folder)
    if not isinstance(copy, BucketCopy):
        yield
        return
    token = uuid.uuid4().hex
    if not _is_fresh(_owner(copy)) and copy.read(LEASE_FILE) is not None:
        copy.write(LEASE_FILE, None)
    if not copy.write(LEASE_FILE, _ours(token), new=True):
        owner = _owner(copy)
        raise UserError(
            f"{folder.name} is being run by process {owner.get('pid')} on {owner.get('host')}; "
            f"stop it first; if it was killed, wait {_SECONDS:.0f} seconds"
        )
    over = threading.Event()
    thread = threading.Thread(target=_keep_renewing, args=(copy, token, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(NoBucket):  # then it ends by itself
            if _owner(copy).get("token") == token:
                copy.write(LEASE_FILE, None)


def is_leased(folder: Path) -> bool:
    """Return whether another machine runs what is in a folder, as far as was fetched."""
    try:
        return _is_fresh(stored_json(folder / LEASE_FILE) or {})
    except Damaged:
        return False


def _keep_renewing(copy: BucketCopy, token: str, over: threading.Event) -> None:
    while not over.wait(_RENEWAL_SECONDS):
        with suppress(NoBucket):  # the next renewal is in time too
            if _owner(copy).get("token") != token:
                os.kill(os.getpid(), signal.SIGTERM)
                return
            copy.write(LEASE_FILE, _ours(token))


def _ours(token: str) -> bytes:
    owner = {"pid": os.getpid(), "host": platform.node(), "token": token, "seconds": time.time()}
    return json.dumps(owner).encode()


def _owner(copy: BucketCopy) -> dict[str, Any]:
    try:
        owner = json.loads(copy.read(LEASE_FILE) or b"{}")
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}


def _is_fresh(owner: Mapping[str, Any]) -> bool:
    if owner.get("host") == platform.node() and not psutil.pid_exists(int(owner["pid"])):
        return False
    return time.time() - float(owner.get("seconds", 0)) < _SECONDS
