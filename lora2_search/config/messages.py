"""What pydantic found wrong with a configuration, in the words of the person who wrote it."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from ..errors import Problem, did_you_mean, nearest
from .yaml import KeyPath, Source

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"

_PATTERNS = {
    NAME_PATTERN: "must begin with a letter or digit, followed by letters, digits, '.', '_' and "
    "'-', 100 at most (it names a folder)"
}


def problems_of(error: ValidationError, kind: type[BaseModel], source: Source) -> list[Problem]:
    """Return each mistake once, with its key and place, in the order of the fields."""
    # pydantic names one mistake per member of a union: reported together here.
    by_place: dict[tuple[str, str], Problem] = {}
    for item in _causes(error.errors()):
        problem = _problem(item, kind, source)
        same = by_place.get((problem.key, problem.where))
        if same and problem.message not in same.message:
            problem = replace(same, message=f"{same.message}; or {problem.message}")
        by_place[problem.key, problem.where] = problem
    return list(by_place.values())


def _causes(errors: Sequence[Any]) -> list[Any]:
    """Leave out that a key is missing where it is there, misspelt: one mistake is reported once."""
    unknown = [item["loc"] for item in errors if item["type"] == "extra_forbidden"]

    def misspelt(path: tuple[Any, ...]) -> bool:
        keys = [str(other[-1]) for other in unknown if other[:-1] == path[:-1]]
        return nearest(str(path[-1]), keys) is not None

    return [item for item in errors if item["type"] != "missing" or not misspelt(item["loc"])]


def _problem(item: Any, kind: type[BaseModel], source: Source) -> Problem:
    path: KeyPath = tuple(str(part) for part in item["loc"])
    message = item["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    if item["type"] == "extra_forbidden":
        message = "unknown key; " + did_you_mean(path[-1], _siblings(kind, path))
    elif item["type"] == "missing":
        message = "is missing"
    elif item["type"] == "string_pattern_mismatch":
        rule = _PATTERNS.get(item["ctx"]["pattern"], message)
        message = f"{rule}, but got {reprlib.repr(item['input'])}"
    elif item["type"] == "model_type":
        message = f"must be a group of settings, but got {reprlib.repr(item['input'])}"
    elif item["type"] != "value_error":
        message = f"{message}, but got {reprlib.repr(item['input'])}"
    return Problem(".".join(_readable(path)), message, source.place(path))


def _siblings(kind: type[BaseModel], path: KeyPath) -> list[str]:
    for part in path[:-1]:
        info = kind.model_fields.get(part)
        inner = _section(info.annotation) if info else None
        if inner is None:
            return list(kind.model_fields)
        kind = inner
    return list(kind.model_fields)


def _section(annotation: Any) -> type[BaseModel] | None:
    """Return the class of a group of settings, also of one that may be null."""
    for item in (annotation, *get_args(annotation)):
        if isinstance(item, type) and issubclass(item, BaseModel):
            return item
    return None


def _readable(path: KeyPath) -> list[str]:
    # pydantic adds the member of a union to the path ("gamma", "float"): not a key of the file.
    types = ("int", "float", "str", "bool")
    unions = ("constrained-", "list[", "set[", "dict[", "function-", "union[", "tagged-union[")
    return [part for part in path if part not in types and not part.startswith(unions)]
