"""One figure of a page, with what it shows, or the reason why there is none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ..tables.table import Table

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_HEIGHT = 420


@dataclass(frozen=True)
class Panel:
    """One figure of a page.

    Attributes:
        title: Heading.
        text: What it shows, or why there is none.
        figure: The drawing, ``None`` when there is none.
        table: The numbers that are drawn, for those who read rather than look.
    """

    title: str
    text: str
    figure: Figure | None = None
    table: Table | None = None


def figure_json(panel: Panel, height: int = _HEIGHT) -> Markup:
    """Return a panel's drawing as JSON that may stand in a script element.

    Args:
        panel: What is drawn.
        height: Pixels, where the figure names none itself.
    """
    if panel.figure is None:
        return Markup("null")
    drawn: dict[str, Any] = panel.figure.to_plotly_json()
    layout = {key: value for key, value in drawn["layout"].items() if key != "template"}
    layout = {"height": height, **layout}
    text = _encoded({"data": drawn["data"], "layout": layout})
    # Within a script element only `<` can end it or begin a comment.
    return Markup(text.replace("<", "\\u003c"))


def _encoded(figure: dict[str, Any]) -> str:
    from plotly.utils import PlotlyJSONEncoder

    # Plotly's encoder writes arrays as lists, and no number as null.
    return str(json.dumps(figure, cls=PlotlyJSONEncoder, separators=(",", ":")))
