"""What is wrong with the tests that a suite names: comparisons, contrasts, equivalence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from ..errors import did_you_mean
from ..source import KeyPath
from .parts import Parts
from .varied import Found


def family_problems(parts: Parts) -> Found:
    """Yield tests of arms that do not exist, tests that test nothing, and tests named twice."""
    yield from _comparisons(parts)
    yield from _contrasts(parts)
    yield from _equivalence(parts)


def _unknown(parts: Parts, path: KeyPath, names: Iterable[str]) -> Found:
    for name in names:
        if parts.complete and name not in parts.names:
            yield path, f"no arm {name!r}; {did_you_mean(name, parts.names)}"


def _comparisons(parts: Parts) -> Found:
    seen: set[frozenset[str]] = set()
    for index, pair in parts.pairs.items():
        path = ("comparisons", str(index))
        yield from _unknown(parts, path, pair)
        if len(set(pair)) < 2:
            yield path, f"compares {pair[0]!r} with itself; name two arms"
        elif frozenset(pair) in seen:
            yield (
                path,
                f"{pair} is named twice, and would count twice in the correction; drop one",
            )
        seen.add(frozenset(pair))


def _contrasts(parts: Parts) -> Found:
    seen: dict[frozenset[tuple[str, float]], str] = {
        _direction({arm: 1.0, reference: -1.0}): f"the comparison of {arm} with {reference}"
        for arm, reference in parts.pairs.values()
        if arm != reference
    }
    for name, weights in parts.contrasts.items():
        path = ("contrasts", name)
        yield from _unknown(parts, path, weights)
        total = math.fsum(weights.values())
        if not any(weights.values()):
            yield path, f"compares nothing: give two arms or more a weight, but got {weights}"
        elif abs(total) > 1e-9 * max(map(abs, weights.values())):
            yield path, f"weights must sum to 0, but they sum to {total:g}: {weights}"
        else:
            same = seen.setdefault(_direction(weights), f"contrast {name!r}")
            if same != f"contrast {name!r}":
                why = "would count twice in the correction; leave one of them out"
                yield path, f"tests the same as {same}, and {why}"


def _direction(weights: Mapping[str, float]) -> frozenset[tuple[str, float]]:
    """Return the same for contrasts that differ by a factor, which no test looks at."""
    kept = {arm: weight for arm, weight in sorted(weights.items()) if weight}
    scale = next(iter(kept.values()), 1.0)
    return frozenset((arm, round(weight / scale, 9)) for arm, weight in kept.items())


def _equivalence(parts: Parts) -> Found:
    seen: set[frozenset[str]] = set()
    for index, item in parts.equivalence.items():
        path = ("equivalence", str(index))
        pair = frozenset((item.arm, item.reference))
        yield from _unknown(parts, path, (item.arm, item.reference))
        if len(pair) < 2:
            yield path, f"compares {item.arm!r} with itself; name two arms"
        elif pair in seen:
            yield path, f"{sorted(pair)} is named twice; choose one margin before the run"
        seen.add(pair)
