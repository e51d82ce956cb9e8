"""Named starting points: ``preset: published`` is the paper's method, ``recommended`` ours.

A preset only fills in what is not written beside it, and nothing downstream knows it: a study, a
suite and a record hold the settings spelled out.
"""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError, Problem, nearest
from .yaml import Data, KeyPath, Source

KEY = "preset"

# Keys of a space or suite under which settings stand by name.
_NAMED = ("arms", "tasks", "references", "factors", "designs")

# The learning rate belongs to neither: it depends on the task, and is to be tuned.
PRESETS: dict[str, Data] = {
    # arXiv 2408.06854 and its code: λ = 0, four Gaussian factors.
    "published": {
        "adapter.k": 8,
        "adapter.r": 8,
        "adapter.init": "gaussian",
        "adapter.gamma": 0.1,
        "adapter.penalty": "frobenius",
        "adapter.lora_alpha": 16.0,
        "adapter.t_init": 0.1,
        "adapter.t_final": 0.5,
    },
    # docs/method.md says what each choice rests on.
    "recommended": {
        "adapter.k": 8,
        "adapter.r": 8,
        "adapter.target_rank": 4,
        "adapter.init": "lora",
        "adapter.gamma": 0.1,
        "adapter.penalty": "squared",
        "adapter.lora_alpha": 32.0,
        "adapter.t_init": 0.2,
        "adapter.t_final": 0.5,
    },
}

# Who writes one of them means no other than its default for the other.
_RANKS = ("adapter.r", "adapter.target_rank")


def with_presets(source: Source) -> Source:
    """Return the source with every ``preset`` replaced by what it stands for.

    It may stand at the top, and wherever settings stand: in an arm, a level of a factor, a task or
    a reference. What is written beside it wins.

    Raises:
        ConfigError: There is no preset of that name; each with its place.
    """
    problems: list[Problem] = []

    def expanded(data: Any, path: KeyPath) -> Any:
        if not isinstance(data, dict):
            return data
        own = {
            key: expanded(value, (*path, str(key))) if path or key in _NAMED else value
            for key, value in data.items()
        }
        if KEY not in own:
            return own
        name, place = own.pop(KEY), (*path, KEY)
        if not isinstance(name, str) or name not in PRESETS:
            problems.append(Problem(".".join(place), _refusal(name), source.place(place)))
            return own
        return _filled(own, PRESETS[name], nested=not path)

    data = expanded(source.data, ())
    if problems:
        raise ConfigError(problems)
    return Source(data, source.where, source.name)


def _filled(own: Data, preset: Data, *, nested: bool) -> Data:
    """Return ``own`` with the settings of a preset that it does not have, nested or dotted."""

    def written(setting: str) -> bool:
        section, _, name = setting.partition(".")
        beside = own.get(section, {})
        return setting in own or not isinstance(beside, dict) or name in beside

    left_out = _RANKS if any(map(written, _RANKS)) else ()
    for setting, value in preset.items():
        if setting in left_out or written(setting):
            continue
        section, _, name = setting.partition(".")
        beside = own.get(section, {})
        if nested:
            own[section] = {**beside, name: value}
        else:
            own[setting] = value
    return own


def _refusal(name: Any) -> str:
    near = nearest(str(name), PRESETS)
    hint = "" if near is None else f'; did you mean "{near}"?'
    return f"must be one of {', '.join(PRESETS)}, but got {name!r}{hint}"
