"""The cells of a block: every combination of levels that its design asks for, as an arm."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..config import RunConfig, with_settings
from ..dotted import dotted
from ..errors import ConfigError
from ..source import KeyPath
from .blocks import COMBINED, Block
from .factorial import Cell
from .reserved import BASE
from .twins import identity, why_equal
from .varied import arm_problem

Arms = dict[str, dict[str, Any]]
Found = list[tuple[KeyPath, str]]

_ABSENT = object()
_MOST_CELLS = 1_000


class Refused(Exception):
    """A block that cannot be expanded.

    Attributes:
        found: Every mistake: its place in the file, and what is wrong.
    """

    def __init__(self, found: Found) -> None:
        super().__init__("; ".join(message for _, message in found))
        self.found = found


@dataclass(frozen=True)
class Cells:
    """The cells of one block.

    Attributes:
        levels: The levels of each factor, the base's first.
        arms: The arm of every cell; the cell of the base's levels is the first.
        new: What each arm sets that no earlier block has.
    """

    levels: Mapping[str, list[str]]
    arms: Mapping[Cell, str]
    new: Arms

    @property
    def reference(self) -> str:
        """The arm whose levels are all the base's."""
        return next(iter(self.arms.values()))


def cells_of(block: Block, base: RunConfig, arms: Arms, twins: Mapping[str, str]) -> Cells:
    """Return the cells of a block as arms.

    A cell is named after its levels that are not the base's, joined by "."; the cell of the base's
    levels is called ``base``, or like the block where ``within`` makes it another run.

    Args:
        block: A block whose form is right.
        base: The suite's base.
        arms: The arms there are.
        twins: Their names by ``identity``.

    Raises:
        Refused: More cells than anybody runs, a setting that no arm may change, two factors that
            set the same one, a level that the base cannot take, a factor without the base's level,
            a cell that cannot exist, two cells that are one by construction, or an arm's name that
            is taken.
    """
    _check_settings(block)
    levels = _levels(block, base)
    _check_count(block, levels)
    made: dict[Cell, str] = {}
    new: Arms = {}
    seen: dict[str, Cell] = {}
    wrong: Found = []
    prefix, place = "", (*block.path, "factors")
    for cell in _combinations(block, levels):
        settings = _settings(block, cell)
        try:
            config = with_settings(base, settings)
        except ConfigError as error:
            wrong.append((place, _impossible(cell, error)))
            continue
        same = seen.setdefault(identity(config), cell)
        if same != cell:
            apart = _apart(block, cell, same)
            wrong.append((place, _doubled(cell, same, apart, config)))
            continue
        name = twins.get(identity(config))
        if name is None:
            name = prefix + ".".join(_changed(levels, cell)) if made else block.name
            if name in arms or name in new:
                wrong.append(
                    (
                        place,
                        f"the cell {_spoken(cell)} would be called {name!r}, as another "
                        "arm with other settings is; rename "
                        f"{'a level' if made else 'the block'}",
                    )
                )
            new[name] = _differing(settings, base)
        if not made and name != BASE:
            prefix = f"{block.name}."
        made[cell] = name
    if wrong:
        raise Refused(wrong)
    return Cells(levels, made, new)


def _check_settings(block: Block) -> None:
    found: Found = []
    owner: dict[str, str] = dict.fromkeys(block.within, "within")
    for key in block.within:
        if (problem := arm_problem(key)) is not None:
            found.append(((*block.path, "within", key), problem))
    for factor, levels in block.factors.items():
        for level, settings in levels.items():
            for key in settings:
                place = (*block.level_path(factor, level), key)
                if (problem := arm_problem(key)) is not None:
                    found.append((place, problem))
                elif owner.setdefault(key, factor) != factor:
                    what = "`within`" if owner[key] == "within" else f"factor {owner[key]!r}"
                    found.append((place, f"{what} sets it too, and a cell can have it but once"))
    if found:
        raise Refused(found)


