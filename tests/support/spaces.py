"""Small spaces for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lora2_search.config.space.schema import Space, validate_space
from lora2_search.config.yaml import Source
from lora2_search.errors import ConfigError

K = {"adapter.k": {"type": "int", "low": 1, "high": 16}}


def written(**changes: Any) -> dict[str, Any]:
    space = {"name": "tiny", "task": "sentiment", "search": K, "trials": 4}
    return {key: value for key, value in {**space, **changes}.items() if value is not None}


def refusals(make: Callable[..., Space], **changes: Any) -> dict[str, str]:
    """Return what is said against a space, by key; it must be refused."""
    with pytest.raises(ConfigError) as caught:
        make(**changes)
    return {problem.key: problem.message for problem in caught.value.problems}


def space_of(**changes: Any) -> Space:
    return validate_space(Source(written(**changes)))
