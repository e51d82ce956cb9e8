"""Seeds as they are written: how many, or which."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from ..config import MOST_SEED


def _some_seeds(seeds: int | list[int]) -> int | list[int]:
    if isinstance(seeds, int):
        if seeds < 1:
            raise ValueError(f"must be a count (1, 2 ...) or a list of seeds, got {seeds}")
    elif not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ValueError(f"must list different seeds of 0 or more, at least one, got {seeds}")
    elif max(seeds) > MOST_SEED:
        raise ValueError(f"must list seeds of at most {MOST_SEED}, got {max(seeds)}")
    return seeds


Seeds = Annotated[int | list[int], AfterValidator(_some_seeds)]


def listed(seeds: int | list[int], first: int) -> list[int]:
    """Return the seeds one by one; a count is counted from ``first``."""
    return list(range(first, first + seeds)) if isinstance(seeds, int) else seeds
