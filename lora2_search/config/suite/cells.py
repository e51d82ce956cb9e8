"""The cells of a design: arms by their levels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import ConfigError, did_you_mean
from ..run import RunConfig, mistyped, with_settings
from ..settings import Settings, dotted
from ..yaml import KeyPath
from .allowed import arm_problem
from .canonical import canonical_key, why_equal
from .terms import BASE

Cell = tuple[str, ...]

Weights = dict[str, float]


def factorial_contrasts(
    factors: Mapping[str, Sequence[str]], arms: Mapping[Cell, str]
) -> dict[str, Weights]:
    """Return main effects and interactions of pairs of factors, by name, as weights over arms.

    The main effect of a level is its difference from the base's level, averaged over the cells of
    the other factors: weights ±1 / (number of those cells). The interaction of two levels is the
    difference of differences, averaged over the cells of the factors that remain. Interactions of
    three factors and more are left out.

    Args:
        factors: The levels of each factor, the base's first.
        arms: The arm of every cell, a level of each factor in their order.
    """
    contrasts: dict[str, Weights] = {}
    for factor, levels in factors.items():
        for level in levels[1:]:
            signs = {factor: {level: 1, levels[0]: -1}}
            contrasts[f"{factor}: {level}"] = _weights(factors, arms, signs)
    for one, other in itertools.combinations(factors, 2):
        for first, second in itertools.product(factors[one][1:], factors[other][1:]):
            signs = {
                one: {first: 1, factors[one][0]: -1},
                other: {second: 1, factors[other][0]: -1},
            }
            contrasts[f"{one} × {other}: {first}, {second}"] = _weights(factors, arms, signs)
    return contrasts


def _weights(
    factors: Mapping[str, Sequence[str]],
    arms: Mapping[Cell, str],
    signs: Mapping[str, Mapping[str, int]],
) -> Weights:
    remaining = 1
    for factor, levels in factors.items():
        remaining *= 1 if factor in signs else len(levels)
    weights: Weights = {}
    for cell, arm in arms.items():
        sign = 1
        for factor, level in zip(factors, cell, strict=True):
            sign *= signs[factor].get(level, 0) if factor in signs else 1
        if sign:
            weights[arm] = weights.get(arm, 0.0) + sign / remaining
    return weights


DESIGNS = ("leave-one-out", "one-at-a-time", "crossed", "nested", "grid")

# The designs whose cells are every combination of levels.
COMBINED = ("crossed", "nested", "grid")

MAIN = "main"

Mistakes = Iterator[tuple[KeyPath, str]]


@dataclass(frozen=True)
class Block:
    """Factors, and how their levels are combined.

    Attributes:
        name: ``main`` for the suite's own ``factors``.
        design: One of ``DESIGNS``.
        factors: What each level of each factor sets, as dotted settings.
        within: What all cells of the block set.
        path: Where the block stands in the file; empty for the suite's own.
    """

    name: str
    design: str
    factors: Mapping[str, Mapping[str, Settings]]
    within: Settings
    path: KeyPath

    def level_path(self, factor: str, level: str) -> KeyPath:
        """Return where a level stands in the file."""
        return (*self.path, "factors", factor, level)


def written_blocks(data: Mapping[str, Any]) -> Iterator[tuple[str, KeyPath, Any]]:
    """Yield every block as it stands in a suite's file: name, place and what is written there."""
    own = {key: data[key] for key in ("design", "factors") if key in data}
    if own:
        yield MAIN, (), own
    designs = data.get("designs")
    if isinstance(designs, dict):
        for name, block in designs.items():
            yield str(name), ("designs", str(name)), block