def _check_count(block: Block, levels: Mapping[str, list[str]]) -> None:
    count = math.prod(map(len, levels.values())) if block.design in COMBINED else 1
    if count > _MOST_CELLS:
        message = f"the design makes {count:,} cells; at most {_MOST_CELLS:,} are run"
        raise Refused([((*block.path, "factors"), message)])


def _levels(block: Block, base: RunConfig) -> dict[str, list[str]]:
    """Return the levels of each factor, the base's first."""
    found: Found = []
    ordered: dict[str, list[str]] = {}
    try:
        inside = with_settings(base, dict(block.within))
    except ConfigError as error:
        said = [((*block.path, "within"), problem.message) for problem in error.problems]
        raise Refused(said) from None
    for factor, levels in block.factors.items():
        own: list[str] = []
        for level, settings in levels.items():
            try:
                config = with_settings(inside, dict(settings))
            except ConfigError as error:
                place = block.level_path(factor, level)
                found += [(place, f"breaks the base: {item.message}") for item in error.problems]
                continue
            if identity(config) == identity(inside):
                own.append(level)
        if len(own) == 1:
            ordered[factor] = [own[0], *(level for level in levels if level != own[0])]
        elif not any(path[:-1] == block.level_path(factor, "")[:-1] for path, _ in found):
            found.append(((*block.path, "factors", factor), _no_base(factor, own, block)))
    if found:
        raise Refused(found)
    return ordered


def _no_base(factor: str, own: list[str], block: Block) -> str:
    if own:
        return (
            f"levels {own[0]} and {own[1]} are both the base as it is, by construction; leave one "
            "out, or let the base differ from one of them"
        )
    keys = dict.fromkeys(key for settings in block.factors[factor].values() for key in settings)
    return (
        "no level is the base's own, so there is nothing to compare the others with; add one that "
        f"changes nothing, `name: {{}}`, or set the base ({', '.join(keys)}) to one of them"
    )


def _combinations(block: Block, levels: Mapping[str, list[str]]) -> Iterator[Cell]:
    if block.design in COMBINED:
        yield from itertools.product(*levels.values())
        return
    start = tuple(own[0] for own in levels.values())
    yield start
    for index, own in enumerate(levels.values()):
        for level in own[1:]:
            yield (*start[:index], level, *start[index + 1 :])


def _settings(block: Block, cell: Cell) -> dict[str, Any]:
    settings = dict(block.within)
    for levels, level in zip(block.factors.values(), cell, strict=True):
        settings |= levels[level]
    return settings


def _changed(levels: Mapping[str, list[str]], cell: Cell) -> list[str]:
    return [level for own, level in zip(levels.values(), cell, strict=True) if level != own[0]]


def _apart(block: Block, one: Cell, other: Cell) -> list[str]:
    """Return the settings that two cells do not share."""
    first, second = _settings(block, one), _settings(block, other)
    keys = dict.fromkeys([*first, *second])
    return [key for key in keys if first.get(key, _ABSENT) != second.get(key, _ABSENT)]


def _differing(settings: dict[str, Any], base: RunConfig) -> dict[str, Any]:
    """Return what a cell sets, without what the base has anyway."""
    own = dotted(base.model_dump(mode="python"))
    return {key: value for key, value in settings.items() if own.get(key, _ABSENT) != value}


def _impossible(cell: Cell, error: ConfigError) -> str:
    why = "; ".join(
        f"{item.key}: {item.message}" if item.key else item.message for item in error.problems
    )
    return (
        f"the cell {_spoken(cell)} cannot exist: {why}; leave the level out here, and give it a "
        "block of its own in `designs` in which it can"
    )


def _doubled(cell: Cell, same: Cell, apart: list[str], config: RunConfig) -> str:
    return (
        f"the cell {_spoken(cell)} {why_equal(f'the cell {_spoken(same)}', apart, config)}; "
        "cross only factors that make a difference in every cell, and give the others a nested "
        "block of their own in `designs`"
    )


def _spoken(cell: Cell) -> str:
    return f"({', '.join(cell)})"
