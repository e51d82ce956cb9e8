"""A self-contained HTML page: no request leaves it, plotly stands in it once."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from ..figures.optuna import Panel
from ..tables.text import Row

# Plotly's tool bar offers to send a figure to its makers; dragging and hovering work without it.
_CONFIG = {"displayModeBar": False, "responsive": True}

# The browser itself refuses whatever would leave the page.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)


def document(title: str, sections: Sequence[str]) -> str:
    """Return a whole page.

    Args:
        title: Plain text, for the browser's tab.
        sections: HTML, in order.
    """
    from plotly.offline import get_plotlyjs

    page = Path(__file__)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>"
        f"<style>{page.with_name('page.css').read_text()}</style>"
        f"<script>{get_plotlyjs()}</script></head><body>"
        f"{''.join(sections)}<script>{page.with_name('page.js').read_text()}</script>"
        "</body></html>\n"
    )


def figure(panel: Panel) -> str:
    """Return a panel as HTML: heading, text, drawing."""
    return (
        f"<h2>{escape(panel.title)}</h2><p class='soft'>{escape(panel.text)}</p>"
        f"{drawing(panel, 420)}"
    )


def cards(shown: Sequence[tuple[str, str]]) -> str:
    """Return numbers side by side as HTML, each with what it is below it."""
    inner = "".join(
        f"<div class='card'><b>{escape(value)}</b><span>{escape(text)}</span></div>"
        for value, text in shown
    )
    return f"<div class='cards'>{inner}</div>"


def grid(title: str, text: str, panels: Sequence[Panel], height: int) -> str:
    """Return small figures side by side as HTML, under one heading, ``height`` pixels each."""
    inner = "".join(f"<div><h3>{escape(p.title)}</h3>{drawing(p, height)}</div>" for p in panels)
    return (
        f"<h2>{escape(title)}</h2><p class='soft'>{escape(text)}</p><div class='grid'>{inner}</div>"
    )


def drawing(panel: Panel, height: int) -> str:
    """Return a panel's drawing as HTML, empty where it has none.

    Args:
        panel: What is drawn.
        height: Pixels, where the figure names none itself.
    """
    if panel.figure is None:
        return ""
    shown = panel.figure
    shown.update_layout(
        template="plotly_white",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
        margin={"l": 60, "r": 20, "t": 20, "b": 50},
        height=shown.layout.height or height,
        autosize=True,
        width=None,
    )
    return str(shown.to_html(full_html=False, include_plotlyjs=False, config=_CONFIG))


def html_table(
    rows: Sequence[Row], styles: Sequence[str] = (), sentences: Sequence[str] = ("why",)
) -> str:
    """Return rows as an HTML table.

    Args:
        rows: Text by column name; the first row tells the columns.
        styles: A class for each row.
        sentences: Columns that hold sentences: set left, and broken into lines.
    """
    if not rows:
        return "<p class='soft'>None yet.</p>"
    kinds = {name: " class=text" if name in sentences else "" for name in rows[0]}
    head = "".join(f"<th{kinds[name]}>{escape(name)}</th>" for name in rows[0])
    body = ""
    for index, row in enumerate(rows):
        style = f" class='{escape(styles[index])}'" if styles else ""
        cells = "".join(f"<td{kinds[name]}>{escape(row[name])}</td>" for name in rows[0])
        body += f"<tr{style}>{cells}</tr>"
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div class='scroll'>{table}</div>"
