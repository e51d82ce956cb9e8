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


# What would begin a heading, a list, a quotation or a rule, if a line began with it.
_FIRST = re.compile(r"(?:#{1,6}|[-+])(?=\s|$)|-{3,}(?=\s*$)|>|(?<=\d)[.)](?=\s|$)")

_NUMBER = re.compile(r"\d{1,9}(?=[.)](?:\s|$))")

_PLAIN = re.compile(r"(`[^`]*`)|\\([!-/:-@\[-`{-~])")


def escaped(text: str) -> str:
    """Return plain text as Markdown shows it, on one line, wherever it stands."""
    shown = _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))
    numbered = _NUMBER.match(shown)
    place = numbered.end() if numbered else 0
    return f"{shown[:place]}\\{shown[place:]}" if _FIRST.match(shown, place) else shown


def code_span(text: str) -> str:
    """Return text as code within a line; with a backtick or a break in it, as plain text."""
    whole = text.strip() and "`" not in text and len(text.splitlines()) == 1
    return f"`{text}`" if whole else escaped(text)


def unescaped(text: str) -> str:
    """Return a paragraph in Markdown as a terminal shows it: without the escapes of its texts."""
    return _PLAIN.sub(lambda match: match[1] or match[2], text)
