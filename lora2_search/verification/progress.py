"""How far a verification has come, told from its folder alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..stored import Damaged, reading, stored_json
from .part import Part
from .plan import parts_of

PLAN_FILE = "verification.json"
ROWS_FILE = "rows.json"
_REMEDY = "measure anew in another folder"


def parts_done(folder: Path) -> tuple[int, int]:
    """Return how many of its parts are measured, and how many it has.

    Raises:
        UserError: Its ``verification.json`` is broken.
    """
    parts = _parts(folder)
    return sum(part.read(folder) is not None for part in parts), len(parts)


def damaged_parts(folder: Path) -> list[str]:
    """Return which files of parts are damaged, one sentence each."""
    return [damage for part in _parts(folder) if (damage := part.damage(folder))]


def told_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of its table as plain values; none while it has not ended once.

    Raises:
        Damaged: The file of the rows cannot be read.
    """
    remedy = "the same `verify` command writes it anew"
    rows: list[dict[str, Any]] = stored_json(folder / ROWS_FILE, remedy, kind=list) or []
    return rows


def _parts(folder: Path) -> list[Part]:
    path = folder / PLAN_FILE
    told = stored_json(path, _REMEDY)
    if told is None:
        raise Damaged(path, "it is missing", _REMEDY)
    with reading(path, _REMEDY):
        return list(parts_of(told["checks"], told["seeds"]))
