"""Every effect of a suite with its interval: the numbers of a forest plot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .comparison import Analysis
from .statistics import Paired, rejects

Kind = Literal["named", "equality", "floor"]


@dataclass(frozen=True)
class Effect:
    """A mean difference over seeds on this test set.

    Attributes:
        name: The comparison or contrast.
        kind: Named before the run and corrected; a claim of equality alone; or the floor check.
        mean: Mean difference, in units of the metric.
        low: Lower end of its 95 % interval, not corrected for the size of the family.
        high: Upper end of it.
        differs: Whether the test says so, after correction over the family; never, but for the
            floor check, in a suite that is not known to be trained enough.
        margin: The margin of equality that was named for it.
        n: Seeds.
    """

    name: str
    kind: Kind
    mean: float
    low: float
    high: float
    differs: bool
    margin: float | None
    n: int


def effects(analysis: Analysis) -> list[Effect]:
    """Return the effects in the order of the suite, the floor check last.

    What has no interval (one seed, no variation, nothing finished) is left out.
    """
    margins = {item.name: item.claim.margin for item in analysis.equivalence}
    found: dict[str, Effect] = {}
    for item in analysis.family:
        p = item.paired_holm if analysis.told and not item.unlearnt else None
        found |= _effect(item.name, "named", item.paired, p, margins)
    for claim in analysis.equivalence:
        if claim.name not in found:
            found |= _effect(claim.name, "equality", claim.paired, None, margins)
    floor = analysis.floor
    if floor is not None:
        found |= _effect(floor.name, "floor", floor.paired, floor.paired.p, {})
    return list(found.values())


def _effect(
    name: str, kind: Kind, test: Paired, p: float | None, margins: Mapping[str, float]
) -> dict[str, Effect]:
    if test.mean is None or test.low is None or test.high is None:
        return {}
    margin = margins.get(name)
    return {name: Effect(name, kind, test.mean, test.low, test.high, rejects(p), margin, test.n)}
