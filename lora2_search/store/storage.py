"""What ``--storage`` names: a folder, or a bucket."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

from ..errors import UserError
from .bucket import BucketCopy, copy_of
from .lock import is_held_here
from .object_store import PACKAGES
from .paths import home

# All that a storage holds, whatever else lies in its place in a bucket.
_SHELVES = ("studies", "suites")

_URL = re.compile(r"[a-z][a-z0-9+.-]+:/")


def storage_folder(storage: str | Path | None) -> Path | None:
    """Return the folder that a storage is: itself, or the copy of a bucket, brought up to date.

    Checkpoints and adapters are not fetched: that is done for a run when it is looked at. Nor is
    what a process of this machine runs: the copy has it first.

    Raises:
        NoBucket: The bucket cannot be read.
        UserError: It is neither a folder nor a bucket, or a package is missing.
    """
    if storage is None or not _URL.match(str(storage)):
        return None if storage is None else Path(storage).expanduser()
    kind, _, place = str(storage).partition("://")
    if kind not in PACKAGES or not place:
        raise UserError(
            f"{storage} is no storage: name a folder, or a bucket as s3://bucket/folder "
            f"({', '.join(PACKAGES)})"
        )
    copy = BucketCopy(str(storage).rstrip("/"), patient=False)
    copy.begin()
    for name in _SHELVES:
        _fetch_shelf(replace(copy, inside=name))
    return copy.folder


def _fetch_shelf(shelf: BucketCopy) -> None:
    held = cache(is_held_here)
    shelf.fetch(heavy=False, wanted=lambda name: not held(shelf.folder / Path(name).parts[0]))


def storage_name(storage: Path) -> str:
    """Return how a storage was named: of a bucket's copy, the URL."""
    copy = copy_of(storage)
    return copy.url if isinstance(copy, BucketCopy) else str(storage)


def storage_option(storage: Path) -> list[str]:
    """Return the words that name a storage on a command line; none where it is the home."""
    return [] if storage == home() else ["--storage", storage_name(storage)]
