"""One figure of a page, with what it shows, or the reason why there is none."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from ..tables.table import Table
from .style import BARS, Key

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from .drawing import Drawing


@dataclass(frozen=True)
class Panel:
    """One figure of a page.

    Attributes:
        title: Heading.
        text: What it shows, or why there is none.
        figure: The drawing, ``None`` when there is none.
        table: The numbers that are drawn, for those who read rather than look.
        keys: The legend, where it stands on the page and not within the figure.
    """

    title: str
    text: str
    figure: Drawing | Figure | None = None
    table: Table | None = None
    keys: tuple[Key, ...] = ()

    def height(self, otherwise: int) -> int:
        """Return how high the drawing is in pixels, where the figure itself does not say."""
        if self.figure is None:
            return 0
        return int(self.figure.to_plotly_json()["layout"].get("height") or otherwise)


def all_keys(panels: Iterable[Panel]) -> tuple[Key, ...]:
    """Return the legend that figures share: every entry once, as the first has it."""
    return tuple({key.name: key for panel in panels for key in panel.keys}.values())


def drawn_keys(figure: Drawing) -> tuple[Key, ...]:
    """Return the legend of a figure's named traces, in the order in which they are drawn.

    An area around a line has the line's name and no entry of its own.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for trace in figure.data:
        name = trace.get("legendgroup") or trace.get("name")
        if name and trace["x"] and "fill" not in trace:
            groups.setdefault(name, []).append(trace)
    return tuple(_key(name, traces) for name, traces in groups.items())


def _key(name: str, traces: Iterable[dict[str, Any]]) -> Key:
    colours: list[str] = []
    dash = symbol = ""
    for trace in traces:
        marker, line = trace.get("marker", {}), trace.get("line", {})
        mode = trace.get("mode", "bar")
        if "lines" in mode:
            dash = dash or line.get("dash", "solid")
            colours.append(line["color"])
        elif isinstance(marker["color"], str):
            colours.append(marker["color"])
        else:
            colours += marker["color"]
        if "markers" in mode:
            symbol = symbol or marker.get("symbol", "circle")
        elif mode == "bar":
            symbol = BARS[marker["pattern"]["shape"]]
    # A winner among them has a colour of its own.
    [(colour, _)] = Counter(colours).most_common(1)
    return Key(name, colour, dash, symbol)


def figure_json(panel: Panel) -> Markup:
    """Return a panel's drawing as JSON that may stand in a script element."""
    if panel.figure is None:
        return Markup("null")
    drawn: dict[str, Any] = panel.figure.to_plotly_json()
    # The page has its own template, and its element is as high as the figure.
    own = ("template", "height", "width")
    layout = {key: value for key, value in drawn["layout"].items() if key not in own}
    text = json.dumps(_plain({"data": drawn["data"], "layout": layout}), separators=(",", ":"))
    # Within a script element only `<` can end it or begin a comment.
    return Markup(text.replace("<", "\\u003c"))


def _plain(value: Any) -> Any:
    """Return a part of a figure as JSON has it: no number as null, six digits of the others."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return _plain(value.tolist()) if isinstance(value, np.ndarray | np.generic) else value
