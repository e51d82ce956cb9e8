"""Two studies, or two suites, side by side: scores, and in which settings they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import UserError
from ..stats import TestResult, paired
from .arms import Arm
from .baselines import Standing, standings, test_gap
from .comparison import Analysis
from .records import SuiteRuns
from .study import StudyTable

# What a run is called by, and where its data lies, decides nothing that a reader would tune.
_NOT_SHOWN = ("seed", "data.path", "data.test_path")


@dataclass(frozen=True)
class WinnerSetting:
    """One setting of both winners.

    Attributes:
        name: Dotted.
        left: The left winner's value; ``None`` where it is not known.
        right: The right winner's.
        searched: Whether either study searched it.
    """

    name: str
    left: Any
    right: Any
    searched: bool


@dataclass(frozen=True)
class StudyPair:
    """Two studies that maximise the same metric.

    Attributes:
        left: The one study.
        right: The other.
        winners: Both winners with their intervals; ``None`` where no trial is complete.
        gap: Left winner minus right winner on the same test sentences.
        settings: The searched settings of either, and the fixed ones in which the winners differ.
    """

    left: StudyTable
    right: StudyTable
    winners: tuple[Standing | None, Standing | None]
    gap: TestResult
    settings: tuple[WinnerSetting, ...]

    @property
    def both(self) -> tuple[StudyTable, StudyTable]:
        """The studies."""
        return self.left, self.right


def compare_studies(left: StudyTable, right: StudyTable) -> StudyPair:
    """Compare two studies.

    Raises:
        UserError: They maximise different metrics.
    """
    if left.metric != right.metric:
        raise UserError(
            f"{left.runs.space.name} maximises {left.metric} and {right.runs.space.name} "
            f"{right.metric}: studies are compared by one metric"
        )
    first, second = (next(iter(standings(table)), None) for table in (left, right))
    ours, theirs = left.winner_run, right.winner_run
    gap = TestResult(note="a winner's record is missing")
    if ours is not None and theirs is not None:
        gap = test_gap(ours, theirs, left.metric)
    return StudyPair(left, right, (first, second), gap, _settings(left, right))


def _settings(left: StudyTable, right: StudyTable) -> tuple[WinnerSetting, ...]:
    ours, theirs = _of_winner(left), _of_winner(right)
    searched = dict.fromkeys([*left.runs.space.search, *right.runs.space.search])
    names = dict.fromkeys([*searched, *ours, *theirs])
    return tuple(
        WinnerSetting(name, ours.get(name), theirs.get(name), name in searched)
        for name in names
        if name in searched or (name not in _NOT_SHOWN and ours.get(name) != theirs.get(name))
    )


def _of_winner(table: StudyTable) -> dict[str, Any]:
    run = table.winner_run
    settings = _leaves(run.record.config) if run is not None else {}
    return settings | (dict(table.winner.params) if table.winner else {})


def _leaves(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found |= _leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


@dataclass(frozen=True)
class ArmPair:
    """One arm, as two suites have it.

    Attributes:
        name: The arm.
        left: Of the left suite, ``None`` where it has no such arm.
        right: Of the right suite.
        gap: Left minus right over the seeds that both have; no estimate where there are none.
    """

    name: str
    left: Arm | None
    right: Arm | None
    gap: TestResult


def compare_suites(left: Analysis, right: Analysis) -> list[ArmPair]:
    """Pair the arms of two suites on one task by their names, those of the left suite first.

    Raises:
        UserError: They compare different metrics.
    """
    ours, theirs = left.suite, right.suite
    if ours.metric != theirs.metric:
        raise UserError(
            f"suite {ours.name} compares {ours.metric} and {theirs.name} {theirs.metric}: suites "
            "are compared by one metric"
        )
    arms = ({arm.name: arm for arm in side.arms} for side in (left, right))
    first, second = arms
    same = _data(ours) == _data(theirs)
    return [
        ArmPair(name, first.get(name), second.get(name), _arm_gap(first, second, name, same))
        for name in dict.fromkeys([*first, *second])
    ]


def _arm_gap(
    first: dict[str, Arm], second: dict[str, Arm], name: str, same_data: bool
) -> TestResult:
    if name not in first or name not in second:
        return TestResult(note="one suite has no such arm")
    if not same_data:
        return TestResult(note="they were tested on different data")
    ours, theirs = first[name].scores, second[name].scores
    common = [seed for seed in ours if seed in theirs]
    return paired([ours[seed] - theirs[seed] for seed in common])


def _data(suite: SuiteRuns) -> set[str]:
    return {run.record.data_hash for run in suite.runs.values() if run.record.data_hash}
