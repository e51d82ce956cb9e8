"""How a winner is confirmed: which trials run again after the search, and on which seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from ..run import MOST_SEED
from ..schema import Section


class Confirm(Section):
    """What runs again after the search, so that the scores reported were not selected."""

    top: int = Field(3, ge=1, description="so many of the best trials run again; one is chosen")
    seeds: int = Field(
        5, ge=1, description="fresh seeds to choose on, and as many again to report on"
    )


@dataclass(frozen=True)
class FreshSeeds:
    """The seeds of a study whose winner is confirmed; no two of the three share one.

    Attributes:
        search: Those of every trial.
        choice: On these the best trials run again, and one is chosen.
        report: On these the chosen one and the baselines run; only their scores are reported.
    """

    search: tuple[int, ...]
    choice: tuple[int, ...]
    report: tuple[int, ...]


def fresh_seeds(confirm: Confirm, search: tuple[int, ...]) -> FreshSeeds:
    """Return the seeds: those after the search's own, first to choose on, then to report on."""
    first = search[-1] + 1
    middle = first + confirm.seeds
    return FreshSeeds(
        search=search,
        choice=tuple(range(first, middle)),
        report=tuple(range(middle, middle + confirm.seeds)),
    )


def winner_problems(
    confirm: Confirm,
    search: tuple[int, ...],
    trials: int | None,
    searched: Mapping[str, Any],
    references: Mapping[str, Mapping[str, Any]],
    tested: bool,
) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for what is wrong with the confirmation of a winner.

    Args:
        confirm: As written.
        search: The seeds of the trials.
        trials: How many at most; ``None`` where that is not given.
        searched: What is searched, by name.
        references: What each baseline sets, by name, dotted.
        tested: ``training.score_test``.
    """
    if not tested:
        yield (
            "training.score_test",
            "must be true with `winner`, which reports test scores of fresh seeds; no trial scores "
            "the test split anyhow, so leave it out",
        )
    if trials is not None and confirm.top > trials:
        yield (
            "winner.top",
            f"must be at most `trials`, but got winner.top={confirm.top}, trials={trials}",
        )
    last = search[-1] + 2 * confirm.seeds
    if last > MOST_SEED:
        yield (
            "winner.seeds",
            f"the fresh seeds follow `seed`, to {last} here, and the greatest seed is "
            f"{MOST_SEED:,}; take a smaller `seed`",
        )
    if "seed" in searched:
        yield (
            "search.seed",
            "cannot be searched with `winner`, which takes fresh seeds; leave it out",
        )
    for name, settings in references.items():
        if "seed" in settings:
            yield (
                f"references.{name}.seed",
                "with `winner` every baseline runs on the winner's fresh seeds; leave it out",
            )


def fresh_key(name: str | int, seed: int) -> str:
    """Return the key, and the folder's name, of a run on a fresh seed: ``3-seed6`` of trial 3.

    No baseline's name begins with a digit.
    """
    return f"{name}-seed{seed}"


def seed_span(seeds: Sequence[int]) -> str:
    """Return seeds that follow each other for people: ``seeds 6 to 10``."""
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"


def fresh_name(name: str | int, seed: int) -> str:
    """Return what a run on a fresh seed is called for people: ``trial 3, seed 6``."""
    return f"trial {name}, seed {seed}" if isinstance(name, int) else f"{name}, seed {seed}"


def named_key(key: str) -> str:
    """Return the `fresh_name` of a `fresh_key`."""
    name, _, seed = key.rpartition("-seed")
    return fresh_name(int(name) if name.isdigit() else name, int(seed))
