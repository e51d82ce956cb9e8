"""What the parts of a verification measured, by arm, probe and seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .measurements import Measurements
from .plan import Plan

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Results:
    """Everything measured.

    Attributes:
        plan: What was asked for.
        parts: Measurements by arm and seed.
    """

    plan: Plan
    parts: Mapping[tuple[str, int], Measurements]

    def of(self, arm: str, kind: type[_Result]) -> dict[int, _Result]:
        """Return a probe's results by seed; runs that diverged have none."""
        results = {seed: found.of(kind) for seed, found in self._seeds(arm).items()}
        return {seed: result for seed, result in results.items() if result is not None}

    def diverged(self, *arms: str) -> dict[str, str]:
        """Return why runs of some arms have no results, by ``arm, seed n``."""
        return {
            f"{arm}, seed {seed}": found.diverged
            for arm in sorted(arms)
            for seed, found in self._seeds(arm).items()
            if found.diverged is not None
        }

    def scores(self, arm: str) -> dict[int, float]:
        """Return test scores by seed.

        A diverged run counts as the commonest answer's score; of a language model, as 0.
        """
        scores = {
            seed: self._counted(found) if found.score is None else found.score.score
            for seed, found in self._seeds(arm).items()
        }
        return {seed: score for seed, score in scores.items() if score is not None}

    def _counted(self, found: Measurements) -> float | None:
        if found.diverged is not None and self.plan.config.is_language:
            return 0.0
        return found.majority

    def _seeds(self, arm: str) -> dict[int, Measurements]:
        return {seed: found for (name, seed), found in sorted(self.parts.items()) if name == arm}


def read_results(plan: Plan, folder: Path) -> Results:
    """Return what a verification's folder holds of a plan."""
    found = {(part.arm, part.seed): part.read(folder) for part in plan.parts()}
    return Results(plan, {key: value for key, value in found.items() if value is not None})
