"""What a suite was made of: compute, commits, machines."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence

from ...analysis import SuiteRuns
from ...store import SUITE_FILE, RunRecord, storage_option

_WORDS = {"completed": "complete", "failed": "failed", "pruned": "pruned", "running": "unfinished"}


def compute_statement(records: Sequence[RunRecord]) -> str:
    """Return what was spent, in one paragraph; of no runs it says so.

    Seconds are those of the runs themselves, added up whatever ran side by side: what one worker
    would have needed. Runs that were taken over from elsewhere are counted with what they cost
    there, and marked as such.
    """
    if not records:
        return "No run was made."
    reused = sum(record.reused_from is not None for record in records)
    states: Counter[str] = Counter(record.status for record in records)
    counts = ", ".join(f"{states[key]} {word}" for key, word in _WORDS.items() if states[key])
    seconds = sum(record.seconds or 0.0 for record in records)
    unknown = sum(record.seconds is None for record in records)
    without = f" ({unknown} without a recorded time)" if unknown else ""
    peak = max((record.peak_memory_mb or 0.0 for record in records), default=0.0)
    memory = f" Peak memory of a run: {peak:,.0f} MiB." if peak else ""
    return (
        f"{len(records)} runs ({counts}), {seconds:,.0f} seconds in all{without}, "
        f"{seconds / 3600:.2f} hours, added up run by run. Device: "
        f"{distinct(_device(record) for record in records)}."
        f"{memory}{_reused(reused)} Versions: {distinct(versions(record) for record in records)}."
    )


def _reused(count: int) -> str:
    return f" {count} of the runs were taken over from other suites or studies." if count else ""


def _device(record: RunRecord) -> str:
    return f"{record.device or 'unknown'}, {threads(record)} a run"


def threads(record: RunRecord) -> str:
    """Return on how many threads a run was trained, of how many processes."""
    shared = f" in each of {record.processes} processes" if record.processes > 1 else ""
    return f"{record.threads} thread(s){shared}"


def again(suite: SuiteRuns, archived: bool = False) -> str:
    """Return the command that runs the same suite under another name.

    Of an archive, which may be read anywhere, the command is to be run in its folder.
    """
    file = SUITE_FILE if archived else str(suite.folder / SUITE_FILE)
    elsewhere = [] if archived else storage_option(suite.folder.parent.parent)
    name = f"name={suite.name}-again"
    return shlex.join(["lora2-search", "ablate", "--suite", file, "--set", name, *elsewhere])


def made_with(records: Sequence[RunRecord]) -> list[str]:
    """Return commit, data, device and versions of the runs, one line each; none of no runs."""
    if not records:
        return []
    return [
        f"Commit: {distinct(_commit(record) for record in records)}",
        f"Data (sha256): {distinct(record.data_hash[:16] for record in records)}",
        f"Device: {distinct(f'{r.device}, {threads(r)}' for r in records)}",
        f"Versions: {distinct(versions(record) for record in records)}",
    ]


def versions(record: RunRecord) -> str:
    """Return the versions of Python and the libraries of a run."""
    return ", ".join(f"{name} {version}" for name, version in sorted(record.versions.items()))


def distinct(values: Iterable[str]) -> str:
    """Return different values once each, in the order in which they come up."""
    return "; ".join(dict.fromkeys(value for value in values if value)) or "unknown"


def _commit(record: RunRecord) -> str:
    if record.commit is None:
        return "not run from a checkout"
    return record.commit + (" with uncommitted changes" if record.dirty else "")
