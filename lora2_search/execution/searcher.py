"""Between Tune and our queue: Tune asks for trials here and tells here what became of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from .interruption import Interruption
from .loss import last_loss
from .result import SCORE, Result
from .run_queue import RunQueue
from .trainable import Task


class Leaving(BaseException):
    """Ends Tune at once, with all that it has under way.

    No `Exception`: after one of those Tune waits up to ten seconds for steps to end, and reports
    runs as stopped that are not.

    Attributes:
        error: What went wrong in the driver; ``None`` where a signal asked for the end.
    """

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(error)
        self.error = error


class TruthfulSearcher(Searcher):
    """Hands out the runs of a queue, and tells it how each one ended.

    Ray's own `OptunaSearch` tells Optuna that a trial stopped early is complete, and leaves one
    that ended in NaN running for ever. Here the queue decides: see `RunQueue.ended`.
    """

    def __init__(self, queue: RunQueue) -> None:
        super().__init__(metric=SCORE, mode="max")
        self._queue = queue

    # Tune passes these arguments partly by position, partly by name: the names are Ray's.
    def suggest(self, trial_id: str) -> Task | str | None:
        """Return the task of the next run, ``None`` while it waits for another, or ``FINISHED``."""
        with _leaving_on_error():
            task = self._queue.next(trial_id)
            if task is None and self._queue.waits():
                return None
        return Searcher.FINISHED if task is None else task

    def on_trial_complete(
        self, trial_id: str, result: Result | None = None, error: bool = False
    ) -> None:
        """A trial is over."""
        with _leaving_on_error():
            self._queue.ended(trial_id, result, error)

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the study is the state."""

    def get_state(self) -> Mapping[str, object]:
        """Return nothing: the study is the state."""
        return {}


class Listener(Callback):
    """Reports to the queue what the searcher does not get: starts, each result, lost processes.

    Tune keeps the result that stops a trial from its searcher, but not from its callbacks.
    """

    def __init__(self, queue: RunQueue) -> None:
        self._queue = queue

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A process took the trial up."""
        with _leaving_on_error():
            self._queue.started(trial.trial_id)

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: Result,
        **info: Any,
    ) -> None:
        """An evaluation ended."""
        with _leaving_on_error():
            self._queue.reported(trial.trial_id, result)

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """The trial's process died, and another one will go on."""
        with _leaving_on_error():
            over = self._queue.lost(trial.trial_id, last_loss(trial.error_file))
        if over:
            # The next process finds why the run has failed, and says so; it is the last one.
            trial.max_failures = 0


class InterruptionStopper(Stopper):
    """Lets Tune look at an `Interruption`, and at who asked for the end of a single run.

    A signal ends everything at once and leaves the runs unfinished, to be taken up again. When the
    time is up, each run is stopped at its next evaluation and reported as pruned; so is a run that
    is to stop.
    """

    def __init__(self, interruption: Interruption, queue: RunQueue) -> None:
        self._interruption, self._queue = interruption, queue

    def __getstate__(self) -> dict[str, object]:
        """Give Tune nothing to write down: no study is restored from what it wrote."""
        return {}

    def __call__(self, trial_id: str, result: Result) -> bool:
        """Return whether this trial should be stopped."""
        # Another process may write into the study: what cannot be read ends the driver in order.
        with _leaving_on_error():
            return self._interruption.overdue or self._queue.stops(trial_id)

    def stop_all(self) -> bool:
        """Return false: when a signal came, Tune is left instead.

        Raises:
            Leaving: A signal came.
        """
        if self._interruption.requested:
            raise Leaving
        return False


@contextmanager
def _leaving_on_error() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise Leaving(error) from None
