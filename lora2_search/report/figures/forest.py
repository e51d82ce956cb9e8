"""The forest of a suite: every comparison in a row, its effect, its interval and a word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...analysis import Analysis, Comparison, Equality
from ...stats import Paired
from ..tables.text import differences, signed
from .axes import Scale, linear

Tone = Literal["differs", "same", "open", "none"]


@dataclass(frozen=True)
class ForestRow:
    """One comparison.

    Attributes:
        name: What is compared.
        marks: What must be known of it at first sight: the floor, an untuned arm.
        effect: Mean difference in units of the metric; ``None`` where there is none.
        low: Lower end of its 95 % interval, not corrected; ``None`` where there is none.
        high: Upper end of it.
        margin: The margin of equality that was named for it.
        text: Effect and interval as text, without their unit.
        word: What the corrected tests say.
        tone: How it is coloured: it differs, is shown to be the same, neither, or is not told.
        seeds: How many seeds both arms have.
    """

    name: str
    marks: tuple[str, ...]
    effect: float | None
    low: float | None
    high: float | None
    margin: float | None
    text: str
    word: str
    tone: Tone
    seeds: int


@dataclass(frozen=True)
class Forest:
    """Rows on one axis.

    Attributes:
        rows: In the order of the suite, the floor check last.
        scale: The axis; the floor's effect, often the largest by far, may lie beyond it.
        metric: What differs.
    """

    rows: tuple[ForestRow, ...]
    scale: Scale
    metric: str

    def tick(self, value: float) -> str:
        """Return a tick as text, without its unit."""
        return f"{value * (100 if self._points else 1):+.4g}" if value else "0"

    @property
    def unit(self) -> str:
        """Return what the axis is in."""
        return "points" if self._points else self.metric

    @property
    def _points(self) -> bool:
        return bool(differences("", "", self.metric).unit)


def forest(analysis: Analysis) -> Forest:
    """Return every comparison, contrast and claim of a suite, and its floor check."""
    claims = {item.name: item for item in analysis.equivalence}
    rows = [_row(item, analysis, claims.pop(item.name, None)) for item in analysis.family]
    rows += [_claim(item, analysis) for item in claims.values()]
    # With the floor on it, the axis would be as long as the way from the head alone to the base.
    shown = rows or ([_floor(analysis.floor, analysis)] if analysis.floor else [])
    ends = [end for row in shown for end in (row.low, row.effect, row.high) if end is not None]
    ends += [end for row in shown if row.margin for end in (-row.margin, row.margin)]
    if analysis.floor is not None:
        rows.append(_floor(analysis.floor, analysis))
    return Forest(tuple(rows), linear([0.0, *ends]), analysis.suite.metric)


def _row(item: Comparison, analysis: Analysis, claim: Equality | None) -> ForestRow:
    untuned = [arm.name for arm in analysis.arms if arm.untuned is not None]
    marks = [f"{name} untuned" for name in untuned if item.weights.get(name)]
    margin = claim.claim.margin if claim else None
    return _made(item.name, item.paired, _verdict(item, analysis, claim), analysis, marks, margin)


def _verdict(item: Comparison, analysis: Analysis, claim: Equality | None) -> tuple[str, Tone]:
    if item.paired.p is None:
        return "cannot be tested", "none"
    if not analysis.gives_verdicts:
        return "no verdict", "none"
    if item.unlearnt:
        return f"no verdict: {' and '.join(item.unlearnt)} learnt nothing", "none"
    if item.differs:
        word = "higher" if (item.paired.estimate or 0.0) > 0 else "lower"
        word = word if item.arm else "differs from 0"
        within = (
            f", {_same(claim, analysis).removeprefix('same ')}" if claim and claim.shown else ""
        )
        return f"{word}{within}", "differs"
    if claim is not None and claim.shown:
        return _same(claim, analysis), "same"
    return "not shown to differ", "open"


def _claim(item: Equality, analysis: Analysis) -> ForestRow:
    verdict: tuple[str, Tone] = ("not shown to be same", "open")
    if not analysis.gives_verdicts or item.unlearnt:
        verdict = ("no verdict", "none")
    elif item.shown:
        verdict = (_same(item, analysis), "same")
    return _made(item.name, item.paired, verdict, analysis, (), item.claim.margin)


def _floor(item: Comparison, analysis: Analysis) -> ForestRow:
    verdict: tuple[str, Tone] = ("trained enough", "differs")
    if not analysis.trained:
        verdict = ("not shown to be trained enough", "open")
    return _made(item.name, item.paired, verdict, analysis, ("floor",))


def _made(
    name: str,
    test: Paired,
    verdict: tuple[str, Tone],
    analysis: Analysis,
    marks: Sequence[str],
    margin: float | None = None,
) -> ForestRow:
    shown = differences("", "", analysis.suite.metric).format
    text = shown(test.estimate)
    if test.low is not None and test.high is not None:
        text += f" ({shown(test.low)} to {shown(test.high)})"
    ends = (test.estimate, test.low, test.high)
    return ForestRow(name, tuple(marks), *ends, margin, text, *verdict, test.n)


def _same(item: Equality, analysis: Analysis) -> str:
    margin = signed(item.claim.margin, analysis.suite.metric).removeprefix("+")
    return f"same within ±{margin.removesuffix(' points')}"
