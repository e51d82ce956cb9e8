"""The points of a grid: every combination of the values that a space's settings can take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product

from ..run import RunConfig
from .distribution import Distribution, Value, active
from .rules import Rule, obeyed

MOST_POINTS = 20_000


def continuous(item: Distribution) -> bool:
    """Return whether a setting has no finite number of values."""
    return item.type == "float" and item.step is None


def grid_points(
    search: Mapping[str, Distribution], base: RunConfig, rules: Sequence[Rule]
) -> list[dict[str, Value]] | None:
    """Return the points that obey the rules, the last setting varying fastest; each once.

    Args:
        search: The searched settings, none of them continuous.
        base: The fixed ones.
        rules: Between settings.

    Returns:
        ``None`` where there are more than 20,000 combinations.
    """
    if math.prod(_size(item) for item in search.values()) > MOST_POINTS:
        return None
    values = [_values(item) for item in search.values()]
    points: dict[tuple[tuple[str, Value], ...], dict[str, Value]] = {}
    for combination in product(*values):
        point = active(search, dict(zip(search, combination, strict=True)))
        if obeyed(rules, base, point):
            # A value and its type: True is no 1.
            points.setdefault(tuple((k, repr(v)) for k, v in point.items()), point)
    return list(points.values())


def _values(item: Distribution) -> list[Value]:
    if item.type == "int":
        return list(range(int(item.low or 0), int(item.high or 0) + 1, int(item.step or 1)))
    size = _size(item)
    return [item.at((place + 0.5) / size) for place in range(size)]


def _size(item: Distribution) -> int:
    if item.type == "categorical":
        return len(item.choices or [])
    low, high = item.low or 0, item.high or 0
    return round((high - low) / (item.step or 1)) + 1
