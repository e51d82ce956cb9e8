"""The runs of a study: proposed by Optuna, which is notified of what became of them.

A trial is one run, or, with a space's ``seeds``, one after another on as many seeds. Its first run
is the one in ``trials/``; Optuna hears of the trial when it is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from ..analysis import (
    EVALUATIONS,
    GIVEN_BY,
    SEEDS,
    all_infeasible,
    givers,
    hopeless,
    outcomes_of,
    own_trials,
    scores_by_evaluation,
    scores_by_seed,
)
from ..config import RunConfig, RunInfo
from ..config.space import Space, Value, chosen_sampler, fresh_name, seed_span
from ..errors import ConfigError, UserError
from ..store import SEEDS_FOLDER, TRIALS_FOLDER, Status
from ..training import State
from .attributes import trial_attributes
from .beginning import begin
from .outcomes import constraint_excesses, objective_values
from .steering import STOP
from .trial_runs import on_seed, trial_key, trial_runs

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study as OptunaStudy
    from optuna.trial import FrozenTrial

_RUN, _REASON, _SECONDS, _SAMPLER = "run", "reason", "seconds", "sampler"

_SEED: Literal["seed"] = "seed"

# When the first so many complete trials all break a constraint, the user is told.
_FIRST = 10

_ALIKE = 3


class AskTell:
    """A source whose runs are Optuna's trials, numbered from 0.

    What a driver that died had under way comes first, with the numbers and settings that it had.
    A trial's next seed comes before a new trial.

    Args:
        study: Optuna's study.
        storage: The same study's storage.
        space: Says what is searched, and when the study ends.
        folder: The study's folder.
        references: The runs outside the search. They go first, so that no process waits for one
            of them at the end.
        over: Returns whether the time is up.
        say: Takes a line for people.
    """

    final: frozenset[Status] = frozenset({"completed", "pruned", "failed"})

    def __init__(
        self,
        study: OptunaStudy,
        storage: BaseStorage,
        space: Space,
        folder: Path,
        references: Sequence[RunInfo],
        over: Callable[[], bool],
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        from optuna.trial import TrialState

        self._study, self._storage, self._folder = study, storage, folder
        self._space = with_fixed_sampler(space, study, say)
        self._references, self._over, self._say = list(references), over, say
        self._id = storage.get_study_id_from_name(study.study_name)
        begin(study, space)
        trials = own_trials(study)
        self._prior = len(study.get_trials(deepcopy=False)) - len(trials)
        self._orphans = [trial for trial in trials if trial.state == TrialState.RUNNING]
        self._asked = sum(trial.state != TrialState.WAITING for trial in trials)
        self._given = set(givers(trials))
        self._values = {trial.number: scores_by_evaluation(trial) for trial in self._orphans}
        self._numbers: dict[str, int] = {}
        self._next_seeds: list[RunInfo] = []
        self._under_way: set[int] = set()
        self._outcomes: list[str] = []
        self._proven = any(trial.state == TrialState.COMPLETE for trial in trials)
        self._spent, self._begun = seconds_spent(study), time.monotonic()

    @property
    def common_failure(self) -> str | None:
        """Why every trial seems to fail: the reason that the first three of them share.

        ``None`` where a trial of the study is complete, or one under way has a score: then it is
        not the set-up that is at fault.
        """
        reasons = set(self._outcomes[:_ALIKE])
        if len(self._outcomes) < _ALIKE or len(reasons) > 1:
            return None
        if self._proven or any(self._values.values()):
            return None
        return reasons.pop() or None

    def next(self) -> RunInfo | None:
        """Return the next run, ``None`` when trials or time are used up."""
        if self._references:
            return self._references.pop(0)
        while self._orphans:
            run = self._taken_up(self._orphans.pop(0))
            if run is not None:
                return run
        if self._next_seeds:
            return self._next_seeds.pop(0)
        from .samplers import trials_left

        while trials_left(self._space, self._asked, len(self._given)):
            if self._over() or self.common_failure:
                return None
            run = self._proposed()
            if run is not None:
                return run
        return None

    def waits(self) -> bool:
        """Return whether a trial under way may have further seeds to run."""
        return self._space.seeds > 1 and bool(self._under_way)

    def past(self, run: RunInfo) -> Mapping[int, float]:
        """Return the scores that Optuna has of this run, of a trial's first one."""
        number = self._numbers.get(run.key)
        if number is None or run.role == _SEED:
            return {}
        return self._values.setdefault(number, {})

    def reported(self, run: RunInfo, interval: int, score: float) -> None:
        """Give Optuna the score of an evaluation, once; of a trial's first run."""
        number = self._numbers.get(run.key)
        if number is None or run.role == _SEED or interval in self._values.setdefault(number, {}):
            return
        self._values[number][interval] = score
        trial = self._trial_id(number)
        if len(self._space.goals) == 1:
            self._storage.set_trial_intermediate_value(trial, interval, score)
        else:
            scores = {str(at): value for at, value in self._values[number].items()}
            self._storage.set_trial_user_attr(trial, EVALUATIONS, scores)

    def stopping(self, run: RunInfo) -> str:
        """Return who asked for the end of a trial, from another terminal perhaps."""
        number = self._numbers.get(run.key)
        return "" if number is None else self._asked_to_stop(number)

    def _asked_to_stop(self, number: int) -> str:
        return str(self._storage.get_trial_user_attrs(self._trial_id(number)).get(STOP, ""))

    def ended(self, run: RunInfo, state: State, score: float | None, reason: str) -> None:
        """Tell Optuna the truth about a trial that is over, or have its next seed run."""
        number = self._numbers.get(run.key)
        if number is None:
            return
        if self._space.seeds > 1:
            if score is not None:
                self._keep_seed(number, run.config.seed, score)
                following = self._following(number)
                if following is not None:
                    self._next_seeds.append(following)
                return
            reason = f"seed {run.config.seed}: {reason}"
        self._conclude(number, state, score, reason)

    def _conclude(self, number: int, state: State, score: float | None, reason: str) -> None:
        """Tell Optuna of a trial, ``seconds`` among it: its own clock counts waits."""
        runs = trial_runs(self._folder, number, self._space.trial_seeds)
        for name, value in trial_attributes(runs[0][0]).items() if runs else ():
            self._storage.set_trial_user_attr(self._trial_id(number), name, value)
        lasted = [record.seconds for record, _ in runs if record.seconds is not None]
        if lasted:
            self._storage.set_trial_user_attr(self._trial_id(number), _SECONDS, sum(lasted))
        values = None if score is None else [score]
        if score is not None and self._space.outcomes and len(runs) < self._space.seeds:
            why = "the record of one of its seeds cannot be read, so its results have no mean"
            state, values, reason = "FAIL", None, why
        elif score is not None and runs:
            try:
                values = objective_values(self._space, score, runs)
                self._constrain(number, constraint_excesses(self._space, runs))
            except UserError as error:
                state, values, reason = "FAIL", None, str(error)
        self._tell(number, state, values, reason)
        if state == "COMPLETE" and self._space.constraints:
            self._warn()
        self._outcomes.append(reason if state == "FAIL" else "")
        self._proven |= state == "COMPLETE"
        self._values.pop(number, None)
        spent = self._spent + time.monotonic() - self._begun
        self._study.set_user_attr(_SECONDS, round(spent, 1))

    def _keep_seed(self, number: int, seed: int, score: float) -> None:
        known = scores_by_seed(self._storage.get_trial(self._trial_id(number)))
        kept = {str(seed): value for seed, value in {**known, seed: score}.items()}
        self._storage.set_trial_user_attr(self._trial_id(number), SEEDS, kept)

    def _following(self, number: int) -> RunInfo | None:
        """Return a trial's run on its next seed; where it needs none, tell Optuna how it ended."""
        scores = scores_by_seed(self._storage.get_trial(self._trial_id(number)))
        left = [seed for seed in self._space.trial_seeds if seed not in scores]
        if not left:
            mean = fmean(scores.values())
            self._say(f"trial {number}: mean score {mean:.4f} over {seed_span(list(scores))}")
            self._conclude(number, "COMPLETE", mean, "")
            return None
        run = self._on_seed(number, left[0])
        if run.folder.exists():  # a driver that died had decided so
            return run
        stopped = f"stopped after {len(scores)} of {self._space.seeds} seeds"
        if asked := self._asked_to_stop(number):
            reason = f"{stopped}: {asked}"
        else:
            reason = hopeless(number, own_trials(self._study), self._space)
        if not reason and self._over():
            reason = f"{stopped}: the hours were over"
        if reason:
            self._say(f"trial {number}: {reason}")
            self._conclude(number, "PRUNED", None, reason)
            return None
        return run

    def _on_seed(self, number: int, seed: int) -> RunInfo:
        trial = self._storage.get_trial(self._trial_id(number))
        config = RunConfig.model_validate_json(trial.user_attrs[_RUN])
        place = self._folder / SEEDS_FOLDER
        run = on_seed(self._space, number, (config, trial.params), seed, place, _SEED)
        self._numbers[run.key] = number
        self._under_way.add(number)
        return run

    def _constrain(self, number: int, excesses: Mapping[str, float]) -> None:
        """Give Optuna the constraints of a trial; those of an earlier driver stand."""
        from optuna.trial import Trial

        if not excesses:
            return
        known = self._storage.get_trial(self._trial_id(number)).constraints
        trial = Trial(self._study, self._trial_id(number))
        for name, excess in excesses.items():
            if name not in known:
                trial.set_constraint(name, excess)

    def _warn(self) -> None:
        """Say so when the first trials that are complete all break a constraint."""
        complete = outcomes_of(own_trials(self._study))
        if len(complete) == _FIRST and not any(item.is_feasible for item in complete):
            self._say(f"{all_infeasible(complete, self._space)}; the study goes on")

    def _tell(self, number: int, state: State, values: list[float] | None, reason: str) -> None:
        from optuna.trial import TrialState

        if reason:
            self._storage.set_trial_user_attr(self._trial_id(number), _REASON, reason)
        self._study.tell(number, values, TrialState[state], skip_if_finished=True)
        self._under_way.discard(number)

    def _proposed(self) -> RunInfo | None:
        # Those that wait have the next numbers, and Optuna takes them first.
        self._use_sampler(self._prior + self._asked)
        self._asked += 1
        trial = self._study.ask()
        given_by = trial.user_attrs.get(GIVEN_BY, "")
        if given_by:
            self._given.add(trial.number)
        try:
            return self._settled(trial.number, self._space.suggest(trial), given_by)
        except ConfigError as error:
            self._tell(trial.number, "FAIL", None, str(error))
            return None

    def _taken_up(self, trial: FrozenTrial) -> RunInfo | None:
        from optuna.trial import Trial

        if scores_by_seed(trial):
            return self._following(trial.number)

        given_by = trial.user_attrs.get(GIVEN_BY, "")
        if _RUN in trial.user_attrs:
            config = RunConfig.model_validate_json(trial.user_attrs[_RUN])
            return self._run(trial.number, trial.params, config, given_by)
        # The driver died between two settings: what was chosen stays, the rest is proposed now.
        self._use_sampler(trial.number)
        half = Trial(self._study, self._trial_id(trial.number))
        return self._settled(trial.number, self._space.suggest(half), given_by)

    def _settled(self, number: int, params: Mapping[str, Value], given_by: str) -> RunInfo:
        config = self._space.trial_config(params)
        # The whole configuration, so that a resume does not depend on how a space is read.
        self._storage.set_trial_user_attr(self._trial_id(number), _RUN, config.model_dump_json())
        return self._run(number, params, config, given_by)

    def _run(
        self, number: int, params: Mapping[str, Value], config: RunConfig, given_by: str
    ) -> RunInfo:
        key = trial_key(number)
        self._numbers[key] = number
        self._under_way.add(number)
        folder = self._folder / TRIALS_FOLDER / key
        metric = self._space.objective.metric
        return RunInfo(
            key,
            fresh_name(number, config.seed) if self._space.seeds > 1 else f"trial {number}",
            config,
            dict(params),
            folder,
            metric=metric,
            outcomes=self._space.outcomes,
            given_by=given_by,
        )

    def _use_sampler(self, number: int) -> None:
        from .samplers import make_sampler

        before = self._prior + sum(other < number for other in self._given)
        self._study.sampler = make_sampler(self._space, number, number - before)

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)


def with_fixed_sampler(
    space: Space, study: OptunaStudy, say: Callable[[str], None] = lambda line: None
) -> Space:
    """Return the space with the sampler that ``auto`` stands for in this study.

    It is chosen once: a resume with more trials goes on with the same one.
    """
    if space.sampler.name != "auto":
        return space
    name = study.user_attrs.get(_SAMPLER)
    if name is None:
        name, why = chosen_sampler(space.search_task)
        study.set_user_attr(_SAMPLER, name)
        say(f"sampler: {name} ({why})")
    return space.model_copy(update={"sampler": space.sampler.model_copy(update={"name": name})})


def seconds_spent(study: OptunaStudy) -> float:
    """Return the time that drivers have spent on a study, to the last trial that ended."""
    return float(study.user_attrs.get(_SECONDS, 0.0))


def reason_of(trial: FrozenTrial) -> str:
    """Return why a trial was pruned or failed, empty for others."""
    return str(trial.user_attrs.get(_REASON, ""))
