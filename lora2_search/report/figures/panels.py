"""The figures of one task of a suite, each with what it shows, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping

from ...analysis import (
    Evidence,
    MeanRanks,
    SuiteRuns,
    bands,
    costs,
    effects,
    geometry_keys,
    interactions,
    mean_ranks,
    pruned_arms,
)
from ...stats import expected_best
from ..words.served import no_loras
from .panel import Panel
from .suite import (
    draw_bands,
    draw_costs,
    draw_expected_best,
    draw_forest,
    draw_interaction,
    draw_ranks,
)

FEWEST_TRIALS = 2


def suite_panels(evidence: Evidence) -> list[Panel]:
    """Return the figures that stand alone: effects, curves, ranks, cost, tuning."""
    panels = [_forest(evidence), _curves(evidence), _ranks(evidence), _costs(evidence)]
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
            draw_interaction(item, metric),
        )
        for item in pairs
    ]


def geometry_panels(evidence: Evidence) -> list[Panel]:
    """Return one small figure for every geometry metric that the runs recorded."""
    suite = evidence.analysis.suite
    return [Panel(key, "", draw_bands(bands(suite, key), key)) for key in geometry_keys(suite)]


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
    scores = evidence.tuning.trial_scores(evidence.analysis.suite.metric)
    return {arm: expected_best(v) for arm, v in scores.items() if len(v) >= FEWEST_TRIALS}


def _forest(evidence: Evidence) -> Panel:
    title, shown = "Effects", effects(evidence.analysis)
    if not shown:
        return Panel(title, "No comparison has an interval yet: that takes two seeds of both arms.")
    text = (
        "Mean difference over seeds on this test set, 95 % interval (not corrected); orange where "
        "the test says that it differs, after Holm's correction."
    )
    if any(item.margin is not None for item in shown):
        text += " Green bands: the margins within which two arms were to count as equal."
    if not evidence.analysis.gives_verdicts:
        text += " The base is not shown to be trained enough, so no effect here is a verdict."
    return Panel(title, text, draw_forest(shown, evidence.analysis.suite.metric))


def _curves(evidence: Evidence) -> Panel:
    suite = evidence.analysis.suite
    by_arm = bands(suite, f"validation/{suite.metric}")
    title = "Learning curves"
    if not by_arm:
        return Panel(title, "No complete run was evaluated on the way.")
    text = (
        f"Validation {suite.metric}: mean over the complete runs of an arm, and the range from the "
        "lowest to the highest of them. Click a name to hide it."
    )
    return Panel(title, text, draw_bands(by_arm, f"validation {suite.metric}"))


def _ranks(evidence: Evidence) -> Panel:
    patterns, highest = pattern_of_arms(evidence.analysis.suite)
    if not patterns:
        return Panel("Rank patterns", "No complete run was pruned.")
    text = "Mean kept rank over the complete runs, by block and kind of module."
    return Panel("Rank patterns", text, draw_ranks(patterns, highest))


def _costs(evidence: Evidence) -> Panel:
    title, points = "Score against compressed parameters", costs(evidence.analysis)
    if not points:
        return Panel(title, "No arm with an adapter has a complete run.")
    text = (
        "Compressed to a plain LoRA of the kept rank: what would be served, not what was trained. "
        "Mean test score and its 95 % interval over seeds."
    )
    if line := no_loras(evidence.analysis.suite.runs):
        text += f" {line}"
    return Panel(title, text, draw_costs(points, evidence.analysis.suite.metric))


def _tuning(evidence: Evidence) -> Panel:
    title, curves = "Expected best score against trials", trials_of_arms(evidence)
    if not curves:
        return Panel(title, "Fewer than two tuning trials of an arm have ended.")
    text = (
        "What a smaller search would have found on average (Dodge et al. 2019), on the validation "
        "split that tuning chose by."
    )
    return Panel(title, text, draw_expected_best(curves, evidence.analysis.suite.metric))
