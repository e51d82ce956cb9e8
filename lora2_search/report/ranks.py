"""Kept ranks as a table of text, blocks by kinds of module, over one run or several."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from ..training.rank_pattern import rank_grid
from ..training.record import RunRecord
from .records import SuiteRuns
from .tables import NONE, Row, markdown_table


def rank_rows(records: Sequence[RunRecord]) -> list[Row]:
    """Return one row a block: the mean kept rank of each kind of module, whole for a single run.

    Runs without ranks (another method) are left out; all that are left adapt the same modules.
    Empty where none is left.
    """
    grids = [rank_grid(record.rank_pattern) for record in records if record.rank_pattern]
    if not grids:
        return []
    rows = []
    for place, layer in enumerate(grids[0].layers):
        row = {"block": layer}
        for column, kind in enumerate(grids[0].kinds):
            ranks = [grid.ranks[place][column] for grid in grids]
            known = [rank for rank in ranks if rank is not None]
            row[kind] = NONE if not known else _rank(known)
        rows.append(row)
    return rows


def arm_ranks(suite: SuiteRuns) -> list[str]:
    """Return, as Markdown, the mean kept ranks of each arm whose complete runs were pruned."""
    parts = []
    for arm in suite.arms:
        records = [
            run.record
            for (name, _), run in suite.runs.items()
            if name == arm and run.record.status == "completed"
        ]
        if any(_pruned(record) for record in records):
            parts += [f"{arm}:", markdown_table(rank_rows(records))]
    return parts


def _pruned(record: RunRecord) -> bool:
    kept = record.counts.get("kept_adapter")
    return bool(record.rank_pattern) and kept != record.counts.get("trained_adapter")


def _rank(ranks: Sequence[int]) -> str:
    return str(ranks[0]) if len(ranks) == 1 else f"{mean(ranks):.1f}"
