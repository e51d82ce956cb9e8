"""The page of a verification: the table, what each row says, the figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...report import render
from ...store import write_text
from ...training import commit, versions
from ..plan import Plan
from ..results import Results
from .figures import panels
from .rows import FAILS, TOO_LITTLE, Row, claims_table

PAGE_FILE = "verification.html"


def write_page(folder: Path, results: Results, rows: Sequence[Row]) -> Path:
    """Write the page into a verification's folder and return its path."""
    path = folder / PAGE_FILE
    write_text(path, page(results, rows))
    return path


def page(results: Results, rows: Sequence[Row]) -> str:
    """Return the page as HTML."""
    return render(
        "verification.html",
        Path(__file__).parent,
        title=results.plan.name,
        about=_about(results.plan),
        quick=results.plan.quick,
        too_little=TOO_LITTLE,
        table=claims_table(rows),
        styles=["failed" if row.verdict.startswith(FAILS) else "" for row in rows],
        rows=rows,
        panels=panels(results),
        made_with=_made_with(),
    )


def _about(plan: Plan) -> str:
    config = plan.config
    return (
        f"Task {config.task}, model {config.model.name_or_path}, {len(plan.seeds)} seeds "
        f"({plan.seeds[0]} to {plan.seeds[-1]}). Every row was measured on this machine; margins "
        "and limits were fixed beforehand."
    )


def _made_with() -> str:
    head, dirty = commit()
    packages = ", ".join(f"{name} {version}" for name, version in sorted(versions().items()))
    changes = " with uncommitted changes" if dirty else ""
    return f"Commit {head or 'not run from a checkout'}{changes}. {packages}."
