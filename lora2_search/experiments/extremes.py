"""The smallest and the largest adapter that a search can propose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from ..config import RunConfig
from ..config.space import Distribution, Space, Value, in_order, is_searched
from ..errors import ConfigError

# Settings on which the number of trained parameters may depend. Another pretrained model would have
# to be loaded first, so its name is not among them.
_SIZING = (
    "method",
    "adapter.k",
    "adapter.r",
    "adapter.target_modules",
    "adapter.exclude_modules",
    "adapter.layers_to_transform",
    "adapter.layers_pattern",
    "adapter.rank_pattern",
    "model.layers",
)

# Each takes a moment: an adapter is put on the model and counted.
_MOST = 64


@dataclass(frozen=True)
class Sized:
    """An adapter of a search: its trained parameters, and the settings that decide them."""

    parameters: int
    settings: dict[str, Value]


def extreme_adapters(space: Space, size: Callable[[RunConfig], int]) -> tuple[Sized, Sized] | None:
    """Return the smallest and the largest adapter of a space.

    Every combination of choices is counted, with all ranges at their lowest and at their highest
    end: an adapter only grows with a number. ``None`` where the space has too many combinations to
    count, or none that can run.

    Args:
        space: The space.
        size: Counts the parameters of a run's adapter.
    """
    combinations = list(_corners(space))
    if len(combinations) > _MOST:
        return None
    sized: list[Sized] = []
    for params in combinations:
        try:
            parameters = size(space.run_config(params))
        except ConfigError:
            continue  # settings that do not go together are never run
        sized.append(Sized(parameters, _deciding(params)))
    if not sized:
        return None
    by_size = sorted(sized, key=lambda item: item.parameters)
    return by_size[0], by_size[-1]


def _corners(space: Space) -> Iterator[dict[str, Value]]:
    """Yield settings for every combination of choices, ranges at one end together; each once."""
    seen: list[dict[str, Value]] = []
    for end in (0, -1):
        options = [(name, item, _values(name, item, end)) for name, item in in_order(space.search)]
        for values in product(*(values for _, _, values in options)):
            params: dict[str, Value] = {}
            for (name, item, _), value in zip(options, values, strict=True):
                if is_searched(name, item, params):
                    params[name] = value
            if _deciding(params) not in seen:
                seen.append(_deciding(params))
                yield params


def _values(name: str, item: Distribution, end: int) -> list[Value]:
    ends = item.endpoints()
    decides = name in _SIZING or name.startswith("peft.")
    return ends if decides and item.type == "categorical" else [ends[end]]


def _deciding(params: dict[str, Value]) -> dict[str, Value]:
    return {
        name: value for name, value in params.items() if name in _SIZING or name.startswith("peft.")
    }
