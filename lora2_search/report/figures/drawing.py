"""A figure for plotly.js as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Drawing:
    """Traces and a layout under plotly's own names.

    Plotly's Python class checks every value as it is set, which takes longer than all else of a
    page; here the tests have it check what is drawn.

    Attributes:
        data: The traces.
        layout: Axes, legend, annotations, shapes.
    """

    data: list[dict[str, Any]] = field(default_factory=list)
    layout: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, **settings: Any) -> None:
        """Add a trace of a kind: ``scatter``, ``bar``, ``heatmap``, ``contour``."""
        self.data.append({"type": kind, **_given(settings)})

    def annotate(self, **settings: Any) -> None:
        """Write a text."""
        self.layout.setdefault("annotations", []).append(settings)

    def add_line(self, **settings: Any) -> None:
        """Draw a straight line."""
        self.layout.setdefault("shapes", []).append({"type": "line", **settings})

    def set_layout(self, **settings: Any) -> None:
        """Set parts of the layout."""
        self.layout |= _given(settings)

    def to_plotly_json(self) -> dict[str, Any]:
        """Return it as plotly.js takes it."""
        return {"data": self.data, "layout": self.layout}


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without those that are ``None``; a title's text in its own place."""
    found = {}
    for name, value in settings.items():
        if value is None:
            continue
        if name == "title" and isinstance(value, str):
            found[name] = {"text": value}
        else:
            found[name] = _given(value) if isinstance(value, Mapping) else value
    return found
