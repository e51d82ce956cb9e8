"""The page of a verification: the table, what each row says, the figures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from ...report import document, figure, html_table
from ...store import write_text
from ...training import commit, versions
from ..plan import Plan
from ..results import Results
from .figures import panels
from .rows import FAILS, TOO_LITTLE, Row

PAGE_FILE = "verification.html"

_SENTENCES = ("claim", "published", "measured", "verdict")


def write_page(folder: Path, results: Results, rows: Sequence[Row]) -> Path:
    """Write the page into a verification's folder and return its path."""
    path = folder / PAGE_FILE
    write_text(path, page(results, rows))
    return path


def page(results: Results, rows: Sequence[Row]) -> str:
    """Return the page as HTML."""
    styles = ["failed" if row.verdict.startswith(FAILS) else "" for row in rows]
    figures = [figure(panel) for panel in panels(results)]
    table = html_table([row.cells() for row in rows], styles, _SENTENCES)
    sections = [_head(results.plan), table, _says(rows), *figures, _footer()]
    return document(results.plan.name, sections)


def _head(plan: Plan) -> str:
    config = plan.config
    seeds = f"{len(plan.seeds)} seeds ({plan.seeds[0]} to {plan.seeds[-1]})"
    quick = (
        "<p class='note'>A quick verification: too few seeds and steps for any claim that needs "
        f"statistics. Such rows say “{TOO_LITTLE}”.</p>"
        if plan.quick
        else ""
    )
    return (
        f"<h1>Verification {escape(plan.name)}</h1><p class='soft'>Task {escape(config.task)}, "
        f"model {escape(config.model.name_or_path)}, {escape(seeds)}. Every row was measured "
        f"on this machine; margins and limits were fixed beforehand.</p>{quick}"
    )


def _says(rows: Sequence[Row]) -> str:
    paragraphs = "".join(
        f"<h3>{escape(row.claim)}: {escape(row.verdict)}</h3><p>{escape(row.says)}</p>"
        for row in rows
    )
    return f"<h2>What each row says, and what it does not</h2>{paragraphs}"


def _footer() -> str:
    head, dirty = commit()
    packages = ", ".join(f"{name} {version}" for name, version in sorted(versions().items()))
    changes = " with uncommitted changes" if dirty else ""
    where = escape(head or "not run from a checkout")
    return f"<footer>Commit {where}{changes}. {escape(packages)}.</footer>"
