"""Numbers as text: one form for the terminal, the page and the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, str]

NONE = "–"


def changes(settings: Mapping[str, Any]) -> str:
    """Return what an arm changes: ``adapter.gamma: 0``."""
    return ", ".join(f"{key}: {value}" for key, value in settings.items()) or NONE


def level(value: float | None, metric: str) -> str:
    """Return a score: accuracy in per cent, correlations as they are."""
    if value is None:
        return NONE
    return f"{100 * value:z.2f} %" if in_points(metric) else f"{value:z.4f}"


def signed(value: float | None, metric: str) -> str:
    """Return a difference of scores with its sign and its unit."""
    if value is None:
        return NONE
    return f"{100 * value:+z.2f} points" if in_points(metric) else f"{value:+z.4f}"


def interval(low: float | None, high: float | None, metric: str) -> str:
    """Return an interval of a difference."""
    if low is None or high is None:
        return NONE
    if in_points(metric):
        return f"{100 * low:+z.2f} to {100 * high:+z.2f}"
    return f"{low:+z.4f} to {high:+z.4f}"


def in_points(metric: str) -> bool:
    """Whether a metric is a share of sentences, shown in per cent and points."""
    return metric == "accuracy"


def p_value(p: float | None) -> str:
    """Return a p value with three digits, never as zero."""
    if p is None:
        return NONE
    return "< 0.0001" if p < 0.0001 else f"{p:.3g}" if p < 0.01 else f"{p:.3f}"


def count(number: float | None) -> str:
    """Return a number of parameters; a mean over seeds is rounded."""
    return NONE if number is None else f"{round(number):,}"


def markdown_table(rows: Sequence[Row]) -> str:
    """Return rows as a Markdown table, numbers to the right."""
    if not rows:
        return "(nothing to show)"
    names = list(rows[0])
    rule = ["---"] + [
        "---:" if _numeric([row[name] for row in rows]) else "---" for name in names[1:]
    ]
    heads = [_cell(name) for name in names]
    lines = [heads, rule, *([_cell(row[name]) for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _numeric(values: Sequence[str]) -> bool:
    return all(value == NONE or value[:1] in "+-<0123456789" for value in values)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
