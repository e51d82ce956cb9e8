"""What stands on a report's page: its tables, cards, drawings, and the numbers beside them."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

Rows = list[list[str]]

# What stands in a cell and is not its text.
_BESIDE = ("unseen", "mark", "against", "changes")


class Page(HTMLParser):
    """A page, read.

    Attributes:
        tables: Cells of every table, by what the table is called; those beside figures apart.
        parts: What is drawn in each row of a table: tag, attributes and text of every shape.
        figures: What plotly is given, by place: a section's id, and the heading in a grid.
        numbers: The table beside each figure, by the same place.
        cards: Value and text of each card.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: dict[str, Rows] = {}
        self.parts: dict[str, list[list[dict[str, str]]]] = {}
        self.figures: dict[str, dict[str, Any]] = {}
        self.numbers: dict[str, Rows] = {}
        self.cards: list[list[str]] = []
        self._section = self._heading = self._text_of = ""
        self._rows: Rows = []
        self._drawn: list[list[dict[str, str]]] = []
        self._beside = self._in_cell = self._in_drawing = False
        self.feed(html)

    @property
    def _place(self) -> str:
        return f"{self._section}/{self._heading}" if self._heading else self._section

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: str(value) for name, value in attrs}
        if tag == "section":
            self._section, self._heading = given.get("id", ""), ""
        elif tag == "h3":
            self._heading, self._text_of = "", "h3"
        elif tag == "details":
            self._beside = given.get("class") == "numbers"
        elif given.get("role") == "region" or (tag == "table" and "aria-label" in given):
            self._begin_table(given["aria-label"])
        elif tag == "tr":
            self._rows.append([])
            self._drawn.append([])
        elif tag in ("th", "td"):
            self._rows[-1].append("")
            self._text_of, self._in_cell, self._in_drawing = "cell", True, False
        elif self._in_cell and (tag == "svg" or given.get("class") in _BESIDE):
            self._text_of, self._in_drawing = "", self._in_drawing or tag == "svg"
        elif tag == "script":
            self._text_of = "figure" if given.get("type") == "application/json" else ""
        elif given.get("class") == "card":
            self.cards.append(["", ""])
        elif tag in ("b", "span") and self.cards and not self._in_cell:
            self._text_of = f"card {tag}"
        if self._in_drawing:
            self._drawn[-1].append({"tag": tag, **given})

    def _begin_table(self, label: str) -> None:
        self._rows, self._drawn = [], []
        if self._beside:
            assert self._place not in self.numbers, self._place
            self.numbers[self._place] = self._rows
            return
        assert label not in self.tables, label
        self.tables[label], self.parts[label] = self._rows, self._drawn

    def handle_endtag(self, tag: str) -> None:
        if tag in ("th", "td", "h3", "script", "b", "span"):
            self._text_of = ""
        if tag in ("th", "td"):
            self._in_cell = self._in_drawing = False
        if tag == "details":
            self._beside = False

    def handle_data(self, data: str) -> None:
        text = data.strip()
        if self._in_drawing and self._drawn[-1]:
            self._drawn[-1][-1]["said"] = self._drawn[-1][-1].get("said", "") + text
        elif self._text_of == "cell":
            self._rows[-1][-1] += text
        elif self._text_of == "h3":
            self._heading += text
        elif self._text_of == "figure":
            self.figures[self._place] = json.loads(data)
        elif self._text_of.startswith("card"):
            self.cards[-1][self._text_of == "card span"] += text

    def rows(self, label: str) -> dict[str, dict[str, str]]:
        """Return the rows of a table by their names."""
        return by_name(self.tables[label])

    def traces(self, place: str) -> dict[str, dict[str, Any]]:
        """Return the named lines, bars and points of a figure by their names."""
        return {str(t["name"]): t for t in self.figures[place]["data"] if "name" in t}


def by_name(rows: Rows) -> dict[str, dict[str, str]]:
    """Return rows by their first cell, each cell by its heading."""
    head, *body = rows
    return {row[0]: dict(zip(head, row, strict=True)) for row in body}


def percent(share: str) -> float:
    """Return ``12.5%`` as a number."""
    return float(share.removesuffix("%"))
