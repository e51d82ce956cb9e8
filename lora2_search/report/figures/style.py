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
}
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
    """An entry of a legend that stands on the page, for figures that share it.

    Attributes:
        name: Of the trace or of its group.
        colour: Of line and marker.
        dash: Plotly's name of the line's dash; ``""`` where there is no line.
        symbol: Plotly's name of the marker.
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
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    }
