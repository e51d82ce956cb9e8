"""Expand the designs of a suite's file into arms, cells, contrasts and comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import ConfigError, Problem
from ..run import RunConfig, with_settings
from ..yaml import KeyPath, Source
from .canonical import canonical_key
from .cells import (
    MAIN,
    Arms,
    Block,
    Cells,
    Refused,
    Weights,
    block_of,
    cells_of,
    factorial_contrasts,
    form_problems,
    written_blocks,
)
from .terms import BASE, FLOOR

KEYS = ("design", "factors", "designs")

_CONTRASTED = ("crossed", "nested")


@dataclass
class _Made:
    """What the blocks read so far have come to."""

    arms: Arms
    twins: dict[str, str]
    pairs: list[list[str]] = field(default_factory=list)
    contrasted: set[str] = field(default_factory=set)
    cells: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    contrasts: dict[str, Weights] = field(default_factory=dict)
    where: dict[KeyPath, str] = field(default_factory=dict)


def expand(source: Source, base: RunConfig | None) -> tuple[Source, list[Problem]]:
    """Replace ``design``, ``factors`` and ``designs`` of a suite's file by what they stand for.

    A cell that equals an arm of ``arms`` or of an earlier block is that arm; every other one
    becomes an arm. ``crossed`` and ``nested`` bring their contrasts, the other designs compare
    each of their arms with the cell of the base's levels, and arms written in ``arms`` that have no
    part in a contrast are compared with ``base``, unless the file names ``comparisons`` itself.

    Args:
        source: The file; arms as dotted settings, ``base`` among them. One without designs is
            returned as it is.
        base: The base's settings, ``None`` where they cannot run: then no cell can be made.

    Returns:
        The expanded source, and every mistake. A block with a mistake is left out.
    """
    if not any(key in source.data for key in KEYS):
        return source, []
    made = _begun(source.data, base)
    problems = _shape(source)
    for name, path, written in written_blocks(source.data):
        mistakes = list(form_problems(path, written, written if path else source.data))
        if not mistakes and {"design", "factors"} <= written.keys():
            block = block_of(name, path, written)
            if name in made.cells:
                mistakes = [(path, f"two designs are named {name!r}; `factors` is called {MAIN}")]
            elif base is not None:
                try:
                    cells = cells_of(block, base, made.arms, made.twins)
                    _add(made, block, cells, base, source.place((*path, "factors")))
                except Refused as refused:
                    mistakes = refused.found
        problems += [Problem(".".join(at), message, _place(source, at)) for at, message in mistakes]
    problems += _named_twice(source, made)
    return _expanded(source, made), problems


def _place(source: Source, path: KeyPath) -> str:
    # A setting is written as one dotted key, or nested.
    return source.where.get(path) or source.place((*path[:-1], *path[-1].split(".")))


def _shape(source: Source) -> list[Problem]:
    designs = source.data.get("designs", {})
    if isinstance(designs, dict) and (designs or "designs" not in source.data):
        return []
    message = f"must be {{name: {{design, factors}}}}, at least one, but got {designs!r}"
    return [Problem("designs", message, source.place(("designs",)))]


def _named_twice(source: Source, made: _Made) -> list[Problem]:
    written = source.data.get("contrasts")
    both = [name for name in made.contrasts if isinstance(written, dict) and name in written]
    message = "a design makes a contrast of that name; give yours another"
    return [
        Problem(f"contrasts.{name}", message, source.place(("contrasts", name))) for name in both
    ]


def _begun(data: Mapping[str, Any], base: RunConfig | None) -> _Made:
    written = data.get("arms")
    arms = dict(written) if isinstance(written, dict) else {BASE: {}}
    return _Made(arms, {} if base is None else dict(_twins(arms, base)))


def _twins(arms: Mapping[str, Any], base: RunConfig) -> Iterator[tuple[str, str]]:
    """Yield the canonical key and name of every arm that can run; others are reported elsewhere."""
    for name, settings in reversed(list(arms.items())):  # the first of two equal arms wins
        if not isinstance(settings, dict):
            continue
        try:
            yield canonical_key(with_settings(base, settings)), name
        except ConfigError:
            continue


def _add(made: _Made, block: Block, cells: Cells, base: RunConfig, place: str) -> None:
    factors = list(cells.levels)
    made.cells[block.name] = {
        arm: dict(zip(factors, cell, strict=True)) for cell, arm in cells.arms.items()
    }
    made.arms |= cells.new
    made.twins |= dict(_twins(cells.new, base))
    made.where |= {("arms", name): place for name in cells.new}
    if block.design in _CONTRASTED:
        made.contrasted |= set(cells.arms.values())
        for name, weights in factorial_contrasts(cells.levels, cells.arms).items():
            if weights not in made.contrasts.values():
                known = name in made.contrasts
                made.contrasts[f"{block.name}, {name}" if known else name] = weights
        return
    for arm in cells.arms.values():
        if arm != cells.reference:
            made.pairs.append([arm, cells.reference])


def _expanded(source: Source, made: _Made) -> Source:
    data = {key: value for key, value in source.data.items() if key not in KEYS}
    arms, contrasts = data.get("arms", {}), data.get("contrasts", {})
    if not isinstance(arms, dict):  # what is wrong with it is reported of the data as they are
        return Source(data, source.where, source.name)
    cells = {name: value for name, value in made.arms.items() if name not in arms}
    data |= {"arms": {BASE: {}, **cells, **arms}, "cells": made.cells}
    if isinstance(contrasts, dict):
        data["contrasts"] = made.contrasts | contrasts
    if data.get("comparisons") is None:
        floor = data.get("floor", FLOOR)
        left_out = made.contrasted | {BASE} | ({floor} if isinstance(floor, str) else set())
        pairs = [*made.pairs, *([arm, BASE] for arm in arms if arm not in left_out)]
        # A contrast of two arms is their comparison already.
        contrast_weights = list(made.contrasts.values())
        data["comparisons"] = [
            [arm, reference]
            for arm, reference in dict.fromkeys(map(tuple, pairs))
            if {arm: 1.0, reference: -1.0} not in contrast_weights
        ]
    return Source(data, {**made.where, **source.where}, source.name)
