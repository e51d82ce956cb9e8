"""Seeds as they are written: how many, or which."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from ..config import MOST_SEED

# Of one suite; more is a slip of the hand.
MOST_SEEDS = 10_000


def _some_seeds(seeds: int | list[int]) -> int | list[int]:
    if isinstance(seeds, int):
        if not 1 <= seeds <= MOST_SEEDS:
            raise ValueError(
                f"must be a count (1, 2 ... {MOST_SEEDS:,}) or a list of seeds, got {seeds}"
            )
    elif not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ValueError(f"must list different seeds of 0 or more, at least one, got {seeds}")
    elif max(seeds) > MOST_SEED:
        raise ValueError(f"must list seeds of at most {MOST_SEED}, got {max(seeds)}")
    return seeds


Seeds = Annotated[int | list[int], AfterValidator(_some_seeds)]


def listed(seeds: int | list[int], first: int) -> list[int]:
    """Return the seeds one by one; a count is counted from ``first``."""
    return list(range(first, first + seeds)) if isinstance(seeds, int) else seeds
