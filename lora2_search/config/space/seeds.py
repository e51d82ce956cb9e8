"""Several seeds per trial: which they are, and what does not go with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..run import MOST_SEED

MOST_SEEDS = 100

_LEARN_FROM_WHOLE = ("gp", "cmaes")


def trial_seeds(first: int, count: int) -> tuple[int, ...]:
    """Return the seeds of a trial's runs, in their order: ``count`` from ``first`` on."""
    return tuple(range(first, first + count))


def is_raced(seeds: int, race: bool | None, objectives: int, sampler: str) -> bool:
    """Return whether trials may end before all their seeds have run.

    Where nobody says so (``race`` is ``None``) not with a sampler that learns from whole trials
    alone: racing would leave it next to none.
    """
    if seeds == 1 or objectives > 1:
        return False
    return sampler not in _LEARN_FROM_WHOLE if race is None else race


def seeds_problems(
    count: int,
    race: bool | None,
    first: int,
    searched: Mapping[str, Any],
    objectives: int,
    is_halved: bool,
) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for what is wrong with several seeds per trial.

    Args:
        count: How many.
        race: As written; ``None`` where it was left out.
        first: ``seed``, that of the first run.
        searched: What is searched, by name.
        objectives: How many there are.
        is_halved: Whether the scheduler is ``halving``.
    """
    if count == 1:
        if race:
            yield "race", "compares trials seed by seed, and they have one; set `seeds`, 2 or more"
        return
    if race and objectives > 1:
        yield "race", "compares one score, and here are several objectives; leave it out"
    if is_halved:
        yield (
            "seeds",
            "does not go with halving, whose rungs rank single runs; take scheduler: {name: none} "
            "or asha, or leave `seeds` out",
        )
    if "seed" in searched:
        yield "search.seed", "cannot be searched with `seeds`, by which every trial has the same"
    if first + count - 1 > MOST_SEED:
        yield (
            "seeds",
            f"follow `seed`, to {first + count - 1} here, and the greatest seed is "
            f"{MOST_SEED:,}; take a smaller `seed`",
        )
