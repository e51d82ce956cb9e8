"""What is wrong with a suite although every key and type in it is right."""

from __future__ import annotations

import re
from typing import Any

from ..config import RunConfig, with_settings
from ..errors import ConfigError, Problem, did_you_mean
from ..search.objective import uncompared
from ..source import KeyPath, Source
from .family import family_problems
from .parts import Parts
from .reserved import BASE
from .tuning_problems import tuning_problems
from .twins import identity, why_equal
from .varied import Found, arm_problem, broken, task_problem

_ARM_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
# No dots: `boolq.base-seed0` is task, arm and seed.
_TASK_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")


def semantic_problems(parts: Parts, source: Source) -> list[Problem]:
    """Return what is wrong between the parts of a suite, each with its place in ``source``."""
    found = [*_names(parts), *_arms(parts), *_tasks(parts), *_floor(parts)]
    found += [*family_problems(parts), *_cells(parts), *_seeds(parts), *tuning_problems(parts)]
    found += _metric(parts)
    return [Problem(".".join(path), message, _place(source, path)) for path, message in found]


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
        twins[identity(parts.base)] = BASE
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
        twin = twins.setdefault(identity(config), name)
        if twin != name:
            yield ("arms", name), why_equal(twin, settings, config)


def _tasks(parts: Parts) -> Found:
    seen: dict[str, str] = {}
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
        twin = seen.setdefault(identity(config), task)
        if twin != task:
            yield ("tasks", task), f"equals task {twin} by construction; leave one out"
        yield from _arms_on(parts, task, config)
        unknown = uncompared(parts.metric, config)
        if unknown is not None:
            yield ("metric",), unknown
    if parts.tasks and parts.tuning is not None:
        yield (
            ("tuning",),
            "arms are tuned on one task; write a suite for each task, or leave `tuning` out",
        )


def _arms_on(parts: Parts, task: str, config: RunConfig) -> Found:
    """Yield the arms that another task makes impossible, or one with another."""
    twins = {identity(config): BASE}
    for name, changes in parts.arms.items():
        if name == BASE or any(arm_problem(key) for key in changes):
            continue
        try:
            run = with_settings(config, dict(changes))
        except ConfigError as error:
            yield from broken(("tasks", task), {}, error, f"arm {name} cannot run on it: ")
            continue
        twin = twins.setdefault(identity(run), name)
        if twin != name:
            yield ("tasks", task), f"on it, arm {name} {why_equal(twin, changes, run)}"


def _floor(parts: Parts) -> Found:
    floor = parts.floor
    if floor is None or not parts.complete:
        return
    if floor not in parts.names:
        yield (
            ("floor",),
            f"no arm {floor!r}; add `{floor}: {{method: head-only}}` to `arms` (it tells whether "
            "the base was trained enough to tell), or say `floor: null`",
        )
    elif floor == BASE:
        yield ("floor",), "must be another arm than base, which is what is compared with it"
    elif floor in parts.arms and parts.base is not None and _method(parts, floor) != "head-only":
        yield ("floor",), f"arm {floor!r} must train the head alone; give it `method: head-only`"


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
            "one seed allows no test; give at least 2 (6 for the exact test), or ask for none: "
            "`comparisons: []` and `floor: null`",
        )


def _metric(parts: Parts) -> Found:
    if parts.base is None or parts.tasks:
        return
    problem = uncompared(parts.metric, parts.base)
    if problem is not None:
        yield ("metric",), problem
