"""What must fit together in a suite."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import ConfigError, Problem, did_you_mean
from ..run import RunConfig, with_settings
from ..settings import Settings
from ..space import BATCH_SIZE, batch_problem, uncompared
from ..yaml import KeyPath, Source
from .allowed import Found, arm_problem, broken, task_problem
from .canonical import canonical_key, why_equal
from .partial import Parts
from .terms import BASE, Tuning, listed


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
    earlier: set[frozenset[str]] = set()
    for index, pair in parts.pairs.items():
        path = ("comparisons", str(index))
        yield from _unknown(parts, path, pair)
        if len(set(pair)) < 2:
            yield path, f"compares {pair[0]!r} with itself; name two arms"
        elif frozenset(pair) in earlier:
            yield (
                path,
                f"{pair} is named twice, and would count twice in the correction; drop one",
            )
        earlier.add(frozenset(pair))


def _contrasts(parts: Parts) -> Found:
    by_direction: dict[frozenset[tuple[str, float]], str] = {
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
            same = by_direction.setdefault(_direction(weights), f"contrast {name!r}")
            if same != f"contrast {name!r}":
                why = "would count twice in the correction; leave one of them out"
                yield path, f"tests the same as {same}, and {why}"


def _direction(weights: Mapping[str, float]) -> frozenset[tuple[str, float]]:
    """Return the same for contrasts that differ by a factor, which no test looks at."""
    nonzero = {arm: weight for arm, weight in sorted(weights.items()) if weight}
    scale = next(iter(nonzero.values()), 1.0)
    return frozenset((arm, round(weight / scale, 9)) for arm, weight in nonzero.items())


def _equivalence(parts: Parts) -> Found:
    earlier: set[frozenset[str]] = set()
    for index, item in parts.equivalence.items():
        path = ("equivalence", str(index))
        pair = frozenset((item.arm, item.reference))
        yield from _unknown(parts, path, (item.arm, item.reference))
        if len(pair) < 2:
            yield path, f"compares {item.arm!r} with itself; name two arms"
        elif pair in earlier:
            yield path, f"{sorted(pair)} is named twice; choose one margin before the run"
        earlier.add(pair)


def tuning_problems(parts: Parts) -> Found:
    """Yield seeds that are reported too, arms that do not exist, and trials that cannot be."""
    tuning = parts.tuning
    if tuning is None:
        return
    shared = sorted(set(tuning.seed_list) & set(listed(parts.seeds, parts.seed)))
    if shared:
        yield (
            ("tuning", "seeds"),
            f"must have seeds of its own, or arms are scored on the seeds that chose them, but "
            f"shares {shared} with `seeds`",
        )
    for arm, grid in tuning.arms.items():
        path = ("tuning", "arms", arm)
        if parts.complete and arm not in parts.names:
            yield path, f"no arm {arm!r}; {did_you_mean(arm, parts.names)}"
        elif arm in parts.arms and parts.base is not None:
            yield from _grid(parts, arm, grid, tuning.trials(arm))
    yield from _twins(parts, tuning)


def _twins(parts: Parts, tuning: Tuning) -> Found:
    """Yield the arms that become another one if tuning chooses so: then nothing could be run."""
    arms = {BASE: {}, **parts.arms}
    configs = [_tried(parts, {}, changes) for changes in arms.values()]
    names = [canonical_key(config) for config in configs if config is not None]
    if len(set(names)) < len(names):  # reported already
        return
    reported = set()
    for own in _trials(tuning, BASE):
        arm_by_key: dict[str, str] = {}
        for arm, changes in arms.items():
            for trial in [{}] if arm == BASE else _trials(tuning, arm):
                config = _tried(parts, own, {**changes, **trial})
                twin = arm if config is None else arm_by_key.setdefault(canonical_key(config), arm)
                if twin != arm and arm not in reported:
                    reported.add(arm)
                    path = ("tuning", "arms", arm if arm in tuning.arms else twin)
                    chosen = {**own, **trial}
                    yield path, f"if tuning chooses {chosen}, arm {arm} equals {twin}; leave it out"


def _trials(tuning: Tuning, arm: str) -> list[Settings]:
    return tuning.trials(arm) if arm in tuning.arms else [{}]


def _tried(parts: Parts, own: Mapping[str, Any], changes: Mapping[str, Any]) -> RunConfig | None:
    if parts.base is None or any(arm_problem(key) for key in (*own, *changes)):
        return None
    try:
        return with_settings(with_settings(parts.base, dict(own)), dict(changes))
    except ConfigError:
        return None


def _grid(parts: Parts, arm: str, grid: Mapping[str, list[Any]], trials: list[Settings]) -> Found:
    path = ("tuning", "arms", arm)
    wrong = [(key, why) for key in grid if (why := arm_problem(key)) is not None]
    yield from (((*path, key), why) for key, why in wrong)
    if wrong or parts.base is None or any(arm_problem(key) for key in parts.arms[arm]):
        return
    trial_by_key: dict[str, Settings] = {}
    for trial in trials:
        try:
            config = with_settings(parts.base, {**parts.arms[arm], **trial})
        except ConfigError as error:
            yield from broken(path, grid, error, f"trial {trial} cannot run: ")
            continue
        if not parts.tasks and (unknown := uncompared(parts.metric, config)) is not None:
            yield path, f"trial {trial}: {unknown}"
        twin = trial_by_key.setdefault(canonical_key(config), trial)
        if twin is not trial:
            yield path, f"trial {trial} {why_equal(f'trial {twin}', trial, config)}"


_ARM_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")

# No dots: `boolq.base-seed0` is task, arm and seed.
_TASK_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")


def semantic_problems(parts: Parts, source: Source) -> list[Problem]:
    """Return what is wrong between the parts of a suite, each with its place in ``source``."""
    mistakes = [*_names(parts), *_arms(parts), *_tasks(parts), *_floor(parts)]
    mistakes += [*family_problems(parts), *_cells(parts), *_seeds(parts), *tuning_problems(parts)]
    mistakes += [*_metric(parts), *_batches(parts)]
    return [Problem(".".join(path), message, _place(source, path)) for path, message in mistakes]


def _place(source: Source, path: KeyPath) -> str:
    if path[0] not in ("arms", "tasks") or len(path) < 3:
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
    if parts.complete and len(parts.names) < 2:
        yield (
            ("arms",),
            "nothing is compared; add an arm, for example "
            "no-regularisation: {adapter.gamma: 0} (to train one setting, use `train`)",
        )
    for name in parts.names:
        if not _ARM_NAME.match(name):
            yield ("arms", name), "an arm names a folder: use letters, digits, '.', '_' and '-'"


def _arms(parts: Parts) -> Found:
    twins: dict[str, str] = {}
    if parts.base is not None:
        twins[canonical_key(parts.base)] = BASE
    for name, settings in parts.arms.items():
        if name == BASE:
            continue
        wrong = [(key, why) for key in settings if (why := arm_problem(key)) is not None]
        yield from ((("arms", name, key), why) for key, why in wrong)
        if wrong or parts.base is None:
            continue
        try:
            config = with_settings(parts.base, dict(settings))
        except ConfigError as error:
            for problem in error.problems:
                key = (problem.key,) if problem.key in settings else ()
                yield ("arms", name, *key), problem.message
            continue
        twin = twins.setdefault(canonical_key(config), name)
        if twin != name:
            yield ("arms", name), why_equal(twin, settings, config)


def _tasks(parts: Parts) -> Found:
    task_by_key: dict[str, str] = {}
    for task, settings in parts.tasks.items():
        if not _TASK_NAME.match(task):
            yield ("tasks", task), "a task names folders: use letters, digits, '_' and '-'"
        wrong = [(key, why) for key in settings if (why := task_problem(key)) is not None]
        yield from ((("tasks", task, key), why) for key, why in wrong)
        if wrong or parts.base is None:
            continue
        try:
            config = with_settings(parts.base, dict(settings))
        except ConfigError as error:
            yield from broken(("tasks", task), settings, error)
            continue
        twin = task_by_key.setdefault(canonical_key(config), task)
        if twin != task:
            yield ("tasks", task), f"equals task {twin} by construction; leave one out"
        yield from _arms_on(parts, task, config)
        unknown = uncompared(parts.metric, config)
        if unknown is not None:
            yield _metric_path(parts), unknown
    if parts.tasks and parts.tuning is not None:
        yield (
            ("tuning",),
            "arms are tuned on one task; write a suite for each task, or leave `tuning` out",
        )


def _arms_on(parts: Parts, task: str, config: RunConfig) -> Found:
    """Yield the arms that another task makes impossible, or one with another."""
    twins = {canonical_key(config): BASE}
    for name, changes in parts.arms.items():
        if name == BASE or any(arm_problem(key) for key in changes):
            continue
        try:
            run = with_settings(config, dict(changes))
        except ConfigError as error:
            yield from broken(("tasks", task), {}, error, f"arm {name} cannot run on it: ")
            continue
        twin = twins.setdefault(canonical_key(run), name)
        if twin != name:
            yield ("tasks", task), f"on it, arm {name} {why_equal(twin, changes, run)}"


def _floor(parts: Parts) -> Found:
    floor = parts.floor
    if floor is None or not parts.complete:
        return
    method = "head-only" if parts.base is None else parts.base.floor_method
    if floor not in parts.names:
        yield (
            ("floor",),
            f"no arm {floor!r}; add `{floor}: {{method: {method}}}` to `arms` (it shows whether "
            "the base was trained enough to tell), or say `floor: null`",
        )
    elif floor == BASE:
        yield ("floor",), "must be an arm other than base, which is compared with it"
    elif floor in parts.arms and parts.base is not None:
        if _method(parts, floor) != method:
            what = "train nothing" if parts.base.is_language else "train the head alone"
            yield ("floor",), f"arm {floor!r} must {what}; give it `method: {method}`"


def _method(parts: Parts, arm: str) -> Any:
    return parts.arms[arm].get("method", parts.base.method if parts.base else None)


def _cells(parts: Parts) -> Found:
    for block, cells in parts.cells.items():
        for arm in cells:
            if parts.complete and arm not in parts.names:
                yield ("cells", block, arm), f"no arm {arm!r}; {did_you_mean(arm, parts.names)}"


def _seeds(parts: Parts) -> Found:
    seeds = parts.seeds
    if isinstance(seeds, list) and parts.seed_given:
        yield ("seed",), "`seeds` lists the seeds already; leave `seed` out"
    count = seeds if isinstance(seeds, int) else len(seeds)
    if count == 1 and (parts.floor is not None or parts.tests):
        yield (
            ("seeds",),
            "one seed allows no test; set at least 2 (6 for the exact test), or request no tests: "
            "`comparisons: []` and `floor: null`",
        )


def _metric(parts: Parts) -> Found:
    if parts.base is None or parts.tasks:
        return
    problem = uncompared(parts.metric, parts.base)
    if problem is not None:
        yield _metric_path(parts), problem
        return
    for arm, settings in parts.arms.items():
        config = _tried(parts, {}, settings)
        if config is not None and (problem := uncompared(parts.metric, config)) is not None:
            yield ("arms", arm), problem


def _metric_path(parts: Parts) -> KeyPath:
    """Return the key that decides by what arms are compared."""
    return ("metric",) if parts.metric is not None else ("language", "max_new_tokens")


def _batches(parts: Parts) -> Found:
    """Yield every batch size that the devices of a run cannot share."""
    devices = parts.resources.devices_per_trial if parts.resources is not None else 1
    named: list[tuple[KeyPath, Any]] = []
    if parts.base is not None:
        named.append((tuple(BATCH_SIZE.split(".")), parts.base.training.batch_size))
    for kind, several in (("arms", parts.arms), ("tasks", parts.tasks)):
        named += [
            ((kind, name, BATCH_SIZE), each.get(BATCH_SIZE)) for name, each in several.items()
        ]
    for arm, grid in parts.tuning.arms.items() if parts.tuning is not None else ():
        sizes = grid.get(BATCH_SIZE, [])
        named += [(("tuning", "arms", arm, BATCH_SIZE), size) for size in sizes]
    for path, size in named:
        if problem := batch_problem(size, devices):
            yield path, problem
