"""A rank pattern as a grid, blocks by kinds of module, and as the file that a run leaves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .files import write_json

RANK_PATTERN_FILE = "rank_pattern.json"

OUTSIDE = "–"

_BLOCK = re.compile(r"\.(\d+)\.")


@dataclass(frozen=True)
class RankGrid:
    """Kept ranks as a grid.

    Attributes:
        layers: Row names: block numbers, top row first.
        kinds: Column names: what kind of module.
        ranks: Kept rank, ``None`` where a block has no such module.
    """

    layers: tuple[str, ...]
    kinds: tuple[str, ...]
    ranks: tuple[tuple[int | None, ...], ...]


def block_and_kind(module: str) -> tuple[str, str]:
    """Return a module's block, the first number in its name, and its kind, what follows.

    A module outside any block is of the block ``–``, and its kind is its whole name.
    """
    match = _BLOCK.search(module)
    return (match[1], module[match.end() :]) if match else (OUTSIDE, module)


def rank_grid(pattern: Mapping[str, int]) -> RankGrid:
    """Arrange kept ranks by block and kind of module; modules outside any block come last."""
    cells = {block_and_kind(name): rank for name, rank in pattern.items()}
    layers = block_order(layer for layer, _ in cells)
    kinds = list(dict.fromkeys(kind for _, kind in cells))
    ranks = tuple(tuple(cells.get((layer, kind)) for kind in kinds) for layer in layers)
    return RankGrid(tuple(layers), tuple(kinds), ranks)


def block_order(layers: Iterable[str]) -> list[str]:
    """Return each block once, by number; ``–``, outside any block, comes last."""
    return sorted(set(layers), key=lambda text: (text == OUTSIDE, _number(text)))


def write_rank_pattern(folder: Path, pattern: Mapping[str, int], highest: int) -> Path:
    """Write ``rank_pattern.json`` of a run and return its path.

    Its keys: ``r`` (the starting rank), ``modules`` (kept rank by module name, as the setting
    ``adapter.rank_pattern`` takes it), and the same as a heat map: ``layers`` (rows), ``kinds``
    (columns), ``ranks`` (``null`` where a block has no such module).
    """
    grid = rank_grid(pattern)
    heat_map = {"layers": grid.layers, "kinds": grid.kinds, "ranks": grid.ranks}
    path = folder / RANK_PATTERN_FILE
    write_json(path, {"r": highest, "modules": dict(pattern), **heat_map})
    return path


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
