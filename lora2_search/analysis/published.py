"""Numbers that others published, filled in by the user: ``published.csv`` beside a suite."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..config import METRICS
from ..errors import UserError, did_you_mean
from ..store import stored_text, write_text

PUBLISHED_FILE = "published.csv"

COLUMNS = ("arm", "metric", "published", "source")

TASK = "task"


@dataclass(frozen=True)
class Published:
    """One published number.

    Attributes:
        value: The number, as written: its digits are the authors'.
        source: Where it stands.
    """

    value: str
    source: str


def read_published(
    folder: Path, arms: Collection[str], tasks: Collection[str]
) -> dict[tuple[str, str, str], Published]:
    """Return the numbers that the user filled in, by (task, arm, metric); none without a file.

    The task is ``""`` where the file has no such column, or an empty cell: it is meant for all.

    Args:
        folder: The suite's folder.
        arms: Its arms.
        tasks: Its tasks, ``""`` alone for a suite that names none.

    Raises:
        UserError: The file lacks a column, a value is no number, or an arm, task or metric is
            none; says which and in which line.
    """
    path = folder / PUBLISHED_FILE
    text = stored_text(path, "delete it: an empty one is then written to fill in")
    if text is None:
        return {}
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    missing = [name for name in COLUMNS[:3] if name not in (reader.fieldnames or [])]
    if missing:
        raise UserError(
            f"{path} needs the columns {', '.join(COLUMNS)} but lacks {', '.join(missing)}"
        )
    numbers = {}
    for row in reader:
        value = (row["published"] or "").strip()
        if not value:
            continue
        line = f"{path}, line {reader.line_num}"
        if not _is_number(value):
            raise UserError(f"{line}: `published` must be a number such as 91.2, got {value!r}")
        task, arm, metric, source = (
            (row.get(name) or "").strip() for name in (TASK, "arm", "metric", "source")
        )
        for kind, name, known in (
            ("arm", arm, arms),
            (TASK, task, {"", *tasks}),
            ("metric", metric, METRICS),
        ):
            if name not in known:
                raise UserError(f"{line}: no {kind} {name!r}; {did_you_mean(name, known)}")
        numbers[task, arm, metric] = Published(value, source)
    return numbers


def published_on(
    published: Mapping[tuple[str, str, str], Published], task: str
) -> dict[tuple[str, str], Published]:
    """Return the numbers for a task by (arm, metric); its own go before those for all tasks."""
    return {
        (arm, metric): published.get((task, arm, metric), number)
        for (of, arm, metric), number in published.items()
        if of in ("", task)
    }


def offer_published(folder: Path, arms: Iterable[str], metrics: Mapping[str, str]) -> None:
    """Write a ``published.csv`` with an empty row an arm and task, where there is none yet.

    Args:
        folder: The suite's folder.
        arms: Its arms.
        metrics: The metric of each task, by its name; ``{"": metric}`` for a suite that names none.
    """
    path = folder / PUBLISHED_FILE
    if path.exists():
        return
    tasks = any(metrics)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*([TASK] if tasks else []), *COLUMNS])
    names = list(arms)
    for task, metric in metrics.items():
        writer.writerows([*([task] if tasks else []), arm, metric, "", ""] for arm in names)
    write_text(path, text.getvalue())


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
