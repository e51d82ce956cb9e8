"""What a run tells while it goes on, and who may listen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from .record import Point


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
        standard_error: Of the metric that the run is judged by, over the validation sentences; see
            ``noise``. NaN where it is not known.
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
