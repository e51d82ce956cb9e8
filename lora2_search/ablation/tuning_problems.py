"""What is wrong with the grids that arms are tuned over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import RunConfig, with_settings
from ..errors import ConfigError, did_you_mean
from .parts import Parts
from .reserved import BASE
from .seeds import listed
from .tuned import Tuning
from .twins import identity, why_equal
from .varied import Found, arm_problem, broken


def tuning_problems(parts: Parts) -> Found:
    """Yield seeds that are reported too, arms that do not exist, and trials that cannot be."""
    tuning = parts.tuning
    if tuning is None:
        return
    shared = sorted(set(tuning.seed_list) & set(listed(parts.seeds, parts.seed)))
    if shared:
        yield (
            ("tuning", "seeds"),
            f"must have seeds of its own, or arms are reported on what chose them, but shares "
            f"{shared} with `seeds`",
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
    plain = [_tried(parts, {}, changes) for changes in arms.values()]
    names = [identity(config) for config in plain if config is not None]
    if len(set(names)) < len(names):  # said already
        return
    told = set()
    for own in _trials(tuning, BASE):
        seen: dict[str, str] = {}
        for arm, changes in arms.items():
            for trial in [{}] if arm == BASE else _trials(tuning, arm):
                config = _tried(parts, own, {**changes, **trial})
                twin = arm if config is None else seen.setdefault(identity(config), arm)
                if twin != arm and arm not in told:
                    told.add(arm)
                    path = ("tuning", "arms", arm if arm in tuning.arms else twin)
                    chosen = {**own, **trial}
                    yield path, f"if tuning chooses {chosen}, arm {arm} equals {twin}; leave it out"


def _trials(tuning: Tuning, arm: str) -> list[dict[str, Any]]:
    return tuning.trials(arm) if arm in tuning.arms else [{}]


def _tried(parts: Parts, own: Mapping[str, Any], changes: Mapping[str, Any]) -> RunConfig | None:
    if parts.base is None or any(arm_problem(key) for key in (*own, *changes)):
        return None
    try:
        return with_settings(with_settings(parts.base, dict(own)), dict(changes))
    except ConfigError:
        return None


def _grid(
    parts: Parts, arm: str, grid: Mapping[str, list[Any]], trials: list[dict[str, Any]]
) -> Found:
    path = ("tuning", "arms", arm)
    wrong = [(key, why) for key in grid if (why := arm_problem(key)) is not None]
    yield from (((*path, key), why) for key, why in wrong)
    if wrong or parts.base is None or any(arm_problem(key) for key in parts.arms[arm]):
        return
    seen: dict[str, dict[str, Any]] = {}
    for trial in trials:
        try:
            config = with_settings(parts.base, {**parts.arms[arm], **trial})
        except ConfigError as error:
            yield from broken(path, grid, error, f"trial {trial} cannot run: ")
            continue
        twin = seen.setdefault(identity(config), trial)
        if twin is not trial:
            yield path, f"trial {trial} {why_equal(f'trial {twin}', trial, config)}"
