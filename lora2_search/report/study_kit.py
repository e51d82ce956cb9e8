"""What a paper needs of a study: its page, its search space as a table, what it cost."""

from __future__ import annotations

from pathlib import Path

from ..training.record import write_text
from .compute import compute_statement
from .page import PAGE_FILE, study_page
from .search_space import search_space_table
from .study import StudyTable, read_study_table

SPACE_TABLE = "search_space.tex"
COMPUTE_FILE = "compute.md"


def write_study_kit(folder: Path, out: Path | None = None) -> Path:
    """Write ``report.html``, ``search_space.tex`` and ``compute.md`` of a study.

    Args:
        folder: The study's folder.
        out: Where to write; by default the study's folder.

    Returns:
        The path of the page.

    Raises:
        UserError: The folder holds no study.
    """
    table = read_study_table(folder)
    out = out or folder
    write_text(out / PAGE_FILE, study_page(table))
    write_text(out / SPACE_TABLE, search_space_table(table.runs.space, len(table.trials)))
    write_text(out / COMPUTE_FILE, f"{_compute(table)}\n")
    return out / PAGE_FILE


def _compute(table: StudyTable) -> str:
    outside = [*table.runs.references.values()]
    outside += [table.runs.reference] if table.runs.reference else []
    return compute_statement([run.record for run in [*table.runs.trials.values(), *outside]])
