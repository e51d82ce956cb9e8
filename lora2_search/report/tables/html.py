"""Tables as HTML; the template escapes."""

from __future__ import annotations

from ..rendering import render
from .table import Table


def html_table(table: Table, label: str) -> str:
    """Return a table as HTML, within a region that scrolls.

    Args:
        table: The table.
        label: What it shows, for those who do not see it.
    """
    return render("table.html", table=table, label=label)
