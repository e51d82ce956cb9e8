"""Ray's schedulers, made ready for studies that are resumed.

ASHA stops a trial whose score is not among the best at a rung: evaluation ``grace``, then
``grace * reduction_factor`` and so on. Its grace period covers the end of LoRA²'s budget schedule,
because before step ``T - t_final`` target ranks cannot be told apart; see `early_stopping`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from .result import FAILED, INTERVAL, SCORE

PAST = "past"
JUDGED = "judged"


class ResumableASHA(AsyncHyperBandScheduler):
    """ASHA whose rungs are rebuilt from the scores that the study has stored.

    Tune leaves a scheduler's rungs out of its snapshots, and a scheduler's own `save` is a pickle.
    The scores themselves are in the study already: those of ended trials are fed in at the start,
    those of a trial that is taken up again when it is added, so that no trial counts twice.
    NaN never enters a rung, nor does a run outside the search, which is never stopped either.

    Args:
        last: Evaluations of a whole run.
        grace: Evaluations that every trial may do.
        reduction_factor: One in so many goes on from each rung.
        past: Scores by evaluation of each trial that has ended.
    """

    def __init__(
        self, last: int, grace: int, reduction_factor: int, past: Iterable[Mapping[int, float]] = ()
    ) -> None:
        super().__init__(
            time_attr=INTERVAL,
            metric=SCORE,
            mode="max",
            max_t=last,
            grace_period=grace,
            reduction_factor=reduction_factor,
        )
        for number, scores in enumerate(past):
            trial = Trial("past", trial_id=f"past-{number}", stub=True)
            pairs = [[interval, score] for interval, score in scores.items()]
            trial.config = {PAST: pairs, JUDGED: True}
            self.on_trial_add(None, trial)
            self.on_trial_remove(None, trial)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Take a trial in, with the scores it had before a resume."""
        super().on_trial_add(tune_controller, trial)
        for interval, score in sorted(trial.config[PAST]):
            self.on_trial_result(tune_controller, trial, {INTERVAL: interval, SCORE: score})

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Return whether a trial goes on."""
        if not trial.config[JUDGED]:
            return TrialScheduler.CONTINUE
        return super().on_trial_result(tune_controller, trial, result)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Take the last score of a trial, unless it failed."""
        if result.get(FAILED) or not trial.config[JUDGED]:
            self.on_trial_remove(tune_controller, trial)
        else:
            super().on_trial_complete(tune_controller, trial, result)


def make_scheduler(
    name: str, last: int, grace: int, reduction_factor: int, past: Iterable[Mapping[int, float]]
) -> TrialScheduler:
    """Return the scheduler called ``asha`` or ``none``."""
    if name == "none":
        return FIFOScheduler()
    return ResumableASHA(last, grace, reduction_factor, past)
