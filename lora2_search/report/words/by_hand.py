"""Ten lines of pandas that recompute a report's scores from the predictions alone."""

from __future__ import annotations

from ...analysis import Analysis
from .verdict import what_diverged_counts_as

_FROM_RUNS = """\
def test_score(arm, seed):
    file = Path(f"runs/{prefix}{{arm}}-seed{{seed}}/predictions.parquet")
    if not file.exists():
        return float("nan")
    rows = pd.read_parquet(file).query("split == 'test'")
    return score("{metric}", rows.label.to_numpy(), rows.prediction.to_numpy(){classes})"""

_FROM_ARCHIVE = """\
every = pd.read_parquet("predictions.parquet")

def test_score(arm, seed):
    rows = every[every.run == f"{prefix}{{arm}}-seed{{seed}}"]
    if rows.empty:
        return float("nan")
    labels, predictions = rows.label.to_numpy(float), rows.prediction.to_numpy(float)
    return score("{metric}", labels, predictions{classes})"""

_CODE = """\
from pathlib import Path
import pandas as pd
from lora2_search import score

{reading}

seeds = {seeds}
arms = {arms}
scores = pd.DataFrame({{arm: [test_score(arm, seed) for seed in seeds] for arm in arms}}, seeds)
{diverged}print(scores)
print(scores.sub(scores["base"], axis=0).agg(["mean", "std", "count"]))"""


def by_hand(analysis: Analysis, archived: bool) -> str:
    """Return the code, to be run in the suite's folder.

    Args:
        analysis: The suite's numbers.
        archived: Whether all predictions lie in one file, as an archive has them.
    """
    suite = analysis.suite
    reading = (_FROM_ARCHIVE if archived else _FROM_RUNS).format(
        prefix=f"{suite.task}." if suite.task else "",
        metric=suite.metric,
        classes=f", {suite.classes}" if suite.classes else "",
    )
    diverged = "".join(
        f'scores.loc[{seed}, "{arm.name}"] = {arm.scores[seed]}  # diverged: counts as a run that '
        f"{what_diverged_counts_as(analysis)}\n"
        for arm in analysis.arms
        for seed in arm.diverged
    )
    return _CODE.format(
        reading=reading, seeds=list(suite.seeds), arms=list(suite.arms), diverged=diverged
    )
