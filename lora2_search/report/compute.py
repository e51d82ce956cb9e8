"""The compute statement that a paper owes its readers: runs, time, device, versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..training.record import RunRecord
from .provenance import distinct, versions

_WORDS = {"completed": "complete", "failed": "failed", "pruned": "pruned", "running": "unfinished"}


def compute_statement(records: Sequence[RunRecord]) -> str:
    """Return what was spent, in one paragraph; of no runs it says so.

    Seconds are those of the runs themselves, added up whatever ran side by side: what one worker
    would have needed. Runs that were taken over from elsewhere are counted with what they cost
    there, and said to be so.
    """
    if not records:
        return "No run was made."
    reused = sum(record.reused_from is not None for record in records)
    states: Counter[str] = Counter(record.status for record in records)
    told = ", ".join(f"{states[key]} {word}" for key, word in _WORDS.items() if states[key])
    seconds = sum(record.seconds or 0.0 for record in records)
    unknown = sum(record.seconds is None for record in records)
    without = f" ({unknown} without a recorded time)" if unknown else ""
    peak = max((record.peak_memory_mb or 0.0 for record in records), default=0.0)
    memory = f" Peak memory of a run: {peak:,.0f} MiB." if peak else ""
    return (
        f"{len(records)} runs ({told}), {seconds:,.0f} seconds in all{without}, "
        f"{seconds / 3600:.2f} hours, added up run by run. Device: "
        f"{distinct(_device(record) for record in records)}."
        f"{memory}{_reused(reused)} Versions: {distinct(versions(record) for record in records)}."
    )


def _reused(count: int) -> str:
    return f" {count} of the runs were taken over from other suites or studies." if count else ""


def _device(record: RunRecord) -> str:
    return f"{record.device or 'unknown'}, {record.threads} thread(s) a run"
