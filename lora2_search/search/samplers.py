"""The sampler of each trial: a new one, seeded by the trial's number."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from ..config.space import GpOptions, NsgaiiOptions, Space, TpeOptions, is_conditional
from .own_samplers import CmaesSampler, GridSampler, QmcSampler, shuffled_grid
from .rule_keeper import RuleKeeper

# Their next draw would be the same one.
_UNVARIED = ("gp", "cmaes", "qmc")


def make_sampler(space: Space, number: int, place: int | None = None) -> BaseSampler:
    """Return the sampler that proposes a trial of a space.

    A new one for each trial, seeded by the trial's number, needs no state to be saved: a resumed
    study proposes what the unbroken one would have. Conditional settings are modelled in groups.

    Args:
        space: What is searched; its sampler has a name other than ``auto``.
        number: Of the trial, from 0.
        place: Among the proposals, from 0; by default its number, where no trial was given.
    """
    place = number if place is None else place
    name, seed = space.sampler.name, space.sampler.seed + number
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        sampler = _MAKERS[name](space, place, seed)
    if not space.rules or name == "grid":  # a grid has only points that obey
        return sampler
    return RuleKeeper(sampler, space, seed, draws=1 if name in _UNVARIED else 10)


def trials_left(space: Space, asked: int, given: int = 0) -> bool:
    """Return whether a study has trials left.

    Args:
        space: What is searched.
        asked: Trials that have begun.
        given: Those of them whose settings were given, which are no points of a grid.
    """
    if space.trials is not None and asked >= space.trials:
        return False
    return space.sampler.name != "grid" or asked - given < len(shuffled_grid(space))


def _tpe(space: Space, place: int, seed: int) -> BaseSampler:
    return TPESampler(
        seed=seed,
        n_startup_trials=space.sampler.startup_trials,
        multivariate=True,
        group=is_conditional(space.search),
        **_options(space, TpeOptions),
    )


def _gp(space: Space, place: int, seed: int) -> BaseSampler:
    return GPSampler(
        seed=seed,
        n_startup_trials=space.sampler.startup_trials,
        warn_independent_sampling=False,
        **_options(space, GpOptions),
    )


def _nsgaii(space: Space, place: int, seed: int) -> BaseSampler:
    return NSGAIISampler(seed=seed, **_options(space, NsgaiiOptions))


def _options(space: Space, kind: type[TpeOptions | GpOptions | NsgaiiOptions]) -> dict[str, Any]:
    return kind(**space.sampler.options).model_dump()


_MAKERS: dict[str, Callable[[Space, int, int], BaseSampler]] = {
    "tpe": _tpe,
    "gp": _gp,
    "nsgaii": _nsgaii,
    "cmaes": lambda space, place, seed: CmaesSampler(space, place, seed),
    "qmc": lambda space, place, seed: QmcSampler(space, place, seed),
    "grid": lambda space, place, seed: GridSampler(space, place, seed),
    "random": lambda space, place, seed: RandomSampler(seed=seed),
}