def form_problems(path: KeyPath, block: Any, parent: Mapping[str, Any]) -> Mistakes:
    """Yield what is wrong with the form of a block: its keys, design, factors and levels.

    Args:
        path: Where the block stands in the file.
        block: What is written there.
        parent: The mapping in which its keys stand: a key that is there misspelt is not missing.
    """
    if not isinstance(block, dict):
        yield path, f"must be {{design, factors}}, but got {block!r}"
        return
    for key in block:
        if key not in ("design", "factors", "within"):
            known = ("design", "factors", "within")
            yield (*path, str(key)), f"unknown key; {did_you_mean(str(key), known)}"
    if "design" not in block and not mistyped(parent, "design"):
        yield (*path, "design"), f"say how to combine the factors: {', '.join(DESIGNS)}"
    if block.get("design", DESIGNS[0]) not in DESIGNS:
        hint = did_you_mean(str(block["design"]), DESIGNS)
        yield (*path, "design"), f"no design {block['design']!r}; {hint}"
    within = block.get("within")
    if within is not None and not isinstance(within, dict):
        yield (*path, "within"), f"must be {{setting: value}}, but got {within!r}"
    factors = block.get("factors")
    if factors is None and mistyped(parent, "factors"):
        return
    if not isinstance(factors, dict) or not factors:
        yield (
            (*path, "factors"),
            "the design is empty; name a factor, for example "
            "regularisation: {unregularised: {adapter.gamma: 0}, regularised: {}}",
        )
        return
    for factor, levels in factors.items():
        yield from _factor(path, factor, levels, str(block.get("design")))


def _factor(path: KeyPath, factor: Any, levels: Any, design: str) -> Mistakes:
    place = (*path, "factors", str(factor))
    if not isinstance(levels, dict | list):
        yield (
            place,
            f"must be {{level: {{setting: value}}}} or a list of values, but got {levels!r}",
        )
        return
    if len(levels) < 2:
        yield place, f"a factor needs two levels or more, but got {len(levels)}"
    if design == "leave-one-out" and len(levels) > 2:
        yield (
            place,
            f"leave-one-out takes each part away once: two levels, but got {len(levels)}; use "
            "one-at-a-time for more",
        )
    if isinstance(levels, list):
        wrong = [value for value in levels if isinstance(value, dict | list)]
        words = [_word(value) for value in levels]
        twice = [word for word in dict.fromkeys(words) if words.count(word) > 1]
        problem = arm_problem(str(factor))
        if wrong:
            yield place, f"a list holds plain values, but got {wrong[0]!r}; name the levels"
        elif twice:
            yield place, f"the level {twice[0]} appears twice; drop one"
        elif problem is not None:
            yield place, f"a list of values is for a factor named like a setting: {problem}"
        return
    for level, settings in levels.items():
        if isinstance(level, bool):
            word = "on" if level else "off"
            yield (
                (*place, word),
                f"YAML reads {word}, yes and no as true and false; put the level's name in quotes",
            )
        elif settings is not None and not isinstance(settings, dict):
            yield (*place, str(level)), f"must be {{setting: value}}, but got {settings!r}"


def block_of(name: str, path: KeyPath, block: Mapping[str, Any]) -> Block:
    """Return a block whose form is right."""
    factors = {
        str(factor): _named_levels(str(factor), levels)
        for factor, levels in block["factors"].items()
    }
    within = dotted(block.get("within") or {})
    return Block(name, block["design"], factors, within, path)


def _named_levels(factor: str, levels: Any) -> dict[str, Settings]:
    if isinstance(levels, list):
        # A factor that is named like a setting; its levels are the values.
        short = factor.rpartition(".")[2]
        return {f"{short}-{_word(value)}": {factor: value} for value in levels}
    return {str(level): dotted(settings or {}) for level, settings in levels.items()}


def _word(value: Any) -> str:
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


