"""The plan of a study or suite that ran, of this or an earlier version, as typed values."""

from __future__ import annotations

from typing import Any, cast, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from .run import Config, RunConfig
from .yaml import Data


def stored_plan(kind: type[Config], plan: Data) -> Config:
    """Return what a study's ``space.yaml`` or a suite's ``suite.yaml`` holds, to read its results.

    No run is started from it, so no rule is checked: results stay readable when a bound or a
    setting changes. Keys that came later have their defaults, those that are gone are left out,
    and settings of runs stand as they were written. To resume one: ``typed_space``,
    ``typed_suite``.

    Args:
        kind: ``Space`` or ``Suite``.
        plan: The file as plain values.

    Raises:
        KeyError: A key without a default is missing.
        ValueError: A key that no single run has holds another kind of value.
    """
    values = _values(kind, plan)
    for name in values.keys() - RunConfig.model_fields:
        annotation: Any = kind.model_fields[name].annotation
        try:
            TypeAdapter(annotation).validate_python(values[name])
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, (name, *first["loc"])))
            raise ValueError(f"{place}: {first['msg']}") from None
    return cast(Config, kind.model_construct(**values))


def _values(kind: type[BaseModel], data: Data) -> Data:
    """Return the fields of a model that the data hold, the sections below it as models too."""
    fields: Data = {}
    for name, field in kind.model_fields.items():
        if name in data:
            fields[name] = _value(field.annotation, data[name])
        elif field.is_required():
            raise KeyError(name)
    if kind.model_config.get("extra") == "allow":
        fields |= {name: value for name, value in data.items() if name not in kind.model_fields}
    return fields


def _value(annotation: Any, value: Any) -> Any:
    kinds = [item for item in (annotation, *get_args(annotation)) if isinstance(item, type)]
    kind = next((item for item in kinds if issubclass(item, BaseModel)), None)
    if kind is None or value is None:
        return value
    if annotation is not kind and isinstance(value, list):  # list[Equivalence]
        return [_value(kind, item) for item in value]
    if str in kinds:  # dict[str, Distribution]
        return {key: _value(kind, item) for key, item in value.items()}
    return kind.model_construct(**_values(kind, value))
