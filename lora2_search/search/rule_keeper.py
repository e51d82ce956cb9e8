"""A sampler whose proposals obey the rules of a space: drawn again, then repaired."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optuna.samplers import BaseSampler

from ..config.space import Space, Value, active, in_order, is_searched, obeyed
from ..errors import ConfigError, Problem
from .given import GIVEN

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState

_CANDIDATES = 2_000


class RuleKeeper(BaseSampler):
    """Draws from another sampler until the settings obey a space's rules.

    All settings of a trial are drawn at once, before Optuna keeps any of them. After that the last
    draw is repaired: of 2,000 settings in which some of those that the rules name are drawn at
    random, the nearest that obeys is taken (by the sum of distances, each on its setting's scale).

    Args:
        sampler: Draws the settings; what it leaves open it draws one by one.
        space: Whose rules.
        seed: Of the repair.
        draws: How many are made before that.
    """

    def __init__(self, sampler: BaseSampler, space: Space, seed: int, draws: int) -> None:
        self._sampler, self._space, self._seed, self._draws = sampler, space, seed, draws
        self._base, self._rules = space.as_run_config(), space.parsed_rules

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return every searched setting: rules tie them together."""
        return self._space.distributions()

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return settings that obey the rules and make a valid run.

        Raises:
            ConfigError: None were found.
        """
        # Settings that were given stand, and so does what a driver that died had chosen.
        fixed = {**trial.user_attrs.get(GIVEN, {}), **trial.params}
        params: dict[str, Value] = {}
        for _ in range(self._draws):
            params = self._draw(study, trial, fixed)
            if obeyed(self._rules, self._base, params) and self._is_valid(params):
                return params
        return self._repaired(params, fixed)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one setting alone; never needed, since `sample_relative` returns all of them."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Pass it on."""
        self._sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Pass it on."""
        self._sampler.after_trial(study, trial, state, values)

    def _draw(
        self, study: Study, trial: FrozenTrial, fixed: Mapping[str, Value]
    ) -> dict[str, Value]:
        together = self._sampler.infer_relative_search_space(study, trial)
        drawn = {**self._sampler.sample_relative(study, trial, together), **fixed}
        params: dict[str, Value] = {}
        for name, item in in_order(self._space.search):
            if is_searched(name, item, params):
                if name not in drawn:
                    drawn[name] = self._sampler.sample_independent(
                        study, trial, name, item.to_optuna()
                    )
                params[name] = drawn[name]
        return params

    def _repaired(
        self, params: Mapping[str, Value], chosen: Mapping[str, Value]
    ) -> dict[str, Value]:
        search, draw = self._space.search, random.Random(self._seed)
        free = [
            name
            for name in dict.fromkeys(name for rule in self._rules for name in rule.settings)
            if name in search and name not in chosen
        ]
        found: list[tuple[float, dict[str, Value]]] = []
        for _ in range(_CANDIDATES):
            values = {
                name: params[name] if name in params else item.at(draw.random())
                for name, item in search.items()
            }
            values |= {name: search[name].at(draw.random()) for name in free if draw.random() < 0.5}
            candidate = active(search, values)
            if obeyed(self._rules, self._base, candidate):
                found.append((self._distance(params, candidate), candidate))
        for _, candidate in sorted(found, key=lambda pair: pair[0]):
            if self._is_valid(candidate):
                return candidate
        message = f"none of {_CANDIDATES:,} repairs of a proposal obeys them and makes a valid run"
        raise ConfigError([Problem("rules", message)])

    def _distance(self, one: Mapping[str, Value], other: Mapping[str, Value]) -> float:
        search = self._space.search
        return sum(
            abs(search[name].share(one[name]) - search[name].share(other[name]))
            if name in one and name in other
            else 1.0
            for name in one.keys() | other.keys()
        )

    def _is_valid(self, params: Mapping[str, Value]) -> bool:
        try:
            self._space.run_config(params)
        except ConfigError:
            return False
        return True
