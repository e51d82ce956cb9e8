"""A verification's verdicts as rows and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...report import markdown_table
from ...store import write_text

UNTRAINED = "not trained enough to tell"


TOO_LITTLE = "too little to tell"


HOLDS = "holds"


FAILS = "does not hold"


MEASURED = "measured, no claim to judge"


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

    def plain(self) -> dict[str, Any]:
        """Return it as values that JSON holds."""
        return asdict(self)


def mean(values: Sequence[float]) -> float:
    """Return the mean of one value or more."""
    return sum(values) / len(values)


def defined(numbers: Mapping[str, float | None]) -> dict[str, float]:
    """Return the numbers that there are."""
    return {name: float(value) for name, value in numbers.items() if value is not None}


MARKDOWN_FILE = "verification.md"


def write_markdown(folder: Path, rows: Sequence[Row]) -> Path:
    """Write the table and what each row says into a verification's folder; return its path."""
    path = folder / MARKDOWN_FILE
    write_text(path, markdown(rows))
    return path


def markdown(rows: Sequence[Row]) -> str:
    """Return the table, and below it what each row says and does not."""
    table = markdown_table(
        [
            {
                "check": row.check,
                "claim": row.claim,
                "published": row.published,
                "measured": row.measured,
                "verdict": row.verdict,
            }
            for row in rows
        ]
    )
    told = "\n".join(f"* **{row.claim}: {row.verdict}.** {row.says}" for row in rows)
    return f"{table}\n\n{told}\n"
