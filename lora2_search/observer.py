"""Many runs, one listener: what the driver tells about the runs of a study or a suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from .config import RunConfig
    from .training.record import RunRecord
    from .training.reporter import Report

State = Literal["COMPLETE", "PRUNED", "FAIL"]


@dataclass(frozen=True)
class RunInfo:
    """One run of a study (a trial) or of a suite (an arm with a seed).

    Attributes:
        key: Unique in its study or suite, stable over resumes: ``00003``, ``base-seed0``.
        name: The same for people: ``trial 3``, ``base, seed 0``.
        config: Everything that decides its result.
        settings: The searched settings of a trial, or what an arm changes: dotted names.
        folder: Where its record, checkpoint and adapter lie.
        tags: ``arm`` and the like; task, model, method and seed are in ``config``.
        metric: What it is judged by, a study's objective; ``None`` for the task's primary metric.
            ``record.score(split, run.metric)`` is its value.
    """

    key: str
    name: str
    config: RunConfig
    settings: Mapping[str, Any]
    folder: Path
    tags: Mapping[str, str] = field(default_factory=dict)
    metric: str | None = None


class Beginning:
    """An observer that says lines, then calls ``then``, at the first run.

    Not before: what is refused (its name is in use, no cluster answers) has not begun.
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
