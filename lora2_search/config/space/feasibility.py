"""Settings that do not go together, tried at the corners of a space before it runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any

from ...errors import ConfigError, Problem
from ..run import RunConfig, setting_names, with_settings
from .distribution import Distribution, Value, active, in_order
from .rules import Rule, obeyed

# Of each setting at least so many values are tried with those of each other one.
_FEWEST_TRIED = 10

_MOST_CORNERS = 3_000


def corner_problems(
    base: RunConfig, search: Mapping[str, Distribution], rules: Sequence[Rule] = ()
) -> Iterator[tuple[str, str]]:
    """Yield (setting, message): a searched setting, and which others it does not go with.

    The edges of each pair of settings are tried, the rest at their first value: no rule of a run
    ties more than two searched settings, so pairs find every clash. Corners that break a rule of
    the space are left out: no trial is there.
    """
    first = {name: item.endpoints()[0] for name, item in in_order(search)}
    pairs = list(combinations(search, 2)) or [(name, name) for name in search]
    reported: set[str] = set()
    most = max(_FEWEST_TRIED, math.isqrt(_MOST_CORNERS // max(len(pairs), 1)))
    edges = {name: _spread(item.endpoints(), most) for name, item in search.items()}
    for left, right in pairs:
        both = product(edges[left], edges[right])
        for a, b in both if left != right else [(value, value) for value in edges[left]]:
            corner = active(search, {**first, left: a, right: b})
            if left not in corner or right not in corner or not obeyed(rules, base, corner):
                continue
            for problem in problems_with(base, corner):
                rule = problem.message.partition(", but got")[0]
                if rule not in reported:
                    reported.add(rule)
                    yield _clash(base, search, corner, right, problem.message)


def _spread(values: list[Value], most: int) -> list[Value]:
    """Return at most so many values, first and last among them: long lists are sampled."""
    if len(values) <= most:
        return values
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]


def problems_with(base: RunConfig, params: Mapping[str, Value]) -> list[Problem]:
    """Return what is wrong with a run of these settings."""
    try:
        with_settings(base, dict(params))
    except ConfigError as error:
        return error.problems
    return []


def _clash(
    base: RunConfig,
    search: Mapping[str, Distribution],
    corner: Mapping[str, Value],
    tried: str,
    message: str,
) -> tuple[str, str]:
    """Return the searched setting to blame, and the message that names its partners."""
    matter = _that_matter(base, search, corner)
    searched = [name for name in search if name in matter]
    blamed = searched[-1] if searched else tried
    partners = [name for name in searched if name != blamed]
    fixed = {name: _value(base, name) for name in matter if name not in corner}
    partners += [f"{name}={value!r}" for name, value in fixed.items()]
    if not partners:
        return blamed, f"cannot be {corner[blamed]!r}: {message}"
    return blamed, f"does not go with {', '.join(partners)}: {message}"


def _that_matter(
    base: RunConfig, search: Mapping[str, Distribution], corner: Mapping[str, Value]
) -> list[str]:
    """Return the settings, searched or fixed, each of which would mend the corner if it changed."""
    matter = []
    for name in setting_names(RunConfig):
        others = [*search[name].endpoints()] if name in corner else []
        others += _far_from(corner[name] if name in corner else _value(base, name))
        if any(not problems_with(base, {**corner, name: other}) for other in others):
            matter.append(name)
    return matter


def _far_from(value: Any) -> list[Value]:
    """Return numbers that are far below and far above a number; none for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return []
    return [1, value * 1000] if isinstance(value, int) else [value / 1000, value * 1000]


def _value(base: RunConfig, name: str) -> Any:
    value: Any = base
    for part in name.split("."):
        value = getattr(value, part)
    return value
