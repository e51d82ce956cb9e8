"""Axes that a reader can take at their word: their ends, and where their ticks stand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...config import metric_bounds
from ..tables.text import in_points

# Ticks on an axis of logarithms, within each decade.
_DECADE = (1, 3)

_FEWEST_LOG_TICKS = 2


def score_axis(metric: str) -> dict[str, object]:
    """Return the settings of a plotly axis of scores: no margin reaches beyond what can be."""
    factor = 100.0 if in_points(metric) else 1.0
    ends = zip(("clipmin", "clipmax"), metric_bounds(metric), strict=True)
    clip = {name: factor * end for name, end in ends if math.isfinite(end)}
    return {"autorangeoptions": clip}


def log_ticks(values: Iterable[float]) -> tuple[list[float], list[str]]:
    """Return where ticks stand on an axis of logarithms and what they say: ``1e-3``, ``3e-3``.

    Args:
        values: What is drawn, above zero.

    Returns:
        Ticks from the last one below the least value to the first one above the greatest; more than
        a dozen are thinned to whole decades.
    """
    known = [value for value in values if value > 0 and math.isfinite(value)]
    if not known:
        return [], []
    first, last = (math.floor(math.log10(end)) for end in (min(known), max(known)))
    every = [(step, power) for power in range(first, last + 2) for step in _DECADE]
    if last - first > 5:
        every = [(step, power) for step, power in every if step == 1]
    places = [step * 10.0**power for step, power in every]
    below = max((i for i, place in enumerate(places) if place <= min(known)), default=0)
    above = min(i for i, place in enumerate(places) if place >= max(known))
    kept = slice(below, max(above + 1, below + _FEWEST_LOG_TICKS))
    return places[kept], [f"{step}e{power}" for step, power in every[kept]]


def is_wide(values: Sequence[float]) -> bool:
    """Whether values above zero reach so far that an axis of logarithms tells them apart better."""
    return min(values) > 0 and max(values) > 5 * min(values)


def log_axis(values: Iterable[float]) -> dict[str, object]:
    """Return the settings of a plotly axis of logarithms over these values."""
    places, texts = log_ticks(values)
    return {"type": "log", "tickmode": "array", "tickvals": places, "ticktext": texts}


@dataclass(frozen=True)
class Scale:
    """A linear axis drawn by ourselves.

    Attributes:
        low: Its left end.
        high: Its right end.
        ticks: Round numbers within it.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Return where a value stands, in per cent of the axis, at an end if it lies beyond."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, share)), 2)

    def beyond(self, value: float) -> bool:
        """Whether a value lies off the axis."""
        return not self.low <= value <= self.high


def linear(values: Iterable[float], ticks: int = 8) -> Scale:
    """Return an axis that shows every value with some room, and about so many round ticks."""
    known = list(values) or [0.0]
    low, high = min(known), max(known)
    room = 0.06 * (high - low) or 1.0
    low, high = low - room, high + room
    step = _round_step((high - low) / ticks)
    first = math.ceil(low / step)
    places = (number * step for number in range(first, math.floor(high / step) + 1))
    return Scale(low, high, tuple(round(place, 10) for place in places))


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return power * next(step for step in (1, 2, 5, 10) if step * power >= least)
