"""Write everything that a suite has to show: page, Markdown, tables, CSV, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...analysis import Analysis, Evidence, gather, offer_published
from ...store import PAGE_FILE, write_text
from ..figures.paper import FIGURES_FOLDER, figure_links, write_figures
from ..tables.csv import comparison_table, csv_text, run_table
from ..tables.latex import arms_table, effects_table
from .markdown import REPORT_FILE, tasks_report
from .sections import Section, overall_sections
from .suite import suite_page

RUNS_CSV = "runs.csv"

COMPARISONS_CSV = "comparisons.csv"

TABLES_FOLDER = "tables"


def write_suite_report(
    folder: Path, out: Path | None = None, analyses: Mapping[str, Analysis] | None = None
) -> Path:
    """Write the report of a suite, from its records alone, and return the path of ``report.md``.

    Beside it: ``report.html``, ``runs.csv``, ``comparisons.csv``, ``tables/*.tex`` and
    ``figures/*.svg|pdf``; and in the suite's own folder an empty ``published.csv`` to fill in. A
    suite that is still running gets a report of what there is.

    Args:
        folder: The suite's folder.
        out: Where to write; by default the suite's folder.
        analyses: The suite's analyses, where they have been made.

    Raises:
        UserError: The folder holds no suite, or its ``published.csv`` is wrong.
    """
    evidence = gather(folder, analyses)
    suites = {task: item.analysis.suite for task, item in evidence.items()}
    arms = next(iter(suites.values())).arms
    # Before the first run nobody knows which metric a suite without `metric` compares.
    if all(suite.plan.metric or suite.runs for suite in suites.values()):
        offer_published(folder, arms, {task: suite.metric for task, suite in suites.items()})
    over_all = overall_sections(evidence)
    path = write_texts(evidence, out or folder, over_all=over_all)
    write_text(path.with_name(PAGE_FILE), suite_page(evidence, over_all))
    return path


def write_texts(
    evidence: Mapping[str, Evidence],
    out: Path,
    ends: tuple[str, ...] = ("svg", "pdf"),
    over_all: Sequence[Section] | None = None,
) -> Path:
    """Write all but the page, which weighs megabytes, and return the path of ``report.md``.

    Args:
        evidence: What it is made from, by task.
        out: Where to write; made if absent.
        ends: The forms of the figures.
        over_all: What holds over all tasks, where it has been computed.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_figures(evidence, out / FIGURES_FOLDER, ends)
    (out / TABLES_FOLDER).mkdir(exist_ok=True)
    for name, text in report_texts(evidence, over_all).items():
        write_text(out / name, text)
    return out / REPORT_FILE


def report_texts(
    evidence: Mapping[str, Evidence], over_all: Sequence[Section] | None = None
) -> dict[str, str]:
    """Return the report, the tables and the CSVs, by their names below the report's folder."""
    analyses = {task: item.analysis for task, item in evidence.items()}
    texts = {
        REPORT_FILE: tasks_report(evidence, figure_links(evidence), over_all),
        RUNS_CSV: csv_text(run_table(analyses)),
        COMPARISONS_CSV: csv_text(comparison_table(analyses)),
    }
    for task, item in evidence.items():
        prefix = f"{TABLES_FOLDER}/{task}." if task else f"{TABLES_FOLDER}/"
        texts[f"{prefix}arms.tex"] = arms_table(item.analysis, item.published)
        if item.analysis.family:
            texts[f"{prefix}effects.tex"] = effects_table(item.analysis)
    return texts


def report_files(out: Path) -> list[Path]:
    """Return the files of a report that was written, those in its folders first."""
    inside = [*out.glob(f"{FIGURES_FOLDER}/*"), *out.glob(f"{TABLES_FOLDER}/*")]
    named = [out / name for name in (REPORT_FILE, PAGE_FILE, RUNS_CSV, COMPARISONS_CSV)]
    return sorted(inside) + [path for path in named if path.is_file()]
