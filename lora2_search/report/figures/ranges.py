"""Ranges of a study's axes: within what a metric can be, with ticks that people write."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...analysis import SettingAxis
from ...config import metric_bounds
from ..tables.text import in_points

_PADDING = 0.06

# A range of equal values still needs a width.
_LEAST_WIDTH = 0.02

MOST_TICKS = 6


# Up to so many trials each one has a tick; of fewer plotly.js would label halves.
_MOST_TICKS = 12


def score_range(values: Sequence[float], metric: str) -> tuple[float, float]:
    """Return a range with a little room around scores, and none beyond what the metric can be.

    Args:
        values: Finite scores, at least one.
        metric: Whose bounds apply.
    """
    low, high = min(values), max(values)
    room = max(_PADDING * (high - low), _LEAST_WIDTH / 2)
    least, most = metric_bounds(metric)
    # On the bound itself a marker would be cut in half.
    edge = room / 3
    return max(low - room, least - edge), min(high + room, most + edge)


def validation_title(metric: str) -> str:
    """Return an axis' title for a metric on the validation split."""
    return f"validation {metric}{', %' if in_points(metric) else ''}"


def setting_ticks(axis: SettingAxis, most: int = MOST_TICKS) -> tuple[list[float], list[str]]:
    """Return coordinates of an axis to write beside it, and what to write.

    Args:
        axis: A setting's range; choices are all written.
        most: About as many ticks as fit.
    """
    if axis.choices:
        return [float(place) for place in range(len(axis.choices))], list(axis.choices)
    ticks = range_ticks(axis.low, axis.high, most) if axis.log else _linear_ticks(axis, most)
    return ticks, tick_texts(ticks)


def range_ticks(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """Return 1, 2, 5, 10 ... within a range, or 1, 3, 10 ..., or powers of ten: what fits.

    Where fewer than two fit, the ends of the range.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    apart = 1
    for parts in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        found = _within(low, high, parts, range(first, last + 1))
        if 2 <= len(found) <= most:
            return found
    while len(found) > most:
        apart += 1
        found = _within(low, high, (1.0,), range(first, last + 1, apart))
    return found if len(found) > 1 else [low, high]


def _within(low: float, high: float, parts: Sequence[float], powers: range) -> list[float]:
    found = [float(f"{part:g}e{power}") for power in powers for part in parts]
    return [tick for tick in found if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Return ticks as text, all in one form: ``1e-3, 3e-3`` as soon as one is below 0.01."""
    sizes = [abs(tick) for tick in ticks if tick]
    if sizes and (min(sizes) < 0.01 or max(sizes) >= 100_000):
        return [_power(tick) for tick in ticks]
    return [f"{tick:g}" for tick in ticks]


def _power(value: float) -> str:
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    power = int(exponent)
    digits = mantissa.rstrip("0").rstrip(".")
    return "0" if value == 0 else digits if power == 0 else f"{digits}e{power}"


def _linear_ticks(axis: SettingAxis, most: int) -> list[float]:
    width = axis.high - axis.low
    if width <= 0:
        return [axis.low]
    step = _nice_step(width / (most - 1), axis.whole)
    first = math.ceil(axis.low / step - 1e-9)
    last = math.floor(axis.high / step + 1e-9)
    return [float(f"{number * step:.10g}") for number in range(first, last + 1)]


def _nice_step(least: float, whole: bool) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    step = next(part * power for part in (1.0, 2.0, 5.0, 10.0) if part * power >= least - 1e-12)
    return max(1.0, round(step)) if whole else step


def trial_axis(last: int) -> dict[str, object]:
    """Return plotly.js's axis of trials from 0 to the last one, with ticks at whole numbers."""
    room = max(0.5, 0.02 * last)
    each: dict[str, object] = {"dtick": 1} if last <= _MOST_TICKS else {}
    return {"title": "trial", "range": [-room, last + room], "tickformat": "d", **each}
