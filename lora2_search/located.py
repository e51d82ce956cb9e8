"""Paths of a request, made absolute: what is stored must lead to them from any folder."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from .source import Source

_DATA = ("data.path", "data.test_path")
_MODEL = "model.name_or_path"


def located(source: Source) -> Source:
    """Return a run, space or suite whose paths no longer depend on the working folder.

    Those of sentences, and of a model where there is such a folder (else it is a name on the hub),
    wherever they are written: as settings, in an arm, a task, a level, a grid or a list of choices.
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
        is_model = setting.endswith(f".{_MODEL}") and os.path.isdir(path)
        if is_model or setting.endswith(tuple(f".{key}" for key in _DATA)):
            return os.path.abspath(path)
    return value
