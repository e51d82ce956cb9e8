"""What a spool holds of one run, as its record had it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...store import Point
from .spool import End, Metrics, RunState, Start, read, run_path

# Names of what is measured while a run goes on; the others are noted once, at its end.
_CURVES = ("train/", "validation/", "rank/", "geometry/")


@dataclass(frozen=True)
class SpooledRun:
    """One run in the spool.

    Attributes:
        state: How it ended, ``RUNNING`` where the spool knows no end.
        reason: Why it failed or was pruned.
        history: Its curves, by step.
        final: What was noted at its end: ``test/accuracy``, ``counts/...``, ``seconds/...``.
        tags: Of its end.
        started_ms: Unix time of its first start.
        ended_ms: The same of its end.
    """

    state: RunState
    reason: str
    history: list[Point] = field(default_factory=list)
    final: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    started_ms: int = 0
    ended_ms: int | None = None


def spooled_run(folder: Path, key: str) -> SpooledRun | None:
    """Return what the spool of a study or suite holds of a run, ``None`` where it has nothing."""
    records = read(run_path(folder, key)).records
    starts = [record for record in records if isinstance(record, Start)]
    if not starts:
        return None
    last = next(record for record in reversed(records) if isinstance(record, Start | End))
    end = last if isinstance(last, End) else None
    points: dict[int, tuple[int, dict[str, float]]] = {}
    final: dict[str, float] = {}
    for record in records:
        if not isinstance(record, Metrics):
            continue
        curves = {key: v for key, v in record.values.items() if key.startswith(_CURVES)}
        final |= {key: v for key, v in record.values.items() if key not in curves}
        if curves:
            points.setdefault(record.step, (record.time_ms, {}))[1].update(curves)
    return SpooledRun(
        state=end.state if end else "RUNNING",
        reason=end.reason if end else "",
        history=[
            Point(step=step, time_ms=time_ms, metrics=values)
            for step, (time_ms, values) in sorted(points.items())
        ],
        final=final,
        tags=end.tags if end else {},
        started_ms=starts[0].time_ms,
        ended_ms=end.time_ms if end else None,
    )
