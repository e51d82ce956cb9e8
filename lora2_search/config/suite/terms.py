"""What a suite compares, and on what terms: seeds, margins, interim analyses, tuning."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator, model_validator

from ..run import MOST_SEED
from ..schema import Section
from ..settings import Settings

BASE = "base"

FLOOR = "head-only"

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


class Equivalence(Section):
    """Two arms that may prove to be the same: within ``margin`` of the metric, as a share.

    ``stricter`` is a smaller margin whose test stands beside that of ``margin``, not corrected.
    """

    arm: str
    reference: str = BASE
    margin: float = Field(description="in units of the metric: 0.02 is two points of 100")
    stricter: float | None = None

    @field_validator("margin", "stricter")
    @classmethod
    def _share(cls, margin: float | None) -> float | None:
        if margin is not None and not 0 < margin < 1:
            raise ValueError(
                f"must be a fraction between 0 and 1 (0.02 is two points), got {margin:g}"
            )
        return margin

    @model_validator(mode="after")
    def _ordered(self) -> Equivalence:
        if self.stricter is not None and self.stricter >= self.margin:
            raise ValueError(
                f"`stricter` must be less than `margin`, but got stricter={self.stricter:g}, "
                f"margin={self.margin:g}"
            )
        return self


class Sequential(Section):
    """When ``ablate --until-decided`` looks: after ``first`` seeds, then after ``every`` more."""

    first: int = Field(4, ge=2)
    every: int = Field(2, ge=1)
    most: int = Field(20, ge=2, le=MOST_SEEDS)

    @property
    def looks(self) -> tuple[int, ...]:
        """Seeds at each look: first, first + every, ... and most."""
        return (*range(self.first, self.most, self.every), self.most)

    @model_validator(mode="after")
    def _check(self) -> Sequential:
        if self.most < self.first:
            raise ValueError(
                f"`most` must be at least `first`, but got first={self.first}, most={self.most}"
            )
        return self


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
            given the same number of trials to begin with, unless ``unequal``; ``extend`` adds some.
        seeds: How many, counted from 1000, or a list; none of the suite's.
        total: Trials of each arm in all: what its grid and ``extend`` leave over refines around its
            best trial (``ablation.tuning``). ``None`` leaves it at the grid.
        unequal: Arms may be given different numbers of trials; the report says which had how many.
        extend: How often the end of a grid may move on, by dotted setting: where the best trial
            stands at the end and beats its inner neighbour by more than one standard error of
            their paired difference over the tuning seeds, the next value in the same ratio is tried
            (``ablation.tuning``).
        extended: The trials that were added so, by arm; written by the suite, never in a file.
    """

    arms: dict[str, Annotated[dict[str, Values], Field(min_length=1)]] = Field(min_length=1)
    seeds: Seeds = 2
    total: int | None = Field(None, ge=2, le=_MOST_TRIALS)
    unequal: bool = False
    extend: dict[str, Annotated[int, Field(ge=1, le=10)]] = {}
    extended: dict[str, list[Settings]] = {}

    @model_validator(mode="after")
    def _check(self) -> Tuning:
        counts = {arm: math.prod(map(len, grid.values())) for arm, grid in self.arms.items()}
        if max(counts.values()) > _MOST_TRIALS:
            raise ValueError(
                f"a grid has at most {_MOST_TRIALS} trials, but got {max(counts.values()):,}"
            )
        largest = max(counts, key=lambda arm: counts[arm])
        if self.total is not None and counts[largest] > self.total:
            raise ValueError(
                f"`total` must be at least the trials of the largest grid, but got "
                f"total={self.total}, {largest} {counts[largest]}"
            )
        if len(set(counts.values())) > 1 and not self.unequal and self.total is None:
            given = ", ".join(f"{arm} {count}" for arm, count in counts.items())
            raise ValueError(
                f"every arm must get the same number of trials, but got {given}; set "
                "`total` beside `arms` for the same number of each, or `unequal: true` if that "
                "is intended"
            )
        for setting in self.extend:
            grids = [grid[setting] for grid in self.arms.values() if setting in grid]
            if not grids:
                raise ValueError(f"extend names {setting}, which no arm is tuned over")
            if not all(is_number(value) and value > 0 for grid in grids for value in grid):
                raise ValueError(
                    f"extend moves on by the ratio of the last two values, so {setting} must list "
                    f"numbers above 0, but got {grids}"
                )
        return self

    @property
    def seed_list(self) -> list[int]:
        """The seeds one by one."""
        return listed(self.seeds, FIRST_SEED)

    def trials(self, arm: str) -> list[Settings]:
        """Return the settings of each trial of an arm; none for one that is not tuned."""
        return trials_of(self.arms.get(arm, {})) + self.extended.get(arm, [])

    @property
    def left_over(self) -> int:
        """Trials of all arms that ``total`` promises beyond those known so far."""
        return sum(max(0, (self.total or 0) - len(self.trials(arm))) for arm in self.arms)

    def with_trials(self, further: Mapping[str, Settings]) -> Tuning:
        """Return the tuning with one more trial of each arm named."""
        extended = {
            arm: [*self.extended.get(arm, []), *([further[arm]] if arm in further else [])]
            for arm in (*self.extended, *further)
        }
        return self.model_copy(update={"extended": extended})


def is_number(value: Any) -> bool:
    """Whether a value of a grid has an order: a number, which ``true`` is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def trials_of(grid: Mapping[str, list[Any]]) -> list[Settings]:
    """Return every combination of the values of a grid, the last setting running fastest."""
    if not grid:
        return []
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
