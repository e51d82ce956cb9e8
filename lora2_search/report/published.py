"""Numbers that others published, filled in by the user: ``published.csv`` beside a suite."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..training.record import write_text

PUBLISHED_FILE = "published.csv"
COLUMNS = ("arm", "metric", "published", "source")


@dataclass(frozen=True)
class Published:
    """One published number.

    Attributes:
        value: The number, as written: its digits are the authors'.
        source: Where it stands.
    """

    value: str
    source: str


def read_published(folder: Path) -> dict[tuple[str, str], Published]:
    """Return the numbers that the user filled in, by (arm, metric); none without a file.

    Raises:
        UserError: The file lacks a column, or a value is no number; says which and in which line.
    """
    path = folder / PUBLISHED_FILE
    if not path.is_file():
        return {}
    reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")))
    missing = [name for name in COLUMNS[:3] if name not in (reader.fieldnames or [])]
    if missing:
        raise UserError(
            f"{path} needs the columns {', '.join(COLUMNS)} but lacks {', '.join(missing)}"
        )
    found = {}
    for row in reader:
        value = (row["published"] or "").strip()
        if not value:
            continue
        if not _is_number(value):
            raise UserError(
                f"{path}, line {reader.line_num}: `published` must be a number such as 91.2, "
                f"got {value!r}"
            )
        key = (row["arm"] or "").strip(), (row["metric"] or "").strip()
        found[key] = Published(value, (row.get("source") or "").strip())
    return found


def offer_published(folder: Path, arms: Iterable[str], metric: str) -> None:
    """Write a ``published.csv`` with an empty row an arm, where there is none yet."""
    path = folder / PUBLISHED_FILE
    if path.exists():
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((arm, metric, "", "") for arm in arms)
    write_text(path, text.getvalue())


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
