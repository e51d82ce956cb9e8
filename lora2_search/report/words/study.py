"""What must be said beside a study's winner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import yaml

from ...analysis import Edge, Standing, Stop, setting
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


def score_line(row: Standing, metric: str, sentences: int | None) -> str:
    """Say what a test score is of, with its interval."""
    of = f"{sentences:,} test sentences" if sentences else "the test sentences"
    test = row.test
    if test.low is None or test.high is None:
        return f"winner, {of} (only reported)"
    ends = f"{level(test.low, metric).removesuffix(' %')} to {level(test.high, metric)}"
    return f"winner, {of} (only reported; 95 %: {ends})"


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
