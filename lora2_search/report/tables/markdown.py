"""Tables and plain text as Markdown."""

from __future__ import annotations

import re

from .table import Table

# What GitHub and MkDocs would read as markup within a cell. A number's minus, dots and an
# underscore within a word are none.
_MARKUP = re.compile(
    r"[\\`*|\[\]$~]|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?])|&(?=#?\w+;)|(?<=\w)@(?=\w)|:(?=//)"
)


def markdown_table(table: Table) -> str:
    """Return a table in Markdown, each cell as the text that it is."""
    if not table:
        return "(nothing to show)"
    rule = ["---:" if column.align == "right" else "---" for column in table.columns]
    lines = [[escaped(title) for title in table.titles], rule]
    lines += [[escaped(cell) for cell in cells] for cells in table.cells]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def escaped(text: str) -> str:
    """Return plain text as Markdown shows it, on one line."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.splitlines()))
