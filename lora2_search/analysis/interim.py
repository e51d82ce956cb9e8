"""Interim analyses of a sequential suite: what its seeds decide so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .comparison import Analysis, analyse_tasks


@dataclass(frozen=True)
class Decision:
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
class InterimAnalysis:
    """What the seeds that there are decide.

    Attributes:
        seeds: How many they are.
        by_comparison: Its decision, of the comparisons of every task.
    """

    seeds: int
    by_comparison: Mapping[str, Decision]

    @property
    def decisions(self) -> dict[str, str]:
        """The decision by comparison."""
        return {name: item.decision for name, item in self.by_comparison.items()}

    def lines(self) -> list[str]:
        """Return the interim analysis as text: one line per comparison."""
        details = [f"  {name}: {item}" for name, item in self.by_comparison.items()]
        return [f"interim analysis at {self.seeds} seeds:", *details]

    def metrics(self) -> dict[str, float]:
        """Return the look as numbers for a chart: seeds, and p by comparison."""
        decided = sum(item.decision != "undecided" for item in self.by_comparison.values())
        p_values = {f"look/p {name}": item.p for name, item in self.by_comparison.items()}
        values = {"look/seeds": self.seeds, "look/decided": decided} | p_values
        return {key: float(value) for key, value in values.items() if value is not None}


def interim_analysis(folder: Path) -> InterimAnalysis:
    """Look at a suite, by the same numbers as its report: looks before this one are counted in.

    Raises:
        UserError: The folder holds no suite.
    """
    analyses = analyse_tasks(folder)
    by_comparison: dict[str, Decision] = {}
    for task, analysis in analyses.items():
        prefix = f"{task}: " if task else ""
        by_comparison |= {prefix + name: item for name, item in _decisions(analysis)}
    return InterimAnalysis(len(next(iter(analyses.values())).suite.seeds), by_comparison)


def _decisions(analysis: Analysis) -> Iterator[tuple[str, Decision]]:
    # A claim of equality is the same in both directions.
    equal = {
        frozenset((item.claim.arm, item.claim.reference)): item for item in analysis.equivalence
    }
    # Arms that have learnt nothing are alike; more seeds may show yet that the base has learnt.
    gives_verdicts = analysis.gives_verdicts
    for item in analysis.family:
        claim = equal.pop(frozenset(item.weights), None)
        decision = "undecided"
        if gives_verdicts and item.differs:
            decision = "different"
        elif gives_verdicts and claim is not None and claim.shown:
            decision = "equivalent"
        yield item.name, Decision(decision, item.paired.estimate, item.paired_holm)
    for claim in equal.values():
        decision = "equivalent" if gives_verdicts and claim.shown else "undecided"
        yield claim.name, Decision(decision, claim.paired.estimate, claim.on_this_set_holm)
