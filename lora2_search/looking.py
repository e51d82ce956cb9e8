"""What a look at a suite that runs until it is decided finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .report.comparison import Analysis


@dataclass(frozen=True)
class Seen:
    """One comparison at a look.

    Attributes:
        decision: ``different``, ``equivalent`` or ``undecided``.
        mean: Mean difference over the seeds, ``None`` where no seed has all its runs.
        p: Of no difference (of a difference beyond the margin, where only equality is claimed),
            corrected for all looks and all comparisons; ``None`` where nothing could be tested.
    """

    decision: str
    mean: float | None
    p: float | None

    def __str__(self) -> str:
        mean = "no pair" if self.mean is None else f"mean difference {self.mean:+.4f}"
        p = "" if self.p is None else f", corrected p {self.p:.3g}"
        return f"{self.decision} ({mean}{p})"


@dataclass(frozen=True)
class Look:
    """What the seeds that there are decide.

    Attributes:
        seeds: How many they are.
        seen: By comparison, those of every task.
    """

    seeds: int
    seen: Mapping[str, Seen]

    @property
    def decisions(self) -> dict[str, str]:
        """The decision by comparison."""
        return {name: item.decision for name, item in self.seen.items()}

    def lines(self) -> list[str]:
        """Return the look for people: a line a comparison."""
        told = [f"  {name}: {item}" for name, item in self.seen.items()]
        return [f"look at {self.seeds} seeds:", *told]

    def metrics(self) -> dict[str, float]:
        """Return the look as numbers for a chart: seeds, and p by comparison."""
        decided = sum(item.decision != "undecided" for item in self.seen.values())
        p_values = {f"look/p {name}": item.p for name, item in self.seen.items()}
        values = {"look/seeds": self.seeds, "look/decided": decided} | p_values
        return {key: float(value) for key, value in values.items() if value is not None}


def look(folder: Path) -> Look:
    """Look at a suite, by the same numbers as its report: looks before this one are counted in.

    Raises:
        UserError: The folder holds no suite.
    """
    from .report.comparison import analyse_tasks

    analyses = analyse_tasks(folder)
    seen: dict[str, Seen] = {}
    for task, analysis in analyses.items():
        prefix = f"{task}: " if task else ""
        seen |= {prefix + name: item for name, item in _seen(analysis)}
    return Look(len(next(iter(analyses.values())).suite.seeds), seen)


def _seen(analysis: Analysis) -> Iterator[tuple[str, Seen]]:
    # A claim of equality is the same in both directions.
    equal = {
        frozenset((item.claim.arm, item.claim.reference)): item for item in analysis.equivalence
    }
    # Arms that have learnt nothing are alike; more seeds may show yet that the base has learnt.
    told = analysis.told
    for item in analysis.family:
        claim = equal.pop(frozenset(item.weights), None)
        decision = "undecided"
        if told and item.differs:
            decision = "different"
        elif told and claim is not None and claim.shown:
            decision = "equivalent"
        yield item.name, Seen(decision, item.paired.mean, item.paired_holm)
    for claim in equal.values():
        decision = "equivalent" if told and claim.shown else "undecided"
        yield claim.name, Seen(decision, claim.paired.mean, claim.on_this_set_holm)
