"""Whether a winner lies at an end of its range, and a wider range for the next search."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..config.space import Distribution, Space

# A sampler hardly ever draws the very end of a range, so the outermost part of it counts.
_OUTERMOST = 0.05

# How far a wider range reaches: by half of the range's width on its own scale.
_WIDER = 0.5

_ROUND = (1.0, 2.0, 3.0, 5.0, 10.0)


@dataclass(frozen=True)
class Edge:
    """A setting of the winner at an end of its range: a better value may lie beyond.

    Attributes:
        setting: Dotted.
        value: The winner's.
        end: Which one.
        searched: The range that was searched.
        wider: A range that reaches further at that end and whose end is valid with the winner's
            other settings.
    """

    setting: str
    value: float
    end: Literal["lower", "upper"]
    searched: Distribution
    wider: Distribution


def winner_edges(space: Space, params: Mapping[str, Any]) -> list[Edge]:
    """Return the winner's settings that are at an end of their range.

    At the end is a value in the outermost 5 % of a range, on its own scale, linear or logarithmic.
    An end beyond which no run is valid (``adapter.target_rank`` at ``adapter.r``) is none.

    Args:
        space: The study's space.
        params: The winner's searched settings.
    """
    return [
        edge
        for name, item in space.search.items()
        if name in params and (edge := _edge(space, params, name, item)) is not None
    ]


def _edge(space: Space, params: Mapping[str, Any], name: str, item: Distribution) -> Edge | None:
    low, high = item.low, item.high
    if low is None or high is None:  # a categorical
        return None
    scale = math.log if item.log else float
    part = (scale(params[name]) - scale(low)) / (scale(high) - scale(low))
    if _OUTERMOST < part < 1 - _OUTERMOST:
        return None
    end: Literal["lower", "upper"] = "lower" if part < 0.5 else "upper"
    for beyond in _beyond(item, end):
        if _valid(space, {**params, name: beyond}):
            key = "low" if end == "lower" else "high"
            return Edge(name, params[name], end, item, item.model_copy(update={key: beyond}))
    return None


def _beyond(item: Distribution, end: Literal["lower", "upper"]) -> Iterator[int | float]:
    """Yield ends further out than a range's own, the furthest first."""
    assert item.low is not None and item.high is not None
    low, high, out = item.low, item.high, 1 if end == "upper" else -1
    last = high if out > 0 else low
    if item.type == "int" or item.step is not None:
        step = item.step or 1
        steps = max(1, round(_WIDER * (high - low) / step))
        if item.log:
            steps = max(1, round(last * ((high / low) ** _WIDER - 1) if out > 0 else last / 2))
        while steps >= 1:
            yield round(last + out * steps * step, 12)
            steps //= 2
        return
    for width in (_WIDER, _WIDER / 2, _WIDER / 4, 0.1):
        if item.log:
            yield _rounded(last * (high / low) ** (out * width), out)
        else:
            yield float(f"{last + out * width * (high - low):.3g}")
    yield last * 1.1**out if item.log else last + out * (high - low) / 100


def _rounded(value: float, out: int) -> float:
    """Return the next 1, 2, 3 or 5 times a power of ten, outwards."""
    power = 10.0 ** math.floor(math.log10(value))
    fits = [part for part in _ROUND if (part * power - value) * out >= -1e-9 * value]
    part = min(fits) if out > 0 else max(fits)
    return float(f"{part * power:.3g}")


def _valid(space: Space, params: Mapping[str, Any]) -> bool:
    try:
        space.run_config(params)
    except ValueError:  # of these settings, or of those of the space itself
        return False
    return True
