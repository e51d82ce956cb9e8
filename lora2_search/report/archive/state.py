"""How far a suite had come when it was archived, and which code had run it: ``archive.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...config.suite import Suite, Tuning
from ...store import RunRecord, reading, stored_json, write_json

STATE_FILE = "archive.json"

_REMEDY = "write the archive anew, or restore it from a copy"


@dataclass(frozen=True)
class Count:
    """Runs of one kind.

    Attributes:
        completed: Those whose record and predictions are in the archive.
        failed: Those that ended badly.
        expected: Those that the suite's plan names.
    """

    completed: int
    failed: int
    expected: int

    def __str__(self) -> str:
        failed = f" ({self.failed} failed)" if self.failed else ""
        return f"{self.completed} of {self.expected}{failed}"


@dataclass(frozen=True)
class ArchiveState:
    """What an archive holds of its suite.

    Attributes:
        suite: The suite's name.
        runs: Of its arms and seeds.
        tuning_runs: Those that gave arms their settings, before.
        made_by: ``commit``, ``dirty`` and ``code_hash`` of its runs, once each; one entry unless
            the code was changed on the way.
    """

    suite: str
    runs: Count
    tuning_runs: Count
    made_by: tuple[Mapping[str, Any], ...]

    @property
    def complete(self) -> bool:
        """Whether every run of the suite has ended, well or badly."""
        return all(c.completed + c.failed == c.expected for c in (self.runs, self.tuning_runs))

    def __str__(self) -> str:
        tuning = f", {self.tuning_runs} tuning runs" if self.tuning_runs.expected else ""
        return f"{self.suite}: {self.runs} runs{tuning}"

    def write(self, folder: Path) -> None:
        """Write ``archive.json``; the same of the same runs."""
        kinds = {"runs": self.runs, "tuning_runs": self.tuning_runs}
        counts = {name: vars(count) for name, count in kinds.items()}
        made_by = [dict(entry) for entry in self.made_by]
        write_json(folder / STATE_FILE, {"suite": self.suite, **counts, "made_by": made_by})


def state_of(
    plan: Suite, runs: Mapping[str, RunRecord], tuning: Mapping[str, RunRecord]
) -> ArchiveState:
    """Count what a suite has come to.

    Args:
        plan: ``suite.yaml``.
        runs: Records by name; those without predictions, unless they failed, are not among them.
        tuning: Records of tuning runs by name.
    """
    made_by = {
        (record.commit or "", record.dirty, record.code_hash): {
            "commit": record.commit,
            "dirty": record.dirty,
            "code_hash": record.code_hash,
        }
        for record in (*runs.values(), *tuning.values())
    }
    return ArchiveState(
        suite=plan.name,
        runs=_count(runs, len(plan.arms) * len(plan.task_names) * len(plan.seed_list)),
        tuning_runs=_count(tuning, _planned(plan.tuning) if plan.tuning else 0),
        made_by=tuple(made_by[key] for key in sorted(made_by, key=repr)),
    )


def read_state(folder: Path) -> ArchiveState | None:
    """Return the state that was written with an archive; ``None`` for one of earlier versions."""
    path = folder / STATE_FILE
    state = stored_json(path, _REMEDY)
    if state is None:
        return None
    with reading(path, _REMEDY):
        runs, tuning = (_stored_count(state[name], name) for name in ("runs", "tuning_runs"))
        made_by = state["made_by"]
        if not isinstance(made_by, list) or not all(isinstance(entry, dict) for entry in made_by):
            raise ValueError(f"made_by must list commits and code hashes, got {made_by!r:.80}")
        return ArchiveState(str(state["suite"]), runs, tuning, tuple(made_by))


def _stored_count(counts: Any, name: str) -> Count:
    numbers = counts.values() if isinstance(counts, dict) else ()
    if not numbers or not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError(f"{name} must hold whole numbers of runs, got {counts!r:.80}")
    return Count(**{key: counts[key] for key in ("completed", "failed", "expected")})


def _planned(tuning: Tuning) -> int:
    """Return how many tuning runs a plan names: grids, trials beyond their ends, seeds."""
    return sum(len(tuning.trials(arm)) for arm in tuning.arms) * len(tuning.seed_list)


def _count(records: Mapping[str, RunRecord], expected: int) -> Count:
    states = [record.status for record in records.values()]
    return Count(states.count("completed"), states.count("failed"), expected)
