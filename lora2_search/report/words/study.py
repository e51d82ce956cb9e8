"""What must be said beside a study's winner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import yaml

from ...analysis import Edge, Standing, Stop, StudyTable, setting
from ...config.space import Distribution
from ..figures.style import STATE_STYLES
from ..tables.text import interval, level, signed


def edge_line(edge: Edge) -> str:
    """Say that the winner lies at an end of a range, and which wider range to search next."""
    low, high = edge.searched.low, edge.searched.high
    return (
        f"The winner's {edge.setting}, {setting(edge.value)}, is at the {edge.end} end of its "
        f"range ({setting(low)} to {setting(high)}), so a better value may lie beyond. A wider "
        f"range: {edge.setting}: {_flow(edge.wider)}"
    )


def _flow(item: Distribution) -> str:
    """Return a distribution as a space's file has it, on one line."""
    data = item.model_dump(exclude_none=True)
    parts = {key: value for key, value in data.items() if key != "log" or value}
    return str(yaml.safe_dump(parts, default_flow_style=True, sort_keys=False, width=1000)).strip()


def gap_line(row: Standing, metric: str) -> str:
    """Say how far the winner is from a baseline on the test split, and whether that is sure."""
    gap = row.gap
    if gap is None or gap.estimate is None:
        return f"winner − {row.name}: {gap.note if gap else 'not measured'}"
    if gap.low is None or gap.high is None:
        return f"winner − {row.name}, test"
    sure = "" if gap.low > 0 or gap.high < 0 else "; not shown to differ"
    return f"winner − {row.name}, test (95 %: {interval(gap.low, gap.high, metric)}{sure})"


def gap_value(row: Standing, metric: str) -> str:
    """Return how far the winner is from a baseline, with its unit."""
    return signed(row.gap.estimate if row.gap else None, metric)


class ScoreNames(NamedTuple):
    """What the scores of a winner and its baselines are, in a legend."""

    test: str
    validation: str


def score_names(table: StudyTable) -> ScoreNames:
    """Return what the scores of a study are: chosen by, only reported, or of fresh seeds."""
    if are_of_fresh_seeds(table):
        return ScoreNames("test (mean of fresh seeds)", "validation (mean of fresh seeds)")
    role = _test_role(table.runs.space.protocol)
    return ScoreNames(f"test ({role})", "validation (chosen by)")


def are_of_fresh_seeds(table: StudyTable) -> bool:
    """Whether the scores that stand for the winner are means over fresh seeds."""
    return table.confirmed is not None and table.confirmed.is_reported


def standings_text(table: StudyTable) -> str:
    """Say what the marks of the winner and its baselines are, and what was chosen by them."""
    is_paper = table.runs.space.protocol == "paper"
    if are_of_fresh_seeds(table):
        text = (
            "Squares: mean test scores with 95 % intervals over new seeds, on the same sentences. "
            "Circles: mean validation scores of the same runs. Nothing was chosen on these seeds"
        )
        return f"{text}, but settings were chosen on these sentences." if is_paper else f"{text}."
    text = (
        "Squares: test scores with 95 % intervals over new sentences of the same kind, for these "
        "trained models. They do not cover other seeds: each run has one. Circles: validation "
        "scores, by which the winner was chosen."
    )
    if is_paper:
        text += " With protocol paper the test split is the same one, so it was chosen by that too."
    return text


def _test_role(protocol: str) -> str:
    """Say what the test split was for: with protocol paper it is the validation split."""
    return "chosen by too" if protocol == "paper" else "only reported"


def score_line(row: Standing, metric: str, sentences: int | None, protocol: str) -> str:
    """Say what a test score is of, with its interval."""
    role = _test_role(protocol)
    of = f"{sentences:,} test sentences" if sentences else "the test sentences"
    test = row.test
    if test.low is None or test.high is None:
        return f"winner, {of} ({role})"
    ends = f"{level(test.low, metric).removesuffix(' %')} to {level(test.high, metric)}"
    return f"winner, {of} ({role}; 95 %: {ends})"


def mean_line(row: Standing, metric: str) -> str:
    """Say that a test score is a mean over fresh seeds, with its interval."""
    test = row.test
    what = f"winner, mean test score of {test.n} fresh seeds" if test.n else "winner, test score"
    if test.low is None or test.high is None:
        return f"{what} ({test.note})" if test.note else what
    ends = f"{level(test.low, metric).removesuffix(' %')} to {level(test.high, metric)}"
    return f"{what} (95 %: {ends})"


def stop_lines(stops: Sequence[Stop]) -> list[str]:
    """Say how many trials were stopped for each reason, the commonest first."""
    counted = Counter((stop.state, _first_line(stop.reason)) for stop in stops)
    return [
        f"{count} {STATE_STYLES[state].word}: {reason}"
        for (state, reason), count in counted.most_common()
    ]


def _first_line(reason: str) -> str:
    return reason.partition("\n")[0] or "no reason is recorded"
