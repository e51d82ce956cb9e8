"""How far a verification has come, told from its folder alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import UserError
from .plan import parts_of

PLAN_FILE = "verification.json"
ROWS_FILE = "rows.json"


def parts_done(folder: Path) -> tuple[int, int]:
    """Return how many of its parts are measured, and how many it has.

    Raises:
        UserError: Its ``verification.json`` is broken.
    """
    path = folder / PLAN_FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        parts = parts_of(told["checks"], told["seeds"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is broken: {error!r}; measure anew in another folder") from None
    return sum(part.read(folder) is not None for part in parts), len(parts)


def told_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of its table as plain values; none while it has not ended once."""
    path = folder / ROWS_FILE
    rows: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.is_file() else []
    return rows
