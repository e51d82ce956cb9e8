"""Early stopping: Tune's schedulers, with rungs that know the evaluation's noise."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from ..config.space import rungs
from .result import FAILED, INTERVAL, SCORE, STANDARD_ERROR, Result


def promoted(
    score: float,
    standard_error: float,
    others: Collection[float],
    reduction_factor: int,
    went_on: Collection[float] = (),
) -> bool:
    """Return whether a trial goes on from a rung.

    Args:
        score: Its score there, higher is better.
        standard_error: Of that score over validation sentences; NaN where it is not known, infinite
            where the score hangs on a few of them: the trial then goes on.
        others: The scores of the trials that came to the rung before it.
        reduction_factor: One in so many goes on.
        went_on: Those of ``others`` that went on.
    """
    every = sorted((*others, score), reverse=True)
    bar = every[math.ceil(len(every) / reduction_factor) - 1]
    noise = 0.0 if math.isnan(standard_error) else standard_error
    return score >= bar - noise or score in went_on


class ResumableASHA(FIFOScheduler):
    """ASHA whose rungs are rebuilt from the scores that the study has stored.

    Not Ray's own: that one stops a trial that ties with one that goes on, whatever the noise of a
    score, and keeps its rungs in a pickle. The scores themselves are in the study already: those of
    ended trials are fed in at the start, those of a trial that is taken up again when it is added,
    so that no trial counts twice. NaN never enters a rung, nor does a run outside the search, which
    is never stopped either.

    Attributes:
        rungs: The scores of the trials that reached each rung, by trial, by evaluation.

    Args:
        last: Evaluations of a whole run.
        grace: Evaluations that every trial may do.
        reduction_factor: One in so many goes on from each rung.
        past: Scores by evaluation of each trial that has ended.
    """

    def __init__(
        self, last: int, grace: int, reduction_factor: int, past: Iterable[Mapping[int, float]] = ()
    ) -> None:
        super().__init__()
        self._factor = reduction_factor
        self.rungs: dict[int, dict[str, float]] = {}
        self._went_on: dict[int, set[float]] = {}
        for at in rungs(last, grace, reduction_factor):
            self.rungs[at], self._went_on[at] = {}, set()
        for number, scores in enumerate(past):
            for interval, score in sorted(scores.items()):
                self._judge(f"past-{number}", interval, score)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Take a trial in, with the scores it had before a resume."""
        for interval, score in sorted(trial.config["past"]):
            self._judge(trial.trial_id, interval, score)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: Result) -> str:
        """Return whether a trial goes on."""
        if not trial.config["judged"]:
            return TrialScheduler.CONTINUE
        error = result.get(STANDARD_ERROR, math.nan)
        on = self._judge(trial.trial_id, result[INTERVAL], result[SCORE], error)
        return TrialScheduler.CONTINUE if on else TrialScheduler.STOP

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: Result) -> None:
        """Take the last score of a trial, unless it failed."""
        if SCORE in result and not result[FAILED] and trial.config["judged"]:
            self._judge(trial.trial_id, result[INTERVAL], result[SCORE])

    def debug_string(self) -> str:
        """Return how many trials have reached each rung."""
        return f"ASHA, trials by rung: { {at: len(scores) for at, scores in self.rungs.items()} }"

    def _judge(
        self, trial: str, interval: int, score: float, standard_error: float = math.nan
    ) -> bool:
        """Enter a score at the last rung that it has reached; say whether the trial goes on."""
        reached = [at for at in self.rungs if at <= interval]
        if math.isnan(score) or not reached:
            return True
        others, went_on = self.rungs[reached[-1]], self._went_on[reached[-1]]
        if trial in others:
            on = True  # it was judged there, and here it is
        else:
            on = promoted(score, standard_error, others.values(), self._factor, went_on)
            others[trial] = score
        if on:
            went_on.add(others[trial])
        return on


def make_scheduler(
    name: str, last: int, grace: int, reduction_factor: int, past: Iterable[Mapping[int, float]]
) -> TrialScheduler:
    """Return the scheduler ``asha``; ``none`` and ``halving`` stop no run that is under way."""
    if name != "asha":
        return FIFOScheduler()
    return ResumableASHA(last, grace, reduction_factor, past)
