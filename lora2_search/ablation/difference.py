"""What makes one run another: the settings in which two configurations differ."""

from __future__ import annotations

from typing import Any

from ..config import RunConfig
from ..dotted import dotted

Difference = dict[str, tuple[Any, Any]]


def difference(before: RunConfig, after: RunConfig) -> Difference:
    """Return every setting that differs, dotted, with its value before and after.

    Of the resolved configurations, so defaults that a setting brings along are in it.
    """
    old, new = (dotted(config.model_dump(mode="json")) for config in (before, after))
    return {key: (old[key], new[key]) for key in old if old[key] != new[key]}
