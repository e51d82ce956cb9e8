"""Which code decides a result: a hash of its source files, whatever commit they are in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ..store import PACKAGE

# What turns settings and data into a result, from the package's folder.
DECIDING = (
    "adapter",
    "training",
    "config/adapter_settings.py",
    "config/model_types.py",
    "config/peft_settings.py",
    "config/run.py",
    "config/schema.py",
    "config/tasks.py",
    "config/vocabulary.py",
    "store/rank_pattern.py",
    "store/record.py",
)

# Files in these folders that decide no result: they estimate costs, inspect a user's file, write
# a card, serve somebody else's loop, or apply a finished run.
NOT_DECIDING = (
    "training/data/inspect.py",
    "training/events.py",
    "training/export/callback.py",
    "training/export/card.py",
    "training/export/language.py",
    "training/export/merge.py",
    "training/export/reload.py",
    "training/export/trained.py",
    "training/loop/estimate.py",
    "training/models/sizes.py",
)


@cache
def code_hash(package: Path = PACKAGE) -> str:
    """Return the sha256 over the source files that decide a result.

    It depends on their names and text alone: neither on where the package lies, nor on line
    endings, nor on what git knows. A scoring that another package provides is not in it.

    Args:
        package: The folder ``lora2_search``.
    """
    digest = hashlib.sha256()
    for name in sorted(deciding_files(package)):
        text = (package / name).read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name}\0{len(text)}\0".encode() + text)
    return digest.hexdigest()


def deciding_files(package: Path = PACKAGE) -> Iterator[str]:
    """Yield the names of these files, from ``package``, with ``/`` on every system."""
    for part in DECIDING:
        path = package / part
        for file in path.rglob("*.py") if path.is_dir() else [path]:
            name = file.relative_to(package).as_posix()
            # Editors leave hidden files beside the one that is open.
            if name not in NOT_DECIDING and not file.name.startswith("."):
                yield name
