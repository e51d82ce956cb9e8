"""When a trial may be stopped early without misjudging it.

LoRA² (as AdaLoRA) prunes its rank by a schedule made for the whole run: r singular values a matrix
until ``t_init``, then ever fewer, ``target_rank`` from step ``T - t_final`` on. A trial stopped
before that step was judged with ranks that it would not have kept: at T/9 every target rank still
has the same budget, so an early rung cannot tell them apart and would choose between them by
chance.

So ASHA's grace period covers the end of the budget schedule: no trial is stopped before the first
evaluation at or after step ``T - t_final``. The price is that a space with a short ``t_final``
stops nobody early; `notes` says so. The other way, a schedule shortened to each rung, makes a trial
that goes on begin anew: that is `halving`.

Where nothing is pruned (another method, ``scoring: none``, no target rank below r) the first
evaluation may decide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product

from ...errors import ConfigError
from ..run import RunConfig, with_settings
from .distribution import Distribution, Value, in_order

# All that decides how long the budget schedule of a configuration runs.
_DECISIVE = (
    "method",
    "adapter.target_rank",
    "adapter.r",
    "adapter.scoring",
    "adapter.t_final",
    "peft.peft_type",
    "peft.tfinal",
    "training.steps",
)


def settled_at(config: RunConfig) -> int:
    """Return the first evaluation of a run (1, 2 ...) whose ranks are final.

    Exact where ``training.steps`` is given, to the rounding of one step where a fraction meets
    epochs. ``t_final`` in steps with a run measured in epochs cannot be placed before the data is
    known: then only the last evaluation is sure to be late enough.
    """
    training, t_final = config.training, config.unpruned_end
    if not config.prunes:
        return 1
    if training.steps is not None:
        return _first_stop(training.steps, training.evaluations, t_final)
    if isinstance(t_final, int):
        return training.evaluations
    # A hair less than the exact product, so that 0.4 * 5 is the second evaluation, not the third.
    return max(1, math.ceil((1 - t_final) * training.evaluations - 1e-9))


def _first_stop(total: int, evaluations: int, t_final: int | float) -> int:
    end = total - (t_final if isinstance(t_final, int) else int(t_final * total))
    count = min(evaluations, total)
    return next((i for i in range(1, count + 1) if round(total * i / count) >= end), count)


def shortest_grace(base: RunConfig, search: Mapping[str, Distribution]) -> int:
    """Return the evaluations that every trial of a space must do before it may be stopped.

    The rule is monotone in each setting, so the corners of the searched ranges decide.
    """
    decisive = {name: item for name, item in in_order(search) if name in _DECISIVE}
    latest = 1
    for values in product(*(_extremes(item) for item in decisive.values())):
        params: dict[str, Value] = {}
        for (name, item), value in zip(decisive.items(), values, strict=True):
            if all(
                params.get(other, allowed[0]) in allowed for other, allowed in item.conditions()
            ):
                params[name] = value
        try:
            latest = max(latest, settled_at(with_settings(base, dict(params))))
        except ConfigError:
            continue  # a corner that cannot run is reported as such
    return min(latest, base.training.evaluations)


def _extremes(item: Distribution) -> list[Value]:
    """Return the lowest and highest number of a setting, and every value that is none."""
    values = item.endpoints()
    numbers = [value for value in values if isinstance(value, int | float)]
    others = [value for value in values if not isinstance(value, int | float)]
    return others + sorted({min(numbers), max(numbers)} if numbers else ())


def grace_period(base: RunConfig, search: Mapping[str, Distribution], requested: int | None) -> int:
    """Return the grace period in evaluations: the wanted one, or the shortest that is fair."""
    return shortest_grace(base, search) if requested is None else requested


def rungs(last: int, grace: int, reduction_factor: int) -> list[int]:
    """Return the evaluations at which ASHA compares trials, the first one being ``grace``."""
    evaluations = [grace]
    while evaluations[-1] * reduction_factor <= last:
        evaluations.append(evaluations[-1] * reduction_factor)
    return evaluations


def notes(base: RunConfig, search: Mapping[str, Distribution], requested: int | None) -> list[str]:
    """Return what a user of ASHA should know about this space; empty when all is well."""
    last = base.training.evaluations
    grace = grace_period(base, search, requested)
    if grace < last:
        return []
    return [
        f"ASHA cannot stop any trial early: a trial can be judged fairly only from evaluation "
        f"{grace} of {last} on; raise training.evaluations or adapter.t_final to allow it"
    ]
