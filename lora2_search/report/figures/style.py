"""One palette for every drawing: who sees no colour goes by dash and symbol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Okabe and Ito's: distinguishable for those who see no red or green, and on dark paper too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8f98", "#b58900")

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")

SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up")

GREY = COLOURS[6]

# From low to high, or from early to late: one scale for all figures, on light and dark paper.
LOW_TO_HIGH = ("#56b4e9", "#d55e00")

WINNER_COLOUR = COLOURS[2]


# The same markers and dashes in a legend that stands beside a figure, within 28 × 14 pixels.
SHAPES = {
    "circle": "M14 3a4 4 0 1 1 0 8a4 4 0 1 1 0-8z",
    "square": "M10.5 3.5h7v7h-7z",
    "diamond": "M14 2l5 5-5 5-5-5z",
    "cross": "M12.5 2.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
    "x": "M11.2 2.8l2.8 2.8 2.8-2.8 1.4 1.4-2.8 2.8 2.8 2.8-1.4 1.4-2.8-2.8-2.8 2.8-1.4-1.4 "
    "2.8-2.8-2.8-2.8z",
    "triangle-up": "M14 2.5l4.8 8.5h-9.6z",
    "star": "M14 1l1.5 4.3h4.5l-3.6 2.7 1.4 4.4-3.8-2.7-3.8 2.7 1.4-4.4-3.6-2.7h4.5z",
    # Those that are open are rings of lines, as they are not filled.
    "circle-open": "M14 2a5 5 0 1 1 0 10a5 5 0 1 1 0-10z"
    "m0 1.5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 1 0 0-7z",
    "diamond-open": "M14 1l6 6-6 6-6-6zm0 2.1l-3.9 3.9 3.9 3.9 3.9-3.9z",
    "triangle-down-open": "M8.2 2.5h11.6l-5.8 10zm2.6 1.5l3.2 5.5 3.2-5.5z",
    "x-thin-open": "M10 4l1-1 3 3 3-3 1 1-3 3 3 3-1 1-3-3-3 3-1-1 3-3z",
    "bar": "M5 3h18v8h-18z",
    "bar-striped": "M5 11l4-8h3l-4 8zm6 0l4-8h3l-4 8zm6 0l4-8h3l-4 8z",
    "bar-crossed": "M5 3h2l3 3 3-3h2l3 3 3-3h2v1l-3 3 3 3v1h-2l-3-3-3 3h-2l-3-3-3 3h-2v-1l3-3-3-3z",
    "bar-dotted": "M5 3h3v3h-3zm5 0h3v3h-3zm5 0h3v3h-3zm5 0h3v3h-3z"
    "M5 8h3v3h-3zm5 0h3v3h-3zm5 0h3v3h-3zm5 0h3v3h-3z",
}
BARS = {"": "bar", "/": "bar-striped", "x": "bar-crossed", ".": "bar-dotted"}
DASH_LENGTHS = {
    "solid": "none",
    "dash": "6 3",
    "dot": "2 2",
    "dashdot": "6 2 2 2",
    "longdash": "9 3",
    "longdashdot": "9 2 2 2",
}


@dataclass(frozen=True)
class Key:
    """An entry of a legend that stands on the page, for one figure or for those that share it.

    Attributes:
        name: Of the trace or of its group.
        colour: Of line and marker.
        dash: Plotly's name of the line's dash; ``""`` where there is no line.
        symbol: Plotly's name of the marker, or that of a bar; ``""`` where there is neither.
    """

    name: str
    colour: str
    dash: str
    symbol: str


@dataclass(frozen=True)
class StateStyle:
    """How trials of one state are drawn; colour, dash and symbol each tell it alone.

    Attributes:
        word: The state for people.
        colour: Of line and marker.
        dash: Plotly's name of the line's dash.
        symbol: Plotly's name of the marker.
        line: Matplotlib's line style.
        marker: Matplotlib's marker.
        pattern: Plotly's pattern of a bar.
        hatch: Matplotlib's pattern of a bar.
    """

    word: str
    colour: str
    dash: str
    symbol: str
    line: str
    marker: str
    pattern: str
    hatch: str


STATE_STYLES = {
    "COMPLETE": StateStyle("complete", COLOURS[0], "solid", "circle", "-", "o", "", ""),
    "PRUNED": StateStyle("pruned", GREY, "dot", "triangle-down-open", ":", "v", "/", "//"),
    "FAIL": StateStyle("failed", COLOURS[1], "dash", "x", "--", "x", "x", "xx"),
    "RUNNING": StateStyle("under way", COLOURS[4], "dashdot", "diamond-open", "-.", "D", ".", ".."),
    "WAITING": StateStyle("waiting", COLOURS[4], "dashdot", "diamond-open", "-.", "D", ".", ".."),
}


def plotly_text(text: str) -> str:
    """Return text that plotly shows as it is: it takes a few HTML tags for markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def row_layout(names: Sequence[str]) -> dict[str, Any]:
    """Return plotly's layout of a figure with a row per name, the first at the top."""
    return {
        "yaxis": {
            "categoryorder": "array",
            "categoryarray": list(names),
            "autorange": "reversed",
            "automargin": True,
        },
        "height": 130 + 40 * len(names),
        "showlegend": False,
    }
