"""Samplers whose proposal follows from the trial's number or its predecessors: qmc, grid, cmaes.

Optuna's own keep their place in the study, as a counter or as a pickle: ours have none to lose.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.samplers import BaseSampler

from ..analysis import PRIOR, outcomes_of
from ..config.space import CmaesOptions, QmcOptions, Space, Value, active, grid_points

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial


class _WholeSampler(BaseSampler):
    """A sampler that proposes all settings of a trial at once.

    Args:
        space: What is searched.
        place: Of the trial among the proposals, from 0.
        seed: Of the trial.
    """

    def __init__(self, space: Space, place: int, seed: int) -> None:
        self._space, self._place, self._seed = space, place, seed

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return every searched setting."""
        return self._space.distributions()

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the settings of the trial."""
        return dict(self._propose(study))

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return one setting of the trial alone."""
        return self._propose(study)[param_name]

    def _propose(self, study: Study) -> Mapping[str, Value]:
        raise NotImplementedError


class QmcSampler(_WholeSampler):
    """Proposal n is point n of a Sobol' or Halton sequence, a dimension a setting.

    A conditional setting has a dimension too, left unused where the setting is not searched.
    """

    def _propose(self, study: Study) -> Mapping[str, Value]:
        from scipy.stats import qmc

        options = QmcOptions(**self._space.sampler.options)
        kind = qmc.Sobol if options.qmc_type == "sobol" else qmc.Halton
        search = self._space.search
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one point is no balanced set; the sequence is
            sequence = kind(len(search), scramble=options.scramble, rng=self._space.sampler.seed)
            if self._place:  # SciPy fails on a Sobol' sequence that is forwarded by 0
                sequence.fast_forward(self._place)
            (shares,) = sequence.random(1)
        pairs = zip(search.items(), shares, strict=True)
        return active(search, {name: item.at(float(share)) for (name, item), share in pairs})


class GridSampler(_WholeSampler):
    """Proposal n is point n of the grid, which the seed has shuffled."""

    def _propose(self, study: Study) -> Mapping[str, Value]:
        return shuffled_grid(self._space)[self._place]


class CmaesSampler(_WholeSampler):
    """CMA-ES (Hansen 2016, as the package ``cmaes`` has it) on the settings' own scales.

    The random trials at the start, or those of a prior, give the first mean, the best of them. The
    complete trials after them, by number, are told in generations of ``popsize``; what is left of
    the last one waits. The proposal is drawn from that state by the seed and the trial's number.
    """

    def _propose(self, study: Study) -> Mapping[str, Value]:
        from cmaes import CMA

        space, search = self._space, self._space.search
        options = CmaesOptions(**space.sampler.options)
        trials = study.get_trials(deepcopy=False)
        outcomes = outcomes_of(trials)
        prior = sum(PRIOR in trial.user_attrs for trial in trials)
        begin = max(space.sampler.startup_trials, prior)
        first = [item for item in outcomes if item.number < begin]
        later = [item for item in outcomes if item.number >= begin]
        if len(outcomes) < space.sampler.startup_trials:
            draw = random.Random(self._seed)
            return {name: item.at(draw.random()) for name, item in search.items()}
        params = {trial.number: trial.params for trial in trials}

        def place(number: int) -> np.ndarray:
            return np.array([item.share(params[number][name]) for name, item in search.items()])

        best = max(first, key=lambda item: item.values[0], default=None)
        state = CMA(
            mean=np.full(len(search), 0.5) if best is None else place(best.number),
            sigma=options.sigma0 or 1 / 6,
            bounds=np.array([[0.0, 1.0]] * len(search)),
            seed=self._seed,
            population_size=options.popsize,
            lr_adapt=options.lr_adapt,
        )
        size = state.population_size
        for end in range(size, len(later) + 1, size):
            state.tell([(place(o.number), -o.values[0]) for o in later[end - size : end]])
        shares = zip(search.items(), state.ask(), strict=True)
        return {name: item.at(float(share)) for (name, item), share in shares}


def shuffled_grid(space: Space) -> list[dict[str, Value]]:
    """Return the points of a space's grid in the order in which they are tried."""
    return _shuffled_grid(space.model_dump_json(exclude={"trials", "hours", "resources"}))


@lru_cache(maxsize=4)
def _shuffled_grid(text: str) -> list[dict[str, Value]]:
    space = Space.model_validate_json(text)
    points = grid_points(space.search, space.as_run_config(), space.parsed_rules) or []
    random.Random(space.sampler.seed).shuffle(points)
    return points
