"""Batches that several devices of one run share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..run import RunConfig
from .distribution import Distribution

BATCH_SIZE = "training.batch_size"


def batch_problem(size: Any, devices: int) -> str | None:
    """Say that a batch is not the same for each device; ``None`` where it is, or is no number."""
    if not isinstance(size, int) or size % devices == 0:
        return None
    return f"must be a multiple of the {devices} devices that share each batch, but got {size}"


def batch_problems(
    devices: int,
    base: RunConfig,
    search: Mapping[str, Distribution],
    references: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[str, str]]:
    """Yield (setting, message) for each place where a space names a batch that is not shareable."""
    named = {BATCH_SIZE: [base.training.batch_size]}
    if (item := search.get(BATCH_SIZE)) is not None:
        named = {f"search.{BATCH_SIZE}": _values(item)}
    named |= {
        f"references.{name}.{BATCH_SIZE}": [settings[BATCH_SIZE]]
        for name, settings in references.items()
        if BATCH_SIZE in settings
    }
    for key, sizes in named.items():
        wrong = (problem for size in sizes if (problem := batch_problem(size, devices)))
        if problem := next(wrong, None):
            yield key, problem


def _values(item: Distribution) -> list[Any]:
    """Return enough of the values to find one that is no multiple of a number."""
    if item.type == "categorical":
        return list(item.choices or [])
    assert isinstance(item.low, int)
    return [item.low, item.low + int(item.step or 1)]
