"""Small spaces for tests."""

from __future__ import annotations

from typing import Any

from lora2_search.config.space.schema import Space, validate_space
from lora2_search.config.yaml import Source

K = {"adapter.k": {"type": "int", "low": 1, "high": 16}}


def written(**changes: Any) -> dict[str, Any]:
    space = {"name": "tiny", "task": "sentiment", "search": K, "trials": 4}
    return {key: value for key, value in {**space, **changes}.items() if value is not None}


def space_of(**changes: Any) -> Space:
    return validate_space(Source(written(**changes)))
