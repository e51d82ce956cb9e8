"""Choose every tuned arm's settings from its tuning runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from ..errors import UserError
from ..observer import RunInfo
from ..training.record import read_record
from .suite import Suite

Settings = dict[str, Any]


def chosen_settings(suite: Suite, folder: Path) -> dict[str, Settings]:
    """Return the best trial of every tuned arm, as dotted settings.

    The best has the highest mean *validation* score over the tuning seeds, the first of equals:
    the test split, on which arms are compared, has no part in it. A trial counts only when all its
    seeds were completed, so one that diverges with some seed is never chosen.

    Args:
        suite: A suite that is not tuned yet.
        folder: The suite's folder, where its tuning runs have ended.

    Raises:
        UserError: No trial of an arm was completed with every seed.
    """
    assert suite.tuning is not None  # only such a suite has tuning runs
    scores: dict[str, dict[int, list[float | None]]] = {}
    for run in suite.tuning_runs(folder):
        trials = scores.setdefault(run.tags["arm"], {})
        trials.setdefault(int(run.tags["trial"]), []).append(_validation(run))
    chosen = {}
    for arm, trials in scores.items():
        means = {
            number: fmean(score for score in seeds if score is not None)
            for number, seeds in trials.items()
            if None not in seeds
        }
        if not means:
            raise UserError(
                f"tuning {arm}: none of its {len(trials)} trials was completed with every seed "
                f"({', '.join(map(str, suite.tuning.seed_list))}), so nothing can be chosen; see "
                f"{folder / 'tuning'}; --resume to try the failed runs again, or begin "
                f"a new suite with other values in tuning.arms.{arm}"
            )
        best = max(means, key=lambda number: means[number])
        chosen[arm] = suite.tuning.trials(arm)[best]
    return chosen


def told_choices(suite: Suite, chosen: Mapping[str, Settings]) -> list[str]:
    """Return a line for people about each choice, with a warning where it is the grid's end."""
    assert suite.tuning is not None
    lines = []
    for arm, settings in chosen.items():
        told = ", ".join(f"{key}={json.dumps(value)}" for key, value in settings.items())
        grid = suite.tuning.arms[arm]
        ends = [key for key in settings if _at_end(settings[key], grid[key])]
        edge = f" (the end of its grid for {', '.join(ends)}: a wider one may do better)"
        lines.append(f"tuned {arm}: {told}{edge if ends else ''}")
    return lines


def _validation(run: RunInfo) -> float | None:
    record = read_record(run.folder)
    if record is None or record.status != "completed":
        return None
    return record.score("validation", run.metric)


def _at_end(value: Any, values: list[Any]) -> bool:
    numbers = [item for item in values if isinstance(item, int | float)]
    return len(numbers) == len(values) and value in (min(numbers), max(numbers))
