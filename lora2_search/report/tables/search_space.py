"""The appendix that tells a reader what was searched: a study's space as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .latex import latex_table
from .text import NONE, Row


def search_space_rows(space: Mapping[str, Any]) -> list[Row]:
    """Return one row a searched setting: its range or choices, its scale, when it applies.

    Args:
        space: ``space.yaml`` as plain values.
    """
    return [_row(name, dict(entry)) for name, entry in (space.get("search") or {}).items()]


def search_space_table(space: Mapping[str, Any], trials: int) -> str:
    """Return the space as a LaTeX table.

    Args:
        space: ``space.yaml`` as plain values.
        trials: Trials that were begun.
    """
    objective = (space.get("objective") or {}).get("metric") or "the task's primary metric"
    caption = (
        f"Search space of study {space['name']}: {trials} trials, sampler {_sampler(space)}, "
        f"chosen by {objective} on the validation split, protocol {space.get('protocol')}."
    )
    return latex_table(search_space_rows(space), caption, f"tab:{space['name']}-space")


def _sampler(space: Mapping[str, Any]) -> str:
    sampler = space.get("sampler") or {}
    return f"{sampler.get('name')} with seed {sampler.get('seed')}"


def _row(name: str, entry: dict[str, Any]) -> Row:
    choices, step, when = entry.get("choices"), entry.get("step"), entry.get("when") or {}
    if choices:
        values, scale = ", ".join(str(choice) for choice in choices), NONE
    else:
        values = f"{entry.get('low')} to {entry.get('high')}"
        scale = "logarithmic" if entry.get("log") else "linear"
    steps = f" in steps of {step}" if step else ""
    only = "; ".join(f"{key} is {' or '.join(map(str, told))}" for key, told in when.items())
    return {
        "setting": name,
        "type": str(entry.get("type")),
        "values": f"{values}{steps}",
        "scale": scale,
        "only where": only or NONE,
    }
