"""Choose every tuned arm's settings from its tuning runs; move ends of grids on, and refine."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from ..config import RunInfo, Settings, with_settings
from ..config.suite import Suite, Tuning, is_number
from ..errors import Argument, ConfigError, RequestError
from ..store import TUNING_FOLDER, readable_record


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
    chosen = {}
    for arm, grid in _grids(suite, folder).items():
        if not grid.complete:
            seeds = ", ".join(map(str, grid.tuning.seed_list))
            raise RequestError(
                f"tuning {arm}: none of its {len(grid.trials)} trials was completed with every "
                f"seed ({seeds}), so nothing can be chosen; see "
                f"{folder / TUNING_FOLDER}; ",
                Argument("resume"),
                " to try the failed runs again, or begin "
                f"a new suite with other values in tuning.arms.{arm}",
            )
        chosen[arm] = grid.trials[grid.best]
    return chosen


@dataclass(frozen=True)
class FurtherTrial:
    """A trial that an arm is given beyond its grid.

    Attributes:
        settings: Its settings, dotted.
        reason: Why it is tried, for people.
    """

    settings: Settings
    reason: str


def further_trials(suite: Suite, folder: Path) -> dict[str, FurtherTrial]:
    """Return one more trial for every arm that is due one.

    Where the best trial stands at an end that counts (``Tuning.extend``), the setting that is at
    its end goes on by the ratio of the end and its inner neighbour. Else, while the arm has fewer
    trials than ``Tuning.total``, the widest gap beside the best trial is halved.

    Args:
        suite: A suite that is not tuned yet.
        folder: The suite's folder, where its tuning runs have ended.
    """
    due = {}
    for arm, grid in _grids(suite, folder).items():
        for trial in grid.further():
            if _can_run(suite, arm, trial.settings):
                due[arm] = trial
                break
    return due


def open_ends(suite: Suite, folder: Path) -> dict[str, list[str]]:
    """Return by arm the settings whose best value is the end of their grid, where the end counts.

    It counts where it beats its inner neighbour by more than one standard error of their paired
    difference over the tuning seeds: then a wider grid may do better.
    """
    return {
        arm: [key for key in grid.tuning.arms[arm] if grid.at_end(key) and grid.end_counts(key)]
        for arm, grid in _grids(suite, folder).items()
    }


def tuning_lines(chosen: Mapping[str, Settings], ends: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a line for people about each choice, with a remark where its grid's end counts."""
    lines = []
    for arm, settings in chosen.items():
        settings_text = ", ".join(f"{key}={json.dumps(value)}" for key, value in settings.items())
        end = f" (the end of its grid for {', '.join(ends[arm])}: a wider one may do better)"
        lines.append(f"tuned {arm}: {settings_text}{end if ends[arm] else ''}")
    return lines


