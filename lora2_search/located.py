"""Paths of a request, made absolute: what is stored must lead to them from any folder."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from .source import Source

_NAMES = (".data.path", ".data.test_path", ".model.name_or_path")


def located(source: Source) -> Source:
    """Return a run, space or suite whose paths no longer depend on the working folder.

    Those of sentences and of models that are there (else it is a name on the hub), wherever they
    are written: as settings, in an arm, a task, a level, a grid or a list of choices.
    """
    return replace(source, data=_located(source.data, ""))


def _located(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _located(inner, f"{name}.{key}") for key, inner in value.items()}
    if isinstance(value, list):
        return [_located(inner, name) for inner in value]
    setting = name.removesuffix(".choices")
    if isinstance(value, str) and value:
        path = os.path.expanduser(value)
        # What is not there is refused later, by the name that was given.
        if setting.endswith(_NAMES) and os.path.exists(path):
            return os.path.abspath(path)
    return value
