"""A block of a suite as it is written: a design, and factors with levels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..config import mistyped
from ..dotted import dotted
from ..errors import did_you_mean
from ..source import KeyPath
from .varied import arm_problem

DESIGNS = ("leave-one-out", "one-at-a-time", "crossed", "nested", "grid")
# The designs whose cells are every combination of levels.
COMBINED = ("crossed", "nested", "grid")
MAIN = "main"

Settings = Mapping[str, Any]
Found = Iterator[tuple[KeyPath, str]]


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


def form_problems(path: KeyPath, block: Any, beside: Mapping[str, Any]) -> Found:
    """Yield what is wrong with the form of a block: its keys, design, factors and levels.

    Args:
        path: Where the block stands in the file.
        block: What is written there.
        beside: The mapping in which its keys stand: a key that is there misspelt is not missing.
    """
    if not isinstance(block, dict):
        yield path, f"must be {{design, factors}}, but got {block!r}"
        return
    for key in block:
        if key not in ("design", "factors", "within"):
            known = ("design", "factors", "within")
            yield (*path, str(key)), f"unknown key; {did_you_mean(str(key), known)}"
    if "design" not in block and not mistyped(beside, "design"):
        yield (*path, "design"), f"say how the factors are combined: {', '.join(DESIGNS)}"
    if block.get("design", DESIGNS[0]) not in DESIGNS:
        hint = did_you_mean(str(block["design"]), DESIGNS)
        yield (*path, "design"), f"no design {block['design']!r}; {hint}"
    within = block.get("within")
    if within is not None and not isinstance(within, dict):
        yield (*path, "within"), f"must be {{setting: value}}, but got {within!r}"
    factors = block.get("factors")
    if factors is None and mistyped(beside, "factors"):
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


def _factor(path: KeyPath, factor: Any, levels: Any, design: str) -> Found:
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
            yield place, f"the level {twice[0]} stands there twice; drop one"
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
        str(factor): _levels(str(factor), levels) for factor, levels in block["factors"].items()
    }
    within = dotted(block.get("within") or {})
    return Block(name, block["design"], factors, within, path)


def _levels(factor: str, levels: Any) -> dict[str, dict[str, Any]]:
    if isinstance(levels, list):
        # A factor that is named like a setting; its levels are the values.
        short = factor.rpartition(".")[2]
        return {f"{short}-{_word(value)}": {factor: value} for value in levels}
    return {str(level): dotted(settings or {}) for level, settings in levels.items()}


def _word(value: Any) -> str:
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