class _Grid:
    """The trials of one arm and their validation scores.

    Attributes:
        tuning: The suite's.
        trials: Settings by number.
        scores: Validation scores by number, one for each seed; ``None`` of a run that did not end.
    """

    def __init__(self, tuning: Tuning, arm: str, scores: Mapping[int, list[float | None]]) -> None:
        self.tuning, self.trials, self.scores = tuning, tuning.trials(arm), scores
        self._written = tuning.arms[arm]

    @property
    def complete(self) -> dict[int, list[float]]:
        """The scores of the trials that were completed with every seed, by number."""
        return {
            number: [score for score in seeds if score is not None]
            for number, seeds in self.scores.items()
            if None not in seeds
        }

    @property
    def best(self) -> int:
        """The number of the trial with the highest mean score, the first of equals."""
        means = {number: fmean(seeds) for number, seeds in self.complete.items()}
        return max(means, key=lambda number: means[number])

    def at_end(self, setting: str) -> bool:
        """Whether the best trial stands at an end of the numbers tried, all else equal.

        A trial that another setting's end was moved to has nothing beside it: that is no end.
        """
        values = [self.trials[number][setting] for number in self._line(setting)]
        return (
            len(values) > 1
            and all(map(is_number, values))
            and self.trials[self.best][setting] in (min(values), max(values))
        )

    def end_counts(self, setting: str) -> bool:
        """Whether the best trial beats its inner neighbour by more than one standard error.

        Of the paired difference over the tuning seeds: its mean above sd / √n. An inner neighbour
        that was never completed is beaten; with one seed there is no error to exceed.
        """
        inner = self._neighbour(setting)
        ours, theirs = self.complete[self.best], self.complete.get(inner)
        if theirs is None:
            return True
        differences = [a - b for a, b in zip(ours, theirs, strict=True)]
        error = stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else 0.0
        return fmean(differences) > error

    def further(self) -> Iterator[FurtherTrial]:
        """Yield the trials that may be tried next, the most wanted first; none when all are run."""
        total = self.tuning.total
        if not self.complete or (total is not None and len(self.trials) >= total):
            return
        for setting in self.tuning.extend:
            if (settings := self.beyond(setting)) is not None:
                yield FurtherTrial(settings, "the best trial is at the end of the grid")
        if total is not None:
            for settings in self.between():
                yield FurtherTrial(settings, "between the best trial and the next")

    def between(self) -> list[Settings]:
        """Return the trials halfway between the best one and its neighbours, widest gap first.

        Neighbours differ from the best trial in one number. Halfway is the geometric mean (of
        numbers above 0; else the arithmetic one), to three digits. Of equal gaps the one towards
        the better neighbour comes first.
        """
        best, found = self.trials[self.best], []
        for setting, here in best.items():
            for number in self._beside(setting) if is_number(here) else []:
                there = self.trials[number][setting]
                middle, gap = _halfway(here, there)
                settings = {**best, setting: middle}
                # Digits, or whole numbers, may leave nothing between the two.
                if min(here, there) < middle < max(here, there) and settings not in self.trials:
                    score = fmean(self.complete.get(number, [-math.inf]))
                    found.append((gap, score, settings))
        return [item[2] for item in sorted(found, key=lambda item: item[:2], reverse=True)]

    def _beside(self, setting: str) -> list[int]:
        """Return the trials next to the best one in a setting, below and above, all else equal."""
        best = self.trials[self.best][setting]
        others = {self.trials[number][setting]: number for number in self._line(setting)}
        below = max((value for value in others if value < best), default=None)
        above = min((value for value in others if value > best), default=None)
        return [others[value] for value in (below, above) if value is not None]

    def beyond(self, setting: str) -> Settings | None:
        """Return the trial beyond the end at which the best one stands, where one is due."""
        written = self._written.get(setting)
        if written is None or not self.complete or not self.at_end(setting):
            return None
        tried = {self.trials[number][setting] for number in self._line(setting)}
        moved = [value for value in tried if not min(written) <= value <= max(written)]
        if len(moved) >= self.tuning.extend[setting] or not self.end_counts(setting):
            return None
        best = self.trials[self.best]
        end, inner = best[setting], self.trials[self._neighbour(setting)][setting]
        return {**best, setting: _next(end, inner)}

    def _neighbour(self, setting: str) -> int:
        """Return the number of the trial next to the best one in a setting, all else equal."""
        best = self.trials[self.best][setting]
        others = [number for number in self._line(setting) if number != self.best]
        return min(others, key=lambda number: abs(self.trials[number][setting] - best))

    def _line(self, setting: str) -> list[int]:
        """Return the numbers of the trials that differ from the best one in a setting at most."""
        best = self.trials[self.best]
        return [
            number
            for number, trial in enumerate(self.trials)
            if {**trial, setting: best[setting]} == best
        ]


def _next(end: float, inner: float) -> float:
    """Return what follows the end of a grid in the ratio of its last two values."""
    # 0.008 · 0.008 / 0.004 is 0.016 for people, and so it is in the file.
    value = float(f"{end * end / inner:.6g}")
    # A setting that takes whole numbers alone takes no 16.0.
    integral = isinstance(end, int) and isinstance(inner, int) and value.is_integer()
    return int(value) if integral else value


def _halfway(one: float, other: float) -> tuple[float, float]:
    """Return what lies halfway between two numbers, and how far they are apart."""
    if one > 0 and other > 0:
        middle, gap = math.sqrt(one * other), abs(math.log(one / other))
    else:
        middle, gap = (one + other) / 2, abs(one - other)
    middle = float(f"{middle:.3g}")
    # A setting that takes whole numbers alone takes no 5.66.
    return (round(middle) if isinstance(one, int) and isinstance(other, int) else middle), gap


def _grids(suite: Suite, folder: Path) -> dict[str, _Grid]:
    assert suite.tuning is not None  # only such a suite has tuning runs
    scores: dict[str, dict[int, list[float | None]]] = {}
    for arm, number, score in _validation_scores(suite, folder):
        scores.setdefault(arm, {}).setdefault(number, []).append(score)
    return {arm: _Grid(suite.tuning, arm, trials) for arm, trials in scores.items()}


def _validation_scores(suite: Suite, folder: Path) -> Iterator[tuple[str, int, float | None]]:
    for run in suite.tuning_runs(folder):
        assert run.trial is not None
        yield run.arm, run.trial, _validation(run)


def _validation(run: RunInfo) -> float | None:
    record = readable_record(run.folder)
    if record is None or record.status != "completed":
        return None
    return record.score("validation", run.metric)


def _can_run(suite: Suite, arm: str, trial: Settings) -> bool:
    try:
        with_settings(suite.run_config(arm, suite.seed), trial)
    except ConfigError:
        return False
    return True
