"""The way from a study's own settings to its winner, one setting at a time, and back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...errors import ConfigError, UserError
from ..run import RunConfig, with_settings
from ..settings import Settings
from ..space import Space, in_order
from ..yaml import Data
from .canonical import canonical_key, difference
from .terms import BASE, FLOOR


@dataclass(frozen=True)
class _Run:
    """An arm of the suite: what it changes of the base, and which run it is."""

    arm: str
    settings: Settings
    identity: str


def path_suite(space: RunConfig, winner: RunConfig, name: str, seeds: int | Sequence[int]) -> Data:
    """Return the data of a suite that says what each setting of a winner was worth.

    ``base`` is where the study started: its space with every searched setting at the value that
    the file, or else the default, gives. ``step-1-<setting>`` takes over the winner's first
    setting, ``step-2-…`` the next one beside it, and so on to the winner itself; each is compared
    with the step before it. ``without-<setting>`` is the winner with one setting put back,
    compared with the winner. ``head-only`` is the floor.

    The order is that of the space's ``search``. A setting that cannot be changed yet, or that
    changes nothing yet, waits for those after it; where no setting can be changed alone, the
    fewest that can go together; one that changes nothing is left out, and so is a way back that
    cannot run.

    Args:
        space: The study's space, or any run to start from.
        winner: The run of its best trial; its ``seed`` is left aside.
        name: The suite's name.
        seeds: How many, or which.

    Raises:
        UserError: The winner is what the study started from.
        ConfigError: The space's own settings cannot run.
    """
    base = space.as_run_config()
    order = [setting for setting, _ in in_order(space.search)] if isinstance(space, Space) else []
    changes = _changes(base, winner, order)
    steps = list(_steps(base, changes))
    if not steps:
        raise UserError(
            "the winner's settings equal the study's own, so there is nothing to compare"
        )
    names = [BASE, *(step.arm for step in steps)]
    pairs = [[after, before] for before, after in itertools.pairwise(names)]
    arms = {step.arm: step.settings for step in steps}
    known = {canonical_key(base): BASE, **{step.identity: step.arm for step in steps}}
    for back in _ways_back(base, changes):
        arm = known.setdefault(back.identity, back.arm)
        if arm == back.arm:
            arms[arm] = back.settings
        # A path of one step is its own way back.
        if arm != names[-1] and [names[-1], arm] not in pairs:
            pairs.append([arm, names[-1]])
    suite_fields: Data = {
        "name": name,
        "arms": {**arms, FLOOR: {"method": FLOOR}},
        "comparisons": pairs,
    }
    suite_fields |= {"seeds": seeds if isinstance(seeds, int) else list(seeds), "floor": FLOOR}
    if isinstance(space, Space):
        suite_fields |= {"metric": space.objective.metric}
        suite_fields |= {"resources": space.resources.model_dump(mode="json")}
    left_out = set() if isinstance(seeds, int) else {"seed"}
    return base.model_dump(mode="json", exclude=left_out) | suite_fields


def _changes(base: RunConfig, winner: RunConfig, order: Sequence[str]) -> Settings:
    """Return the winner's settings that are not the base's, those of ``order`` first."""
    differing = difference(base, winner)
    names = [
        name for name in dict.fromkeys([*order, *differing]) if name in differing and name != "seed"
    ]
    return {name: differing[name][1] for name in names}


def _steps(base: RunConfig, changes: Settings) -> Iterator[_Run]:
    done: Settings = {}
    waiting = dict(changes)
    current = canonical_key(base)
    for number in itertools.count(1):
        taken = _next(base, done, waiting, current)
        if taken is None:
            return
        done |= {setting: waiting.pop(setting) for setting in taken}
        current = canonical_key(with_settings(base, done))
        yield _Run(f"step-{number}-{'-and-'.join(taken)}", dict(done), current)


def _next(
    base: RunConfig, done: Settings, waiting: Settings, current: str
) -> tuple[str, ...] | None:
    """Return the fewest settings, the first in order, that can be changed now and change a run."""
    if _identity(base, done | waiting) == current:
        return None
    for count in range(1, len(waiting) + 1):
        for taken in itertools.combinations(waiting, count):
            after = _identity(base, done | {setting: waiting[setting] for setting in taken})
            if after not in (None, current):
                return taken
    return None


def _ways_back(base: RunConfig, changes: Settings) -> Iterator[_Run]:
    """Yield the winner with one setting put back, wherever that makes a run of its own."""
    winner = canonical_key(with_settings(base, changes))
    for setting in changes:
        remaining = {name: value for name, value in changes.items() if name != setting}
        after = _identity(base, remaining)
        if after not in (None, winner):
            yield _Run(f"without-{setting}", remaining, str(after))


def _identity(base: RunConfig, changes: Settings) -> str | None:
    try:
        return canonical_key(with_settings(base, changes))
    except ConfigError:
        return None
