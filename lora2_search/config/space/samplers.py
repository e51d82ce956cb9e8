"""Who proposes the settings of a trial: the samplers, their options, and what they cannot do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ValidationError

from ..messages import problems_of
from ..run import RunConfig
from ..schema import Section
from ..yaml import Source
from .distribution import Distribution, is_conditional
from .grid import MOST_POINTS, continuous, grid_points
from .rules import parse_rule

SamplerName = Literal["auto", "tpe", "gp", "cmaes", "nsgaii", "qmc", "grid", "random"]

# Optuna's advice: a Gaussian process up to 500 trials, CMA-ES above 1,000.
_MOST_FOR_GP, _FEWEST_FOR_EVOLUTION = 500, 1_000


class NoOptions(Section):
    """Of samplers that have none."""


class TpeOptions(Section):
    """Those of ``optuna.samplers.TPESampler``."""

    n_ei_candidates: int = Field(24, ge=1)
    constant_liar: bool = True


class GpOptions(Section):
    """Those of ``optuna.samplers.GPSampler``."""

    deterministic_objective: bool = False


class CmaesOptions(Section):
    """Those of ``optuna.samplers.CmaEsSampler`` that its algorithm has: ``cmaes.CMA``."""

    sigma0: float | None = Field(None, gt=0, le=1)
    popsize: int | None = Field(None, ge=4, le=10_000)
    lr_adapt: bool = False


class NsgaiiOptions(Section):
    """Those of ``optuna.samplers.NSGAIISampler``."""

    population_size: int = Field(50, ge=2)
    mutation_prob: float | None = Field(None, ge=0, le=1)
    crossover_prob: float = Field(0.9, ge=0, le=1)
    swapping_prob: float = Field(0.5, ge=0, le=1)


class QmcOptions(Section):
    """Those of ``optuna.samplers.QMCSampler``; scrambled by default, so that the seed counts."""

    qmc_type: Literal["sobol", "halton"] = "sobol"
    scramble: bool = True


OPTIONS: dict[str, type[Section]] = {
    "auto": NoOptions,
    "tpe": TpeOptions,
    "gp": GpOptions,
    "cmaes": CmaesOptions,
    "nsgaii": NsgaiiOptions,
    "qmc": QmcOptions,
    "grid": NoOptions,
    "random": NoOptions,
}


class Sampler(Section):
    """Who proposes the settings. Trial n is drawn with ``seed + n``."""

    name: SamplerName = "tpe"
    seed: int = Field(0, ge=0)
    startup_trials: int = Field(
        10, ge=1, description="random trials before tpe, gp or cmaes models anything"
    )
    options: dict[str, Any] = Field({}, description="the sampler's own, as Optuna names them")


@dataclass(frozen=True)
class Search:
    """What decides which samplers can search a space.

    Attributes:
        settings: The searched settings.
        base: The fixed ones.
        rules: Between settings.
        objectives: How many there are.
        is_constrained: Whether results are constrained.
        is_pruned: Whether trials may be stopped early.
        trials: How many at most, ``None`` where hours alone bound the study.
    """

    settings: Mapping[str, Distribution]
    base: RunConfig
    rules: Sequence[str]
    objectives: int
    is_constrained: bool
    is_pruned: bool
    trials: int | None

    def points(self) -> int | None:
        """Return the points of its grid, ``None`` where it has none, or too many."""
        if any(continuous(item) for item in self.settings.values()):
            return None
        points = grid_points(self.settings, self.base, list(map(parse_rule, self.rules)))
        return None if points is None else len(points)


def sampler_problems(sampler: Sampler, search: Search) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for wrong options, and for a sampler that cannot search this space."""
    try:
        OPTIONS[sampler.name].model_validate(sampler.options)
    except ValidationError as error:
        kind = OPTIONS[sampler.name]
        for problem in problems_of(error, kind, Source(sampler.options)):
            message = problem.message
            if not kind.model_fields:
                message = f"sampler {sampler.name} has no options"
            yield f"sampler.options.{problem.key}", message
    for reason in _REFUSALS.get(sampler.name, _nothing)(search):
        yield "sampler.name", f"{sampler.name} {reason}"


def chosen_sampler(search: Search) -> tuple[SamplerName, str]:
    """Return the sampler that ``auto`` stands for in a space, and why.

    The first that applies:

    1. ``grid`` where it has no more points than there are trials;
    2. ``tpe`` where some trials search fewer settings than others, or rules tie settings;
    3. beyond 1,000 trials ``nsgaii`` for several objectives, else ``cmaes`` where it can;
    4. ``gp`` up to 500 trials where none is stopped early: it learns from complete ones alone;
    5. ``tpe``.
    """
    trials, points = search.trials, search.points()
    if trials is not None and points is not None and points <= trials:
        return "grid", f"its {points:,} points are no more than the {trials:,} trials"
    if is_conditional(search.settings) or search.rules:
        return "tpe", "settings depend on each other"
    if trials is not None and trials > _FEWEST_FOR_EVOLUTION:
        if search.objectives > 1:
            return "nsgaii", f"several objectives and more than {_FEWEST_FOR_EVOLUTION:,} trials"
        if not list(_cmaes_refusals(search)):
            return "cmaes", f"numbers alone and more than {_FEWEST_FOR_EVOLUTION:,} trials"
    if trials is not None and trials <= _MOST_FOR_GP and not search.is_pruned:
        return "gp", f"at most {_MOST_FOR_GP} trials, none of them stopped early"
    return "tpe", "trials may be stopped early" if search.is_pruned else "no other one fits better"


def _nothing(search: Search) -> Iterator[str]:
    return iter(())


def _unconditional(search: Search) -> Iterator[str]:
    if is_conditional(search.settings):
        yield (
            "models only settings that every trial searches, and here some are conditional (by "
            "`when`, or by the method); use tpe or random"
        )


def _cmaes_refusals(search: Search) -> Iterator[str]:
    if is_conditional(search.settings):
        yield from _unconditional(search)
        return
    categorical = [name for name, item in search.settings.items() if item.type == "categorical"]
    if categorical:
        yield f"searches numbers, and {categorical[0]} is categorical; use tpe or gp"
    if len(search.settings) == 1:
        yield "adapts how settings vary together, and here there is one; use tpe or gp"
    if search.objectives > 1:
        yield "has one objective, and here there are several; use nsgaii, tpe or gp"
    if search.is_constrained:
        yield "does not see constraints on results; use tpe, gp or nsgaii"


def _grid_refusals(search: Search) -> Iterator[str]:
    endless = [name for name, item in search.settings.items() if continuous(item)]
    if endless:
        yield f"needs a finite number of values, and {endless[0]} has none; give it `step`"
        return
    points = search.points()
    if points is None:
        yield f"would have more than {MOST_POINTS:,} points; use qmc or random"
    elif search.trials is not None and search.trials > points:
        yield f"has {points:,} points, fewer than trials={search.trials}; set trials to {points}"


_REFUSALS = {
    "gp": _unconditional,
    "nsgaii": _unconditional,
    "cmaes": _cmaes_refusals,
    "grid": _grid_refusals,
}
