"""The numbers of a study's report, computed once for its page and for its figures for papers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...analysis import (
    Contour,
    Importances,
    ParallelLine,
    SettingAxis,
    SettingPoint,
    Span,
    Standing,
    StudyTable,
    TrialPoint,
    importances,
    parallel_lines,
    score_of,
    setting_axes,
    setting_slice,
    standings,
    timeline,
    top_contour,
    trial_history,
)
from ...stats import expected_best
from ...store import RankGrid, rank_grid
from .settings import MOST_LINES, most_important
from .trials import Curve, learning_curves


@dataclass(frozen=True)
class StudyNumbers:
    """What there is to say and to draw of a study.

    Attributes:
        table: Its trials and their records.
    """

    table: StudyTable

    @property
    def metric(self) -> str:
        """What was maximised."""
        return self.table.metric

    @property
    def winner(self) -> int | None:
        """The number of the winner."""
        return self.table.winner.number if self.table.winner else None

    @property
    def last(self) -> int:
        """The number of the last trial."""
        return max((trial.number for trial in self.table.trials), default=0)

    @cached_property
    def rows(self) -> Sequence[Standing]:
        """The winner and its baselines."""
        return standings(self.table)

    @cached_property
    def importances(self) -> Importances:
        """How much each setting matters."""
        return importances(self.table.study)

    @cached_property
    def history(self) -> Sequence[TrialPoint]:
        """Every trial's score, and the best so far."""
        return trial_history(self.table.trials)

    @cached_property
    def spans(self) -> Sequence[Span]:
        """When each run was trained."""
        return timeline(self.table)

    @cached_property
    def curves(self) -> Sequence[Curve]:
        """Validation scores through training."""
        records = {number: run.record for number, run in self.table.runs.trials.items()}
        return learning_curves(records, self.table.states, self.metric)

    @cached_property
    def shown_curves(self) -> Sequence[Curve]:
        """The curves that are drawn, by number: the winner's, and those that ended best."""
        best = sorted(self.curves, key=lambda curve: (curve.number != self.winner, _end(curve)))
        return sorted(best[:MOST_LINES], key=lambda curve: curve.number)

    @cached_property
    def expected(self) -> Sequence[float]:
        """The expected best score by the number of trials; none of fewer than two trials."""
        scores = [score for trial in self.table.trials if (score := score_of(trial)) is not None]
        return expected_best(scores) if len(scores) > 1 else []

    @cached_property
    def axes(self) -> Sequence[SettingAxis]:
        """The range of each setting."""
        return setting_axes(self.table)

    @cached_property
    def slices(self) -> Mapping[SettingAxis, Sequence[SettingPoint]]:
        """The complete trials against each setting that one of them chose."""
        found = {axis: setting_slice(self.table, axis) for axis in self.axes}
        return {axis: points for axis, points in found.items() if points}

    @cached_property
    def parallel_axes(self) -> Sequence[SettingAxis]:
        """The settings that lines are drawn through: all, or the most important of many."""
        return most_important(self.axes, self.importances.shares)

    @cached_property
    def lines(self) -> Sequence[ParallelLine]:
        """Each trial as a line through these settings."""
        return parallel_lines(self.table, self.parallel_axes)

    @cached_property
    def contour(self) -> Contour | None:
        """The score over the two most important settings."""
        return top_contour(self.table, self.importances)

    @cached_property
    def ranks(self) -> RankGrid | None:
        """The winner's kept ranks."""
        record = self.table.winner_run.record if self.table.winner_run else None
        return rank_grid(record.rank_pattern) if record and record.rank_pattern else None

    @property
    def starting_rank(self) -> int:
        """The rank that the winner's matrices started from."""
        record = self.table.winner_run.record if self.table.winner_run else None
        if record is None:
            return 1
        started = int((record.config.get("adapter") or {}).get("r") or 0)
        return max([started, *record.rank_pattern.values()]) or 1


def _end(curve: Curve) -> float:
    """Return what sorts curves by their last score, the highest first, an unknown one last."""
    return -curve.scores[-1] if math.isfinite(curve.scores[-1]) else math.inf
