"""The parts of a suite that can be read, so that one mistake does not hide the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import TypeAdapter, ValidationError

from ...errors import ConfigError
from ..run import RunConfig, validate
from ..settings import Settings
from ..space import Resources
from ..yaml import Data, Source
from .terms import Equivalence, Tuning

if TYPE_CHECKING:
    from .schema import Suite


@dataclass(frozen=True)
class Parts:
    """The parts of a suite that could be read; the others have been reported already.

    Attributes:
        base: The base's settings, ``None`` if they cannot run.
        names: Every arm, as written.
        arms: What each arm changes.
        tasks: What each task changes.
        pairs: Named comparisons, by their place in the list.
        contrasts: Weights over arms, by name.
        cells: The arms of each block.
        equivalence: Pairs that may prove to be the same, by their place in the list.
        tuning: Grids that arms are tuned over.
        tests: Whether anything is to be tested.
        seeds: A count or a list.
        floor: Name of the head-only arm.
        metric: What is compared.
        seed: The first seed where ``seeds`` is a count.
        seed_given: Whether the file sets ``seed``.
        resources: What one run takes; ``None`` if that is wrong.
        complete: Whether all arms are known; not where a design could not be expanded.
    """

    base: RunConfig | None
    names: list[str]
    arms: Mapping[str, Settings]
    tasks: Mapping[str, Settings]
    pairs: Mapping[int, list[str]]
    contrasts: Mapping[str, Mapping[str, float]]
    cells: Mapping[str, list[str]]
    equivalence: Mapping[int, Equivalence]
    tuning: Tuning | None
    tests: bool
    seeds: int | list[int]
    floor: str | None
    metric: str | None
    seed: int
    seed_given: bool
    resources: Resources | None
    complete: bool


def base_of(data: Mapping[str, Any]) -> RunConfig | None:
    """Return the run that a suite's data describe, ``None`` where it cannot run."""
    settings = {key: data[key] for key in RunConfig.model_fields if key in data}
    try:
        return validate(Source(settings), RunConfig)
    except ConfigError:
        return None


def parts_of(data: Mapping[str, Any], kind: type[Suite], *, complete: bool) -> Parts:
    """Return what is right in a suite's data, designs expanded."""
    arms = _mapping(data.get("arms"))
    pairs, equal = data.get("comparisons"), data.get("equivalence")
    base = base_of(data)
    equal = equal if isinstance(equal, list) else []
    equivalence = {index: _read(item, Equivalence) for index, item in enumerate(equal)}
    return Parts(
        base=base,
        names=list(arms),
        arms=_mappings(arms),
        tasks=_mappings(_mapping(data.get("tasks"))),
        pairs={
            index: pair
            for index, pair in enumerate(pairs if isinstance(pairs, list) else [])
            if _is_pair(pair)
        },
        contrasts={
            name: weights
            for name, weights in _mappings(_mapping(data.get("contrasts"))).items()
            if isinstance(name, str) and all(map(_is_weight, weights, weights.values()))
        },
        cells={
            block: list(cells) for block, cells in _mappings(_mapping(data.get("cells"))).items()
        },
        equivalence={index: item for index, item in equivalence.items() if item is not None},
        tuning=_read(data.get("tuning"), Tuning),
        tests=data.get("comparisons") != [] or bool(data.get("contrasts") or equal),
        seeds=_field(data, "seeds", kind),
        floor=_field(data, "floor", kind),
        metric=_field(data, "metric", kind),
        seed=base.seed if base is not None else 0,
        seed_given="seed" in data,
        resources=_read(data.get("resources", {}), Resources),
        complete=complete,
    )


def _mapping(value: Any) -> Data:
    return value if isinstance(value, dict) else {}


def _mappings(values: Data) -> dict[str, Data]:
    return {name: value for name, value in values.items() if isinstance(value, dict)}


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) == 2 and all(isinstance(name, str) for name in value)
    )


def _is_weight(arm: Any, weight: Any) -> bool:
    return isinstance(arm, str) and isinstance(weight, int | float) and math.isfinite(weight)


def _read(value: Any, kind: Any) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return None


def _field(data: Mapping[str, Any], key: str, suite: type[Suite]) -> Any:
    field = suite.model_fields[key]
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    try:
        return TypeAdapter(kind).validate_python(data.get(key, field.default), strict=True)
    except ValidationError:
        return field.default
