"""Successive halving: every rung is a whole run, shortened; its best begin anew at the next one.

ASHA looks at runs under way, and LoRA² prunes its rank by a schedule made for the whole run: before
its end no rung can tell target ranks apart (see `grace`). Here a rung's runs are complete: fewer
steps with every schedule in proportion, or the same passes over fewer examples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from ...errors import ConfigError
from ..run import RunConfig, with_settings
from ..settings import Settings
from .distribution import Distribution
from .feasibility import problems_with

if TYPE_CHECKING:
    from .schema import Scheduler

By = Literal["steps", "data"]

# Why a scheduler that people ask for is not here.
REFUSED_SCHEDULERS = {
    "pbt": "it changes settings while a trial runs: a rank budget is scheduled for the whole run, "
    "and the settings that Optuna has of the trial would no longer be those it was trained with; "
    "take asha or halving",
    "hyperband": "it needs as many trials at once as its bracket is wide, else it stops none, and "
    "it judges runs under way, whose ranks are not pruned yet; take halving",
}

# Schedules of PEFT's AdaLoRA, in steps.
_PEFT_STEPS = ("tinit", "tfinal")


def shares(scheduler: Scheduler) -> list[Fraction]:
    """Return the share of a whole run that each rung's runs take, the last one 1."""
    last = scheduler.rungs - 1
    return [Fraction(1, scheduler.factor ** (last - rung)) for rung in range(scheduler.rungs)]


def survivors(count: int, factor: int) -> int:
    """Return how many of a rung's runs begin anew at the next: one in ``factor``, rounded up."""
    return math.ceil(count / factor)


def at_share(config: RunConfig, share: Fraction, by: By) -> RunConfig:
    """Return a run that is a share of another one.

    Args:
        config: The whole run.
        share: Up to 1, which leaves it as it is.
        by: ``steps``: fewer steps, or passes, on the same examples. ``data``: the same passes over
            that share of the training examples.

    Raises:
        ConfigError: So short a run is not possible.
    """
    if share == 1:
        return config
    settings: Settings = {}
    training = config.training
    if training.steps is not None:
        settings["training.steps"] = _scaled(training.steps, share, least=1)
    elif by == "steps":
        settings["training.epochs"] = float(training.epochs * share)
    if by == "data":
        settings["data.train_size"] = _of_size(config.data.train_size, share)
    settings["training.evaluations"] = _scaled(training.evaluations, share, least=1)
    for name in ("training.warmup", "adapter.t_init", "adapter.t_final"):
        settings |= _steps(config, name, share, least=0)
    settings |= _steps(config, "adapter.delta_t", share, least=1)
    for name in _PEFT_STEPS if config.method == "peft" else ():
        value = config.peft.own().get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            settings[f"peft.{name}"] = _scaled(value, share, least=0)
    return with_settings(config, settings)


def rung_key(trial: int, rung: int) -> str:
    """Return the key, and the folder's name, of a trial's run at a later rung: ``3-rung2``."""
    return f"{trial}-rung{rung}"


def rung_name(key: str) -> str:
    """Return what the run of a `rung_key` is called for people: ``trial 3, rung 2``."""
    trial, _, rung = key.partition("-rung")
    return f"trial {trial}, rung {rung}"


def runs_above(trials: int, scheduler: Scheduler) -> list[int]:
    """Return how many runs each later rung has where every trial of the first one completes."""
    counts = []
    for _ in range(scheduler.rungs - 1):
        trials = survivors(trials, scheduler.factor)
        counts.append(trials)
    return counts


def halving_problems(
    scheduler: Scheduler, base: RunConfig, search: Mapping[str, Distribution], objectives: int
) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for what keeps a space from being halved.

    Args:
        scheduler: As written.
        base: The fixed settings.
        search: The searched ones.
        objectives: How many there are.
    """
    if objectives > 1:
        yield "scheduler.name", "halving ranks by one score, and here are several objectives"
    lengths = ("training.steps", "training.epochs", "training.evaluations", "data.train_size")
    for name in lengths:
        if name in search:
            yield (
                "scheduler.name",
                f"halving shortens runs, and {name} is searched: trials of one rung would not "
                "take the same; give it one value",
            )
    first = shares(scheduler)[0]
    steps = base.training.steps
    if steps is not None and steps * first < 1:
        yield (
            "scheduler.rungs",
            f"a run of the first rung would have less than a step: {first} of {steps}; take fewer "
            "rungs, or a smaller factor",
        )
        return
    if not list(problems_with(base, {})):
        yield from _too_short(base, first, scheduler.by)


def _too_short(base: RunConfig, first: Fraction, by: By) -> Iterator[tuple[str, str]]:
    try:
        at_share(base, first, by)
    except ConfigError as error:
        for problem in error.problems:
            yield "scheduler.rungs", f"in the first rung, {first} of a run: {problem.message}"


def _steps(config: RunConfig, name: str, share: Fraction, least: int) -> Settings:
    """Return a schedule's length scaled, where it is in steps; a fraction scales by itself."""
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return {name: _scaled(value, share, least)} if isinstance(value, int) else {}


def _scaled(count: int, share: Fraction, least: int) -> int:
    return max(least, round(count * share))


def _of_size(size: int | float | None, share: Fraction) -> int | float:
    if isinstance(size, int):
        return max(2, round(size * share))
    return float(share if size is None else Fraction(str(size)) * share)
