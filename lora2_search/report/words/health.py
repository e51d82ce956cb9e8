"""Health flags of a suite's runs in words."""

from __future__ import annotations

from ...analysis import SuiteRuns
from ...store import Flag
from ..tables.markdown import code_span, escaped


def health_lines(suite: SuiteRuns) -> list[str]:
    """Return one line an arm and flag: in which runs it was raised, the first one's numbers."""
    lines = []
    for arm in suite.arms:
        runs = {seed: suite.runs[arm, seed] for seed in suite.seeds if (arm, seed) in suite.runs}
        by_flag: dict[str, list[tuple[int, Flag]]] = {}
        for seed, run in runs.items():
            for flag in run.record.flags:
                by_flag.setdefault(flag.name, []).append((seed, flag))
        for name, raised in by_flag.items():
            first, flag = raised[0]
            seeds = ", ".join(str(seed) for seed, _ in raised)
            lines.append(
                f"{arm}: {name} in {len(raised)} of {len(runs)} runs (seed {seeds}). With seed "
                f"{first} {escaped(flag.detail)}. The setting to turn: {code_span(flag.setting)}."
            )
    return lines
