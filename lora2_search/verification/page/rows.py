"""A verification's verdicts as rows and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ...report import Table, markdown_table, text_column
from ...store import reading, stored_json, write_json, write_text

UNTRAINED = "not trained enough to tell"

TOO_LITTLE = "too few runs to tell"

HOLDS = "holds"

FAILS = "does not hold"

MEASURED = "measured; no claim to judge"


@dataclass(frozen=True)
class Row:
    """A claim and its measurement.

    Attributes:
        check: Which check it is of.
        claim: The claim, in our words.
        published: The paper's words or number; "not published" where there is none.
        measured: The numbers, with units, seeds and intervals.
        verdict: What follows, in the words that the test allows.
        says: What it says, and what it does not.
        numbers: By name, for MLflow and JSON.
    """

    check: str
    claim: str
    published: str
    measured: str
    verdict: str
    says: str
    numbers: Mapping[str, float] = field(default_factory=dict)


def claims_table(rows: Sequence[Row]) -> Table:
    """Return the claims as a table, without what they say and their numbers."""
    columns = tuple(
        text_column(key, wraps=key != "check")
        for key in ("check", "claim", "published", "measured", "verdict")
    )
    return Table(columns, tuple(vars(row) for row in rows))


def mean(values: Sequence[float]) -> float:
    """Return the mean of one value or more."""
    return sum(values) / len(values)


def defined(numbers: Mapping[str, float | None]) -> dict[str, float]:
    """Return the numbers that there are."""
    return {name: float(value) for name, value in numbers.items() if value is not None}


ROWS_FILE = "rows.json"


def write_rows(folder: Path, rows: Sequence[Row]) -> Path:
    """Write the rows as JSON into a verification's folder; return the path."""
    path = folder / ROWS_FILE
    write_json(path, [asdict(row) for row in rows])
    return path


def read_rows(folder: Path) -> list[Row]:
    """Return the rows of a verification's table; none while it has not ended once.

    Raises:
        Damaged: The file of the rows cannot be read.
    """
    path, remedy = folder / ROWS_FILE, "the same `verify` command writes it again"
    rows = stored_json(path, remedy, kind=list) or []
    with reading(path, remedy):
        return [Row(**row) for row in rows]


MARKDOWN_FILE = "verification.md"


def write_markdown(folder: Path, rows: Sequence[Row]) -> Path:
    """Write the table and what each row says into a verification's folder; return its path."""
    path = folder / MARKDOWN_FILE
    write_text(path, markdown(rows))
    return path


def markdown(rows: Sequence[Row]) -> str:
    """Return the table, and below it what each row says and does not."""
    table = markdown_table(claims_table(rows))
    paragraphs = "\n".join(f"* **{row.claim}: {row.verdict}.** {row.says}" for row in rows)
    return f"{table}\n\n{paragraphs}\n"
