"""The runs that gave arms their settings before the suite began, and what they scored."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from ..training.record import RunRecord, read_record

TUNING_FOLDER = "tuning"
_NAME = re.compile(r"^(?P<arm>.+)-(?P<trial>\d+)-seed(?P<seed>\d+)$")


@dataclass(frozen=True)
class Tuning:
    """Tuning runs by arm, trial and seed.

    Attributes:
        runs: Their records.
    """

    runs: Mapping[tuple[str, int, int], RunRecord]

    @property
    def records(self) -> list[RunRecord]:
        """All records, whatever became of the runs."""
        return list(self.runs.values())

    def trial_scores(self, metric: str) -> dict[str, list[float]]:
        """Return, by arm, the mean validation score over seeds of each trial, by its number.

        A trial counts as it does for the choice: only with every seed completed.
        """
        seeds = {seed for _, _, seed in self.runs}
        found: dict[str, dict[int, list[float]]] = {}
        for (arm, trial, _), record in sorted(self.runs.items()):
            score = record.score("validation", metric) if record.status == "completed" else None
            trials = found.setdefault(arm, {})
            if score is not None and math.isfinite(score):
                trials.setdefault(trial, []).append(score)
        means = {
            arm: [mean(scores) for _, scores in sorted(trials.items()) if len(scores) == len(seeds)]
            for arm, trials in found.items()
        }
        return {arm: scores for arm, scores in means.items() if scores}

    def trials(self, arm: str) -> int:
        """How many trials of an arm were run, whatever became of them."""
        return len({trial for name, trial, _ in self.runs if name == arm})


def read_tuning(folder: Path) -> Tuning:
    """Read the tuning runs of a suite's folder; none where there are none, or none is readable."""
    runs = {}
    for path in sorted((folder / TUNING_FOLDER).glob("*")):
        named = _NAME.match(path.name)
        try:
            record = read_record(path) if named else None
        except ValueError:
            continue
        if named and record is not None:
            runs[named["arm"], int(named["trial"]), int(named["seed"])] = record
    return Tuning(runs)
