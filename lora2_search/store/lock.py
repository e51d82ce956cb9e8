"""One driver at a time in a folder of runs."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import FolderGone, UserError
from .files import Damaged, stored_json, write_json
from .layout import LOCK_FILE, OWNER_FILE
from .lease import is_leased, leased

# Longer than `is_owned` takes, which holds the lock for a moment where there is no owner.
_PATIENCE_SECONDS = 1.0


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process; the lock ends with the process, however it ends.

    A bucket that it is a copy of is held too, by `leased`: there the lock ends a minute and a half
    after a process that was killed.

    Raises:
        FolderGone: The folder vanished meanwhile, and something went wrong.
        NoBucket: That bucket cannot be used.
        UserError: Another process holds it; the message names its pid and host.
    """
    lock = FileLock(folder / LOCK_FILE, timeout=_PATIENCE_SECONDS)
    try:
        lock.acquire()
    except IsADirectoryError:
        raise Damaged(folder / LOCK_FILE, "it is a folder", "delete it") from None
    except Timeout:
        raise UserError(
            f"{folder.name} is being run by {_owner(folder)}; wait for it, or stop it first"
        ) from None
    try:
        write_json(folder / OWNER_FILE, {"pid": os.getpid(), "host": platform.node()})
        with _told_where_gone(folder), leased(folder):
            yield
    finally:
        (folder / OWNER_FILE).unlink(missing_ok=True)
        lock.release()


@contextmanager
def _told_where_gone(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if _is_gone(folder):
            raise FolderGone(folder) from error
        raise


def check_held(folder: Path) -> None:
    """Make sure that what is written goes into the folder that this process holds.

    Where it was mounted, an empty folder of its name may stand now, and databases that were opened
    before take what is written, for nobody to see.

    Raises:
        FolderGone: It is no longer there.
    """
    if _is_gone(folder):
        raise FolderGone(folder)


def _is_gone(folder: Path) -> bool:
    return not (folder / OWNER_FILE).is_file()


def is_owned(folder: Path) -> bool:
    """Return whether a process holds ``folder``; neither it nor one that comes is disturbed.

    A folder whose lock may not be looked at (another person's) counts as held. Of a bucket's copy
    the process may be on another machine.
    """
    return is_held_here(folder) or is_leased(folder)


def is_held_here(folder: Path) -> bool:
    """Return whether a process holds ``folder`` itself, whatever a bucket says."""
    path = folder / LOCK_FILE
    # A process that ends in good order takes the second file away: most answers need no lock.
    if not (path.is_file() and (folder / OWNER_FILE).is_file()):
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except (Timeout, PermissionError):
        return True


def _owner(folder: Path) -> str:
    try:
        owner = stored_json(folder / OWNER_FILE) or {}
    except Damaged:
        owner = {}
    return (
        f"process {owner['pid']} on {owner['host']}"
        if {"pid", "host"} <= owner.keys()
        else "another process"
    )
