"""What is wrong with a suite although every key and type in it is right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..config import RunConfig, misplaced, mistyped, setting_names, with_settings
from ..errors import ConfigError, Problem, did_you_mean
from ..search.objective import unmeasured
from ..source import Source
from .decisive import decisive

BASE = "base"

_ARM_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$")
_OTHER_SENTENCES = "arms are compared sentence by sentence, so all must share the test sentences"
_FIXED = {
    **{
        f"data.{name}": _OTHER_SENTENCES
        for name in ("path", "test_path", "revision", "text", "label", "kind", "split_seed")
    },
    "data.test_size": _OTHER_SENTENCES,
    "task": _OTHER_SENTENCES,
    "protocol": "arms must choose on the same split",
    "seed": "every arm runs every seed of `seeds`",
}


@dataclass(frozen=True)
class Parts:
    """The parts of a suite that could be read; the others have been reported already.

    Attributes:
        base: The base's settings, ``None`` if they cannot run.
        names: Every arm, as written.
        arms: What each arm changes.
        pairs: Named comparisons, by their place in the list.
        tests: Whether anything is to be tested.
        seeds: A count or a list.
        floor: Name of the head-only arm.
        metric: What is compared.
        seed_given: Whether the file sets ``seed``.
    """

    base: RunConfig | None
    names: list[str]
    arms: Mapping[str, Mapping[str, Any]]
    pairs: Mapping[int, list[str]]
    tests: bool
    seeds: int | list[int]
    floor: str | None
    metric: str | None
    seed_given: bool


Found = Iterator[tuple[tuple[str, ...], str]]


def semantic_problems(parts: Parts, source: Source) -> list[Problem]:
    """Return what is wrong between the parts of a suite, each with its place in ``source``."""
    if misplaced(source, "arms") is not None or mistyped(source.data, "arms"):
        return []  # already said, and all else follows from it
    found = [*_names(parts), *_arms(parts), *_floor(parts), *_comparisons(parts), *_seeds(parts)]
    found += _metric(parts)
    return [Problem(".".join(path), message, _place(source, path)) for path, message in found]


def _place(source: Source, path: tuple[str, ...]) -> str:
    if path[0] != "arms" or len(path) < 3:
        return source.place(path)
    # An arm's setting is written as one dotted key, or nested.
    nested = (*path[:2], *path[2].split("."))
    return source.where.get(path) or source.place(nested)


def _names(parts: Parts) -> Found:
    if parts.arms.get(BASE):
        yield (
            ("arms", BASE),
            "base is the suite's own settings and changes nothing; write them at the top level",
        )
    if len(parts.names) < 2:
        yield (
            ("arms",),
            "nothing is compared; add an arm, for example "
            "no-regularisation: {adapter.gamma: 0} (to train one setting, use `train`)",
        )
    for name in parts.names:
        if not _ARM_NAME.match(name):
            yield ("arms", name), "an arm names a folder: use letters, digits, '.', '_' and '-'"


def _arms(parts: Parts) -> Found:
    known = setting_names(RunConfig)
    seen: dict[str, str] = {}
    if parts.base is not None:
        seen[_identity(parts.base)] = BASE
    for name, settings in parts.arms.items():
        if name == BASE:
            continue
        wrong = list(_settings(name, settings, known))
        yield from wrong
        if wrong or parts.base is None:
            continue
        try:
            config = with_settings(parts.base, dict(settings))
        except ConfigError as error:
            for problem in error.problems:
                key = (problem.key,) if problem.key in settings else ()
                yield ("arms", name, *key), problem.message
            continue
        twin = seen.setdefault(_identity(config), name)
        if twin != name:
            yield ("arms", name), _same(twin, settings, parts.base)


def _settings(arm: str, settings: Mapping[str, Any], known: list[str]) -> Found:
    for key in settings:
        if key not in known:
            yield ("arms", arm, key), f"no setting of that name; {did_you_mean(key, known)}"
        elif key in _FIXED:
            yield ("arms", arm, key), f"an arm cannot change it: {_FIXED[key]}"


def _identity(config: RunConfig) -> str:
    return repr(sorted(decisive(config).items()))


def _same(twin: str, settings: Mapping[str, Any], base: RunConfig) -> str:
    message = f"equals {twin} by construction"
    if twin != BASE:
        return f"{message}: both run with the same settings; leave one out"
    if not settings:
        return f"{message}: it changes nothing"
    pruning = {"adapter.scoring", "adapter.t_init", "adapter.t_final", "adapter.delta_t"}
    adapter = base.adapter
    if pruning & set(settings) and adapter.target_rank in (None, adapter.r):
        return (
            f"{message}: nothing is pruned while adapter.target_rank is unset or equals adapter.r "
            f"({adapter.r}); set adapter.target_rank below it"
        )
    return f"{message}: no run looks at what it changes ({', '.join(settings)})"


def _floor(parts: Parts) -> Found:
    floor = parts.floor
    if floor is None:
        return
    if floor not in parts.names:
        yield (
            ("floor",),
            f"no arm {floor!r}; add `{floor}: {{method: head-only}}` to `arms` (it tells whether "
            "the base was trained enough to tell), or say `floor: null`",
        )
    elif floor in parts.arms and parts.base is not None and _method(parts, floor) != "head-only":
        yield ("floor",), f"arm {floor!r} must train the head alone; give it `method: head-only`"


def _method(parts: Parts, arm: str) -> Any:
    return parts.arms[arm].get("method", parts.base.method if parts.base else None)


def _comparisons(parts: Parts) -> Found:
    seen: set[frozenset[str]] = set()
    for index, pair in parts.pairs.items():
        path = ("comparisons", str(index))
        for name in pair:
            if name not in parts.names:
                yield path, f"no arm {name!r}; {did_you_mean(name, parts.names)}"
        if len(set(pair)) < 2:
            yield path, f"compares {pair[0]!r} with itself; name two arms"
        elif frozenset(pair) in seen:
            yield path, f"{pair} is named twice; it would count twice in the correction"
        seen.add(frozenset(pair))


def _seeds(parts: Parts) -> Found:
    seeds = parts.seeds
    if isinstance(seeds, list) and parts.seed_given:
        yield ("seed",), "`seeds` lists the seeds already; leave `seed` out"
    count = seeds if isinstance(seeds, int) else len(seeds)
    if count == 1 and (parts.floor is not None or parts.tests):
        yield (
            ("seeds",),
            "one seed allows no test; give at least 2 (6 for the exact test), or ask for none: "
            "`comparisons: []` and `floor: null`",
        )


def _metric(parts: Parts) -> Found:
    problem = unmeasured(parts.metric, parts.base) if parts.base is not None else None
    if problem is not None:
        yield ("metric",), problem
