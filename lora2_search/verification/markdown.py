"""The table of a verification as Markdown, to paste where it is spoken of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..report.tables import markdown_table
from ..training.record import write_text
from .row import Row

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
