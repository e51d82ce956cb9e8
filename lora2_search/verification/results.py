"""What the parts of a verification measured, by arm, probe and seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .plan import Plan


@dataclass(frozen=True)
class Results:
    """Everything measured.

    Attributes:
        plan: What was asked for.
        parts: Results by arm and seed.
    """

    plan: Plan
    parts: Mapping[tuple[str, int], Mapping[str, Any]]

    def of(self, arm: str, probe: str) -> dict[int, Any]:
        """Return a probe's results by seed; runs that diverged have none."""
        return {
            seed: found[probe]
            for (name, seed), found in sorted(self.parts.items())
            if name == arm and probe in found
        }

    def diverged(self, *arms: str) -> dict[str, str]:
        """Return why runs of some arms have no results, by ``arm, seed n``."""
        return {
            f"{arm}, seed {seed}": found["diverged"]
            for (arm, seed), found in sorted(self.parts.items())
            if arm in arms and "diverged" in found
        }

    def scores(self, arm: str) -> dict[int, float]:
        """Return test scores by seed; a diverged run counts as the commonest answer's score."""
        return {
            seed: found["score"]["score"] if "score" in found else found["majority"]
            for (name, seed), found in sorted(self.parts.items())
            if name == arm and ("score" in found or "diverged" in found)
        }


def read_results(plan: Plan, folder: Path) -> Results:
    """Return what a verification's folder holds of a plan."""
    found = {(part.arm, part.seed): part.read(folder) for part in plan.parts()}
    return Results(plan, {key: value for key, value in found.items() if value is not None})
