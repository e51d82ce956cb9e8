"""What a study has before its sampler proposes anything: a prior, and trials that were given.

Both are put into Optuna's study when it begins, one by one: a driver that dies between two of them
leaves the rest to the one that resumes the study, before any trial of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..analysis import PRIOR, givers
from ..config.space import Space
from .given import enqueue
from .prior import stored_plan

if TYPE_CHECKING:
    from optuna.study import Study as OptunaStudy

TRY_FIRST = "try_first"


def begin(study: OptunaStudy, space: Space) -> None:
    """Put in what a study begins with and does not have yet.

    The trials of a prior come first, complete; then those of ``try_first``, then the best settings
    of an older study, each of which waits for its turn.
    """
    plan = stored_plan(study)
    trials = study.get_trials(deepcopy=False)
    known = sum(PRIOR in trial.user_attrs for trial in trials)
    for item in plan.prior[known:]:
        study.add_trial(item.as_optuna(space, plan.study))
    waiting: list[tuple[Mapping[str, Any], str]] = [(item, TRY_FIRST) for item in space.try_first]
    waiting += [(item.params, f"trial {item.number} of {plan.study}") for item in plan.first]
    begun = {by for _, by in waiting}
    known = sum(by in begun for by in givers(trials).values())
    for settings, by in waiting[known:]:
        enqueue(study, space, settings, by)
