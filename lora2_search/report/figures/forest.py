"""The forest of a suite: every comparison in a row, its effect, its interval and a word."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ...analysis import Analysis, Comparison, Equality, effect_of
from ...stats import Paired, rejects
from ..tables.text import differences, in_points, p_value, signed
from .axes import Scale, linear

Tone = Literal["differs", "same", "open", "floor", "none"]


@dataclass(frozen=True)
class ForestRow:
    """One comparison.

    Attributes:
        name: What is compared.
        against: What an effect of one factor is against, where the name does not say it.
        marks: What must be known of it at first sight: the floor, an untuned arm, a test that
            disagrees.
        effect: Mean difference in units of the metric; ``None`` where there is none.
        low: Lower end of its 95 % interval, not corrected; ``None`` where there is none.
        high: Upper end of it.
        margin: The margin of equality that was named for it.
        text: Effect and interval as text, without their unit.
        p: The p of a difference as text, Holm's but for the floor; empty where there is none.
        word: What the corrected tests say.
        tone: How it is coloured: it differs, is shown to be the same, neither, is the floor, or
            is not told.
    """

    name: str
    against: str
    marks: tuple[str, ...]
    effect: float | None
    low: float | None
    high: float | None
    margin: float | None
    text: str
    p: str
    word: str
    tone: Tone


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
        return in_points(self.metric)


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
    marks += ["sign-flip disagrees"] if item.sign_flip_disagrees else []
    row = _made(item.name, item.paired, item.paired_holm, _verdict(item, analysis, claim), analysis)
    margin = claim.claim.margin if claim else None
    return replace(row, against=_against(item, analysis), marks=tuple(marks), margin=margin)


def _against(item: Comparison, analysis: Analysis) -> str:
    """Return what an effect of one factor is against; an arm's name says it itself."""
    effect = None if item.arm else effect_of(item.weights, analysis.suite)
    if effect is None or len(effect.factors) > 1:
        return ""
    over = f", averaged over {' and '.join(effect.others)}" if effect.others else ""
    return f"against {effect.bases[0]}{over}"


def _verdict(item: Comparison, analysis: Analysis, claim: Equality | None) -> tuple[str, Tone]:
    if item.paired.p is None:
        return "cannot be tested", "none"
    if not analysis.gives_verdicts:
        return "no verdict", "none"
    if item.unlearnt:
        return f"no verdict: {' and '.join(item.unlearnt)} learnt nothing", "none"
    if item.differs:
        word = "higher" if (item.paired.estimate or 0.0) > 0 else "lower"
        within = (
            f", {_same(claim, analysis).removeprefix('same ')}" if claim and claim.shown else ""
        )
        return f"{word}{within}", "differs"
    if claim is not None and claim.shown:
        return _same(claim, analysis), "same"
    if rejects(item.paired.p):
        return "not shown to differ once corrected", "open"
    return "not shown to differ", "open"


def _claim(item: Equality, analysis: Analysis) -> ForestRow:
    verdict: tuple[str, Tone] = ("not shown to be same", "open")
    if not analysis.gives_verdicts or item.unlearnt:
        verdict = ("no verdict", "none")
    elif item.shown:
        verdict = (_same(item, analysis), "same")
    row = _made(item.name, item.paired, None, verdict, analysis)
    return replace(row, margin=item.claim.margin)


def _floor(item: Comparison, analysis: Analysis) -> ForestRow:
    verdict: tuple[str, Tone] = ("trained enough", "floor")
    if not analysis.trained:
        verdict = ("not shown to be trained enough", "open")
    row = _made(item.name, item.paired, item.paired.p, verdict, analysis)
    return replace(row, marks=("floor",))


def _made(
    name: str, test: Paired, p: float | None, verdict: tuple[str, Tone], analysis: Analysis
) -> ForestRow:
    shown = differences("", "", analysis.suite.metric).format
    text = shown(test.estimate)
    if test.low is not None and test.high is not None:
        text += f" ({shown(test.low)} to {shown(test.high)})"
    ends = (test.estimate, test.low, test.high)
    told = "" if p is None else p_value(p)
    return ForestRow(name, "", (), *ends, None, text, told, *verdict)


def _same(item: Equality, analysis: Analysis) -> str:
    margin = signed(item.claim.margin, analysis.suite.metric).removeprefix("+")
    return f"same within ±{margin.removesuffix(' points')}"
