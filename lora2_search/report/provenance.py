"""Where a suite's numbers come from: commit, data, device, versions, and how to run it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from ..training.record import RunRecord
from .records import SUITE_FILE, SuiteRuns


def again(suite: SuiteRuns, archived: bool = False) -> str:
    """Return the command that runs the same suite under another name.

    Of an archive, which may be read anywhere, the command is to be run in its folder.
    """
    file = SUITE_FILE if archived else shlex.quote(str(suite.folder / SUITE_FILE))
    return f"lora2-search ablate --suite {file} --set name={suite.name}-again"


def made_with(records: Sequence[RunRecord]) -> list[str]:
    """Return commit, data, device and versions of the runs, one line each; none of no runs."""
    if not records:
        return []
    return [
        f"Commit: {distinct(_commit(record) for record in records)}",
        f"Data (sha256): {distinct(record.data_hash[:16] for record in records)}",
        f"Device: {distinct(f'{r.device}, {r.threads} thread(s)' for r in records)}",
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