Arms = dict[str, Settings]

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
        twins: Their names by ``canonical_key``.

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
    cell_by_key: dict[str, Cell] = {}
    wrong: Found = []
    prefix, place = "", (*block.path, "factors")
    for cell in _combinations(block, levels):
        settings = _settings(block, cell)
        try:
            config = with_settings(base, settings)
        except ConfigError as error:
            wrong.append((place, _impossible(cell, error)))
            continue
        same = cell_by_key.setdefault(canonical_key(config), cell)
        if same != cell:
            differing = _apart(block, cell, same)
            wrong.append((place, _doubled(cell, same, differing, config)))
            continue
        name = twins.get(canonical_key(config))
        if name is None:
            name = prefix + ".".join(_changed(levels, cell)) if made else block.name
            if name in arms or name in new:
                wrong.append(
                    (
                        place,
                        f"the cell {_spoken(cell)} would be called {name!r}, like "
                        "another arm with other settings; rename "
                        f"{'a level' if made else 'the design'}",
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
    problems: Found = []
    owner: dict[str, str] = dict.fromkeys(block.within, "within")
    for key in block.within:
        if (problem := arm_problem(key)) is not None:
            problems.append(((*block.path, "within", key), problem))
    for factor, levels in block.factors.items():
        for level, settings in levels.items():
            for key in settings:
                place = (*block.level_path(factor, level), key)
                if (problem := arm_problem(key)) is not None:
                    problems.append((place, problem))
                elif owner.setdefault(key, factor) != factor:
                    what = "`within`" if owner[key] == "within" else f"factor {owner[key]!r}"
                    problems.append((place, f"{what} sets it too, but a cell can set it only once"))
    if problems:
        raise Refused(problems)


def _check_count(block: Block, levels: Mapping[str, list[str]]) -> None:
    count = math.prod(map(len, levels.values())) if block.design in COMBINED else 1
    if count > _MOST_CELLS:
        message = f"the design makes {count:,} cells; at most {_MOST_CELLS:,} are run"
        raise Refused([((*block.path, "factors"), message)])


def _levels(block: Block, base: RunConfig) -> dict[str, list[str]]:
    """Return the levels of each factor, the base's first."""
    problems: Found = []
    ordered: dict[str, list[str]] = {}
    try:
        inside = with_settings(base, dict(block.within))
    except ConfigError as error:
        within_problems = [((*block.path, "within"), problem.message) for problem in error.problems]
        raise Refused(within_problems) from None
    for factor, levels in block.factors.items():
        own: list[str] = []
        for level, settings in levels.items():
            try:
                config = with_settings(inside, dict(settings))
            except ConfigError as error:
                place = block.level_path(factor, level)
                problems += [(place, f"breaks the base: {item.message}") for item in error.problems]
                continue
            if canonical_key(config) == canonical_key(inside):
                own.append(level)
        if len(own) == 1:
            ordered[factor] = [own[0], *(level for level in levels if level != own[0])]
        elif not any(path[:-1] == block.level_path(factor, "")[:-1] for path, _ in problems):
            problems.append(((*block.path, "factors", factor), _no_base(factor, own, block)))
    if problems:
        raise Refused(problems)
    return ordered


def _no_base(factor: str, own: list[str], block: Block) -> str:
    if own:
        return (
            f"levels {own[0]} and {own[1]} are both the base as it is, by construction; leave one "
            "out, or make the base differ from one of them"
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


def _settings(block: Block, cell: Cell) -> Settings:
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


def _differing(settings: Settings, base: RunConfig) -> Settings:
    """Return what a cell sets, without what the base has anyway."""
    own = dotted(base.model_dump(mode="python"))
    return {key: value for key, value in settings.items() if own.get(key, _ABSENT) != value}


def _impossible(cell: Cell, error: ConfigError) -> str:
    why = "; ".join(
        f"{item.key}: {item.message}" if item.key else item.message for item in error.problems
    )
    return (
        f"the cell {_spoken(cell)} cannot exist: {why}; leave the level out here, and give it "
        "its own design in `designs` in which it can"
    )


def _doubled(cell: Cell, same: Cell, settings: list[str], config: RunConfig) -> str:
    return (
        f"the cell {_spoken(cell)} {why_equal(f'the cell {_spoken(same)}', settings, config)}; "
        "cross only factors that make a difference in every cell, and give the others their "
        "own nested design in `designs`"
    )


def _spoken(cell: Cell) -> str:
    return f"({', '.join(cell)})"
