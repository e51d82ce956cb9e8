"""What a paper needs of a study: page, tables, figures, CSV, and what it cost."""

from __future__ import annotations

from pathlib import Path

from ...analysis import StudyTable, outcome_cells, read_study_table
from ...store import PAGE_FILE, write_text
from ..figures.paper import FIGURES_FOLDER
from ..figures.study import write_study_figures
from ..tables.csv import Cell, csv_text
from ..tables.latex import latex_table
from ..tables.search_space import search_space_table
from ..tables.study import trials_table
from ..words.provenance import compute_statement
from .study import study_page

SPACE_TABLE, TRIALS_TABLE = "search_space.tex", "trials.tex"

TRIALS_CSV = "trials.csv"

COMPUTE_FILE = "compute.md"


def write_study_kit(folder: Path, out: Path | None = None) -> Path:
    """Write all that a study has to show.

    That is ``report.html``, ``trials.csv`` (nothing rounded), ``trials.tex``,
    ``search_space.tex``, ``compute.md`` and ``figures/*.svg|pdf``.

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
    name, space = table.runs.space.name, table.runs.space
    caption = f"Trials of study {name}, the best first; those without a test score did not end."
    write_text(out / PAGE_FILE, study_page(table))
    write_text(out / TRIALS_CSV, csv_text(trial_table(table)))
    write_text(out / TRIALS_TABLE, latex_table(trials_table(table), caption, f"tab:{name}-trials"))
    write_text(out / SPACE_TABLE, search_space_table(space, len(table.trials)))
    write_text(out / COMPUTE_FILE, f"{_compute(table)}\n")
    write_study_figures(table, out / FIGURES_FOLDER)
    return out / PAGE_FILE


def trial_table(table: StudyTable) -> list[dict[str, Cell]]:
    """Return one row per trial, by number: state, scores, searched settings, sizes, seconds."""
    rows: list[dict[str, Cell]] = []
    outcomes = {item.number: item for item in table.outcomes}
    front = {item.number for item in table.front}
    for trial in table.trials:
        run = table.runs.trials.get(trial.number)
        row: dict[str, Cell] = {"trial": trial.number, "state": trial.state.name}
        row |= {f"setting.{name}": value for name, value in trial.params.items()}
        row |= outcome_cells(outcomes.get(trial.number), table.runs.space, trial.number in front)
        if run is not None:
            record = run.record
            row |= dict(sorted(record.scores.items()))
            row |= {f"parameters.{name}": count for name, count in sorted(record.counts.items())}
            row |= {"kept_rank": record.kept_rank, "seconds": record.seconds}
            row |= {"flags": " ".join(flag.name for flag in record.flags)}
            row |= {"fingerprint": record.fingerprint, "error": record.error or ""}
        rows.append(row | {"reason": str(trial.user_attrs.get("reason", ""))})
    return rows


def _compute(table: StudyTable) -> str:
    outside = [*table.runs.references.values()]
    outside += [table.runs.reference] if table.runs.reference else []
    return compute_statement([run.record for run in [*table.runs.trials.values(), *outside]])
