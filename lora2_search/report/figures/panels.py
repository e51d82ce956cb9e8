"""The figures of one task of a suite, each with what it shows, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...analysis import (
    Band,
    Cost,
    Evidence,
    Interaction,
    MeanRanks,
    SuiteRuns,
    bands,
    costs,
    geometry_keys,
    interactions,
    mean_ranks,
    pruned_arms,
)
from ...stats import expected_best
from ..tables.table import Column, Table, text_column
from ..tables.text import between, counts, scores
from ..words.served import no_loras
from .panel import Panel, drawn_keys
from .suite import arm_keys, draw_bands, draw_costs, draw_expected_best, draw_interaction

FEWEST_TRIALS = 2


def suite_panels(evidence: Evidence) -> list[Panel]:
    """Return the figures that stand alone: cost, curves, tuning."""
    panels = [_costs(evidence), _curves(evidence)]
    return panels + ([_tuning(evidence)] if evidence.tuning.runs else [])


def interaction_panels(evidence: Evidence) -> list[Panel]:
    """Return one small figure for every two factors of a block; none without a design."""
    metric = evidence.analysis.suite.metric
    pairs = interactions(evidence.analysis)
    several = len({item.block for item in pairs}) > 1
    return [
        Panel(
            f"{f'{item.block}: ' if several else ''}{item.first} × {item.second}",
            "",
            drawn,
            _cells(item, metric),
            drawn_keys(drawn),
        )
        for item in pairs
        for drawn in (draw_interaction(item, metric),)
    ]


def geometry_panels(evidence: Evidence) -> list[Panel]:
    """Return one small figure for every geometry metric that the runs recorded."""
    suite = evidence.analysis.suite
    arms = list(suite.arms)
    found = {key: bands(suite, key) for key in geometry_keys(suite)}
    drawn = {key: draw_bands(own, key, None, arms) for key, own in found.items()}
    # Named in the suite's order, also by the panels that lack an arm.
    keys = arm_keys(arms, *drawn.values())
    return [Panel(key, "", drawn[key], _band_table(own, None), keys) for key, own in found.items()]


def pattern_of_arms(suite: SuiteRuns) -> tuple[dict[str, MeanRanks], int]:
    """Return the mean kept ranks of every pruned arm, and the rank that they started from."""
    patterns = {arm: mean_ranks(records) for arm, records in pruned_arms(suite).items()}
    known = {arm: ranks for arm, ranks in patterns.items() if ranks is not None}
    highest = [rank for item in known.values() for row in item.ranks for rank in row if rank]
    started = [
        int((run.record.config.get("adapter") or {}).get("r") or 0) for run in suite.runs.values()
    ]
    return known, int(max([*started, *highest], default=1)) or 1


def trials_of_arms(evidence: Evidence) -> Mapping[str, list[float]]:
    """Return the expected best validation score against trials of every tuned arm."""
    found = evidence.tuning.trial_scores(evidence.analysis.suite.metric)
    return {arm: expected_best(v) for arm, v in found.items() if len(v) >= FEWEST_TRIALS}


def _curves(evidence: Evidence) -> Panel:
    suite = evidence.analysis.suite
    key = f"validation/{suite.metric}"
    by_arm = bands(suite, key)
    title = "Learning curves"
    if not by_arm:
        return Panel(title, "No complete run was evaluated on the way.")
    text = (
        f"Validation {suite.metric}: mean over the complete runs of an arm, and the range from the "
        "lowest to the highest of them. A name above the figure hides its arm."
    )
    arms = list(suite.arms)
    drawn = draw_bands(by_arm, f"validation {suite.metric}", suite.metric, arms)
    return Panel(title, text, drawn, _band_table(by_arm, suite.metric), arm_keys(arms, drawn))


def _costs(evidence: Evidence) -> Panel:
    title, points = "Score against served weights", costs(evidence.analysis)
    if not points:
        return Panel(title, "No arm with an adapter has a complete run.")
    text = (
        "Served weights: the adapter compressed to a plain LoRA of the kept rank, not what was "
        "trained. Mean test score and its 95 % interval over seeds."
    )
    if line := no_loras(evidence.analysis.suite.runs):
        text += f" {line}"
    suite = evidence.analysis.suite
    arms, metric = list(suite.arms), suite.metric
    drawn = draw_costs(points, metric, arms)
    return Panel(title, text, drawn, _cost_table(points, metric), arm_keys(arms, drawn))


def _tuning(evidence: Evidence) -> Panel:
    title, curves = "Expected best score against trials", trials_of_arms(evidence)
    if not curves:
        return Panel(title, "Fewer than two tuning trials of an arm have ended.")
    text = (
        "What a smaller search would have found on average (Dodge et al. 2019), on the validation "
        "split that tuning chose by."
    )
    suite = evidence.analysis.suite
    arms, metric = list(suite.arms), suite.metric
    drawn = draw_expected_best(curves, metric, arms)
    return Panel(title, text, drawn, _trials(curves, metric), arm_keys(arms, drawn))


def _band_table(found: Sequence[Band], metric: str | None) -> Table:
    """Return the means of every arm at every step; those of no score in four digits."""
    plain = Column("", "", format=lambda value: "–" if value is None else f"{value:.4g}")
    form = plain if metric is None else scores("", "", metric)
    columns = (
        Column("step", "optimiser step"),
        *(replace(form, key=f"arm.{band.arm}", heading=band.arm) for band in found),
    )
    steps = sorted({step for band in found for step in band.steps})
    by_arm = {band.arm: dict(zip(band.steps, band.mean, strict=True)) for band in found}
    rows = (
        {"step": step, **{f"arm.{arm}": means.get(step) for arm, means in by_arm.items()}}
        for step in steps
    )
    return Table(columns, tuple(rows))


def _cost_table(points: Sequence[Cost], metric: str) -> Table:
    shown = scores("", "", metric).format

    def interval(ends: tuple[float, float] | None) -> str:
        return "–" if ends is None else f"{shown(ends[0])} to {shown(ends[1])}"

    columns = (
        text_column("arm"),
        counts("parameters", "adapter parameters, compressed"),
        scores("mean", f"test {metric}", metric),
        replace(scores("interval", "95 % interval", metric), format=interval),
    )
    rows = (
        {
            "arm": item.arm,
            "parameters": item.parameters,
            "mean": item.mean,
            "interval": between(item.low, item.high),
        }
        for item in points
    )
    return Table(columns, tuple(rows))


def _cells(found: Interaction, metric: str) -> Table:
    seconds = found.levels(1)
    columns = (
        text_column("first", found.first),
        *(scores(f"level.{level}", f"{found.second}: {level}", metric) for level in seconds),
    )
    rows = []
    for level in found.levels(0):
        tests = {other: found.cells.get((level, other)) for other in seconds}
        means = {f"level.{other}": test.estimate if test else None for other, test in tests.items()}
        rows.append({"first": level, **means})
    return Table(columns, tuple(rows))


def _trials(curves: Mapping[str, Sequence[float]], metric: str) -> Table:
    longest = max(len(values) for values in curves.values())
    columns = (Column("trials", "trials"), *(scores(f"arm.{arm}", arm, metric) for arm in curves))
    rows = (
        {
            "trials": number + 1,
            **{f"arm.{arm}": own[number] for arm, own in curves.items() if number < len(own)},
        }
        for number in range(longest)
    )
    return Table(columns, tuple(rows))
