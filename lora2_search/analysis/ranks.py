"""Kept ranks, blocks by kinds of module, over one run or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from ..store import RunRecord, rank_grid
from .records import SuiteRuns


@dataclass(frozen=True)
class MeanRanks:
    """Kept ranks averaged over runs.

    Attributes:
        layers: Block numbers, top row first.
        kinds: Kinds of module.
        ranks: Mean kept rank, ``None`` where a block has no such module; rows are blocks.
        runs: Runs that have ranks.
    """

    layers: tuple[str, ...]
    kinds: tuple[str, ...]
    ranks: tuple[tuple[float | None, ...], ...]
    runs: int


def mean_ranks(records: Sequence[RunRecord]) -> MeanRanks | None:
    """Return the mean kept rank of every adapted module, ``None`` where no run has ranks.

    Runs without ranks (another method) are left out; all that are left adapt the same modules.
    """
    grids = [rank_grid(record.rank_pattern) for record in records if record.rank_pattern]
    if not grids:
        return None
    layers, kinds = grids[0].layers, grids[0].kinds
    ranks = []
    for row in range(len(layers)):
        known = [[g.ranks[row][c] for g in grids] for c in range(len(kinds))]
        ranks.append(tuple(_mean([rank for rank in cell if rank is not None]) for cell in known))
    return MeanRanks(layers, kinds, tuple(ranks), len(grids))


def pruned_arms(suite: SuiteRuns) -> dict[str, list[RunRecord]]:
    """Return the complete records of each arm that was pruned, by arm."""
    pruned = {}
    for arm in suite.arms:
        records = [
            run.record
            for (name, _), run in suite.runs.items()
            if name == arm and run.record.status == "completed"
        ]
        if any(_pruned(record) for record in records):
            pruned[arm] = records
    return pruned


def _pruned(record: RunRecord) -> bool:
    kept = record.counts.get("kept_adapter")
    return bool(record.rank_pattern) and kept != record.counts.get("trained_adapter")


def _mean(ranks: Sequence[int]) -> float | None:
    return float(mean(ranks)) if ranks else None
