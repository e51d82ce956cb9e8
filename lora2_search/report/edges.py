"""Whether a winner lies at an end of the range that a setting was searched in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..config import RunConfig, validate, with_settings
from ..errors import ConfigError
from ..source import Source

# A sampler hardly ever draws the very end of a range, so the outermost part of it counts.
_OUTERMOST = 0.05


def edges(space: Mapping[str, Any], params: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each setting whose range a better value may lie beyond.

    At the end is a value in the outermost 5 % of a range, on its own scale, linear or logarithmic.
    An end beyond which no run is valid (``adapter.target_rank`` at ``adapter.r``) is none.

    Args:
        space: The study's space as plain values.
        params: The winner's searched settings.
    """
    return [
        said
        for name, item in (space.get("search") or {}).items()
        if name in params and (said := _edge(space, params, name, item)) is not None
    ]


def _edge(
    space: Mapping[str, Any], params: Mapping[str, Any], name: str, item: Mapping[str, Any]
) -> str | None:
    if item["type"] == "categorical":
        return None
    low, high = item["low"], item["high"]
    scale = math.log if item.get("log") else float
    part = (scale(params[name]) - scale(low)) / (scale(high) - scale(low))
    if _OUTERMOST < part < 1 - _OUTERMOST:
        return None
    end, last, way = ("lower", low, -1) if part < 0.5 else ("upper", high, 1)
    if item["type"] == "int":
        beyond = last + way
    elif last > 0:
        beyond = last * 1.1**way
    else:
        beyond = last + way * (high - low) / 10
    if not _valid(space, {**params, name: beyond}):
        return None
    return (
        f"The winner's {name}, {_short(params[name])}, is at the {end} end of its range "
        f"({_short(low)} to {_short(high)}), so a better value may lie beyond: widen {name}."
    )


def _valid(space: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    own = {name: space[name] for name in RunConfig.model_fields if name in space}
    try:
        with_settings(validate(Source(own), RunConfig), dict(params))
    except ConfigError:
        return False
    return True


def _short(value: float) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
