"""The plan of a suite that ran, of this version or of an earlier one, as a typed suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter

from ..run import RunConfig
from .schema import Suite


def stored_suite(plan: Mapping[str, Any]) -> Suite:
    """Return what ``suite.yaml`` of a suite or of an archive holds, to read its results.

    No run is started from it, so no rule is checked: results stay readable when a bound or a
    setting changes. Keys that came later have their defaults, those that are gone are left out,
    and settings of runs stand as they were written. To go on with a suite: ``typed_suite``.

    Raises:
        KeyError: A key without a default is missing.
        ValueError: A key that only suites have holds another kind of value.
    """
    values = _values(Suite, plan)
    for name in values.keys() - RunConfig.model_fields:
        kind: Any = Suite.model_fields[name].annotation
        TypeAdapter(kind).validate_python(values[name])
    return Suite.model_construct(**values)


def _values(kind: type[BaseModel], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a model that the data hold, sections below it as models too."""
    found = {}
    for name, field in kind.model_fields.items():
        if name in data:
            found[name] = _value(field.annotation, data[name])
        elif field.is_required():
            raise KeyError(name)
    return found


def _value(annotation: Any, value: Any) -> Any:
    kinds = [item for item in (annotation, *get_args(annotation)) if isinstance(item, type)]
    kind = next((item for item in kinds if issubclass(item, BaseModel)), None)
    if kind is None or value is None:
        return value
    if isinstance(value, list):
        return [_value(kind, item) for item in value]
    return kind.model_construct(**_values(kind, value))


def on_task(suite: Suite, task: str) -> Suite:
    """Return a stored suite with the settings of one of its tasks; ``""`` changes nothing."""
    for key, value in (suite.tasks[task] if task else {}).items():
        section, _, name = key.rpartition(".")
        if section:
            value = getattr(suite, section).model_copy(update={name: value})
        suite = suite.model_copy(update={section or name: value})
    return suite
