"""The health flags of runs, as text for tables and reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ..training.record import Flag, RunRecord
from .records import SuiteRuns


def flag_names(record: RunRecord | None) -> str:
    """Return the names of a run's flags, empty without any."""
    return ", ".join(flag.name for flag in record.flags) if record else ""


def flag_counts(records: Iterable[RunRecord]) -> str:
    """Return how many of several runs have each flag: ``gradient 2, memory 1``, or nothing."""
    counts = Counter(flag.name for record in records for flag in record.flags)
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def health_lines(suite: SuiteRuns) -> list[str]:
    """Return one line an arm and flag: in which runs it was seen, the first one's numbers."""
    lines = []
    for arm in suite.arms:
        runs = {seed: suite.runs[arm, seed] for seed in suite.seeds if (arm, seed) in suite.runs}
        seen: dict[str, list[tuple[int, Flag]]] = {}
        for seed, run in runs.items():
            for flag in run.record.flags:
                seen.setdefault(flag.name, []).append((seed, flag))
        for name, found in seen.items():
            first, flag = found[0]
            seeds = ", ".join(str(seed) for seed, _ in found)
            lines.append(
                f"{arm}: {name} in {len(found)} of {len(runs)} runs (seed {seeds}). With seed "
                f"{first} {flag.detail}. The setting to turn: `{flag.setting}`."
            )
    return lines
