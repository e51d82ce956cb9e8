"""Nested settings as dotted ones, as `--set` writes them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from .config import RunConfig, setting_names


@cache
def known_settings() -> tuple[str, ...]:
    """Return the dotted names of all settings of a run."""
    return tuple(setting_names(RunConfig))


def dotted(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as dotted ones: ``{"adapter": {"k": 4}}`` is ``adapter.k: 4``.

    A setting that is a mapping itself (``adapter.rank_pattern``) stays one.
    """
    result: dict[str, Any] = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        inner = isinstance(value, dict) and name not in known_settings()
        result |= dotted(value, f"{name}.") if inner else {name: value}
    return result
