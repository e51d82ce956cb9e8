"""Settings that arms are given by a search of their own before they are compared."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from ..config import Section
from .seeds import Seeds, listed

# Far from the seeds of any suite, also when more are added later.
FIRST_SEED = 1000
_MOST_TRIALS = 500


def _values(values: list[Any]) -> list[Any]:
    if len(values) < 2 or len({repr(value) for value in values}) < len(values):
        raise ValueError(f"must list at least two different values, got {values}")
    return values


Values = Annotated[list[Any], AfterValidator(_values)]


class Tuning(Section):
    """A grid for each arm, run with seeds of its own and judged on the validation split.

    Attributes:
        arms: The values of each setting that is searched, by arm and dotted setting. Every arm is
            given the same number of trials.
        seeds: How many, counted from 1000, or a list; none of the suite's.
    """

    arms: dict[str, Annotated[dict[str, Values], Field(min_length=1)]] = Field(min_length=1)
    seeds: Seeds = 2

    @field_validator("arms")
    @classmethod
    def _equal(cls, arms: dict[str, dict[str, Values]]) -> dict[str, dict[str, Values]]:
        counts = {arm: math.prod(map(len, grid.values())) for arm, grid in arms.items()}
        if max(counts.values()) > _MOST_TRIALS:
            raise ValueError(
                f"a grid has at most {_MOST_TRIALS} trials, but got {max(counts.values()):,}"
            )
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{arm} {count}" for arm, count in counts.items())
            raise ValueError(f"every arm must get the same number of trials, but got {told}")
        return arms

    @property
    def seed_list(self) -> list[int]:
        """The seeds one by one."""
        return listed(self.seeds, FIRST_SEED)

    def trials(self, arm: str) -> list[dict[str, Any]]:
        """Return the settings of each trial of an arm; none for one that is not tuned."""
        return trials_of(self.arms.get(arm, {}))


def trials_of(grid: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Return every combination of the values of a grid, the last setting running fastest."""
    if not grid:
        return []
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
