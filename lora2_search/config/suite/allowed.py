"""Which settings an arm, or a task of a suite, may change, and why a change cannot run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import ConfigError, did_you_mean
from ..schema import JUDGING_SETTINGS, SENTENCE_SETTINGS
from ..settings import is_setting, known_settings
from ..yaml import KeyPath

# What is wrong, with the place of it.
Found = Iterator[tuple[KeyPath, str]]

_OTHER_SENTENCES = "arms are compared example by example, so all must share the test examples"

_OTHER_JUDGE = "arms are compared by how many answers are right, so all must be judged alike"

_OTHER_SLICE = "arms must choose on the same split"

_SEEDS = "every arm runs every seed of `seeds`"

_FIXED_IN_AN_ARM = {
    **dict.fromkeys(SENTENCE_SETTINGS, _OTHER_SENTENCES),
    **dict.fromkeys(JUDGING_SETTINGS, _OTHER_JUDGE),
    "protocol": _OTHER_SLICE,
    "seed": _SEEDS,
}

_FIXED_IN_A_TASK = {"seed": _SEEDS, "protocol": "all tasks are reported under one protocol"}


def arm_problem(setting: str) -> str | None:
    """Say why an arm cannot change a setting; ``None`` where it can."""
    return _problem(setting, "an arm", _FIXED_IN_AN_ARM)


def task_problem(setting: str) -> str | None:
    """Say why a task of a suite cannot change a setting; ``None`` where it can."""
    return _problem(setting, "a task", _FIXED_IN_A_TASK)


def broken(
    path: KeyPath, settings: Mapping[str, Any], error: ConfigError, before: str = ""
) -> Found:
    """Yield why settings cannot run: at a setting's own key where it is at fault, else at ``path``.

    Args:
        path: Where the settings are written.
        settings: What was changed.
        error: What the changed run was refused for.
        before: Goes before a message that names a setting which was not changed.
    """
    for problem in error.problems:
        if problem.key in settings:
            yield (*path, problem.key), problem.message
        else:
            yield (
                path,
                f"{before}{problem.key}: {problem.message}" if problem.key else problem.message,
            )


def _problem(setting: str, who: str, fixed: dict[str, str]) -> str | None:
    if not is_setting(setting):
        return f"no setting of that name; {did_you_mean(setting, known_settings())}"
    if setting in fixed:
        return f"{who} cannot change it: {fixed[setting]}"
    return None
