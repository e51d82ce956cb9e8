"""What a run reports while it trains, to its own process and to a study's observers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from ..config import RunInfo
from ..store import Point

if TYPE_CHECKING:
    from ..store import RunRecord


@dataclass(frozen=True)
class Report:
    """The state of a run at the end of one evaluation interval.

    Attributes:
        interval: Evaluation intervals done, 1 .. ``intervals``.
        intervals: Evaluation intervals of the whole run.
        step: Optimiser steps done.
        total_steps: Optimiser steps of the whole run (T).
        score: Primary metric on the validation split, higher is better; NaN when diverged.
        kept_rank: Singular values still alive in all matrices; ``None`` for methods without them.
        points: The points of this interval; the whole history in the first report after a resume.
        done: Whether the run is complete.
        standard_error: Of the metric that the run is judged by, over the validation examples; see
            ``evaluate``. NaN where it is not known.
    """

    interval: int
    intervals: int
    step: int
    total_steps: int
    score: float
    kept_rank: int | None
    points: tuple[Point, ...]
    done: bool
    standard_error: float = math.nan


class Reporter(Protocol):
    """Anything that listens to a run: a terminal, a tuner, a tracker."""

    def report(self, report: Report) -> None:
        """Take one report; called after each evaluation interval."""


class SilentReporter:
    """Listens and does nothing."""

    def report(self, report: Report) -> None:
        """Take one report and drop it."""


State = Literal["COMPLETE", "PRUNED", "FAIL"]


class Beginning:
    """An observer that says lines, then calls ``then``, at the first run.

    Not before: a request that is refused (its name is in use, no cluster answers) has not begun.
    """

    def __init__(
        self,
        lines: Sequence[str],
        say: Callable[[str], None],
        then: Callable[[], object] = lambda: None,
    ) -> None:
        self._lines, self._then, self._said = lines, then, False
        self._say = say

    def started(self, run: RunInfo) -> None:
        """Say the lines, once."""
        if self._said:
            return
        self._said = True
        for line in self._lines:
            self._say(line)
        self._then()

    def reported(self, run: RunInfo, report: Report) -> None:
        """Do nothing."""

    def ended(self, run: RunInfo, state: State, record: RunRecord | None, reason: str) -> None:
        """Do nothing."""


class Observer(Protocol):
    """Listens in the driver's process. Calls must return at once: they hold up the next trial."""

    def started(self, run: RunInfo) -> None:
        """A run begins, or goes on after a resume (then called again with the same key)."""

    def reported(self, run: RunInfo, report: Report) -> None:
        """An evaluation interval ended; after a resume the first report repeats the history.

        ``report.score`` is the run's ``metric`` on the validation split.
        """

    def ended(self, run: RunInfo, state: State, record: RunRecord | None, reason: str) -> None:
        """A run ended; ``reason`` says why when it is not ``COMPLETE``. Never called on Ctrl-C."""
