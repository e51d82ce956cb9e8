"""Run a suite: every arm with every seed, on the engine that runs studies too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..home import writable_folder
from ..observer import Observer, RunInfo
from ..search.shelf import Shelf
from ..source import Source
from ..training.record import RunRecord, read_record
from .suite import SUITE_FILE, Suite, load_suite, validate_suite

if TYPE_CHECKING:
    import pandas

    from ..search.trainable import TrialTrainable

SUITES = Shelf("suite", "suites", SUITE_FILE)
_FREE_ON_RESUME = ("resources",)


@dataclass(frozen=True)
class SuiteResult:
    """What a suite has come to.

    Attributes:
        name: Its name.
        folder: Its folder.
        suite: What was run.
        runs: Every run, seed by seed.
        interrupted: Whether Ctrl-C or SIGTERM ended it early.
    """

    name: str
    folder: Path
    suite: Suite
    runs: tuple[RunInfo, ...]
    interrupted: bool = False

    @cached_property
    def records(self) -> Mapping[str, RunRecord]:
        """The records by the run's key (``base-seed0``); runs that never began have none."""
        read = {run.key: read_record(run.folder) for run in self.runs}
        return {key: record for key, record in read.items() if record is not None}

    @property
    def complete(self) -> bool:
        """Whether every run has ended, well or badly."""
        ended = [r for r in self.records.values() if r.status in ("completed", "failed")]
        return len(ended) == len(self.runs)

    @property
    def failed(self) -> Mapping[str, str]:
        """Why runs failed, by key."""
        return {
            key: record.error or "no reason was recorded"
            for key, record in self.records.items()
            if record.status == "failed"
        }

    def frame(self) -> pandas.DataFrame:
        """Return one row a run: arm, seed, status, validation and test score, sizes, seconds."""
        import pandas

        return pandas.DataFrame([_row(run, self.records.get(run.key)) for run in self.runs])


def run_suite(
    suite: Suite,
    *,
    resume: bool = False,
    storage: Path | None = None,
    address: str | None = None,
    observers: Sequence[Observer] = (),
    trainable: type[TrialTrainable] | None = None,
) -> SuiteResult:
    """Run a suite, or go on with one.

    Runs whose record is complete are not run again; failed ones are.

    Args:
        suite: What is run; `stored_suite` for one that exists.
        resume: Go on with the suite of that name.
        storage: Where ``suites/`` is; by default the home folder. On a cluster, a shared folder.
        address: A Ray cluster: ``auto`` or ``host:port``; ``None`` for this machine alone.
        observers: Told in this process what happens.
        trainable: The class that runs one run.

    Raises:
        ConfigError: The suite is wrong.
        UserError: The name is in use, or unknown on resume, or the suite is another one than
            before; another process runs it; or the cluster cannot be reached.
    """
    from ..search.cluster import connected
    from ..search.engine import execute_runs
    from ..search.trainable import TrialTrainable

    suite = validate_suite(Source(suite.spelled_out(), name=suite.name))
    folder = suite_folder(suite.name, storage)
    if resume:
        stored = stored_suite(suite.name, storage)
        SUITES.check_same(suite.spelled_out(), stored.spelled_out(), _FREE_ON_RESUME)
    else:
        SUITES.check_free(suite.name, storage)
    runs = suite.runs(folder)
    writable_folder(folder.parent, "name another folder with --storage")
    # First the cluster, so that a wrong address leaves no suite behind.
    with connected(address, folder if resume else folder.parent):
        if not resume:
            folder.mkdir(exist_ok=True)
            suite.write(folder)
        interrupted = execute_runs(
            runs,
            folder,
            resources=suite.resources,
            observers=observers,
            address=address,
            trainable=trainable or TrialTrainable,
        )
    return SuiteResult(suite.name, folder, suite, tuple(runs), interrupted)


def read_suite_result(name: str, storage: Path | None = None) -> SuiteResult:
    """Read what a suite has come to so far, whether it is running or not.

    Raises:
        UserError: There is no suite of that name; the message lists those there are.
    """
    suite, folder = stored_suite(name, storage), suite_folder(name, storage)
    return SuiteResult(name, folder, suite, tuple(suite.runs(folder)))


def stored_suite(name: str, storage: Path | None = None, overrides: Sequence[str] = ()) -> Suite:
    """Return a suite that exists, with ``resources.concurrent=4`` and the like laid over it.

    Raises:
        UserError: There is no suite of that name; the message lists those there are.
    """
    return load_suite(str(SUITES.stored(name, storage)), overrides)


def suite_folder(name: str, storage: Path | None = None) -> Path:
    """Return where the suite of that name is, or would be."""
    return SUITES.folder(name, storage)


def _row(run: RunInfo, record: RunRecord | None) -> dict[str, Any]:
    row: dict[str, Any] = {"arm": run.tags["arm"], "seed": run.config.seed}
    row["status"] = record.status if record else "waiting"
    for split in ("validation", "test"):
        row[split] = record.score(split) if record else None
    for name in ("trained_adapter", "kept_adapter", "compressed_adapter"):
        row[name] = record.counts.get(name) if record else None
    row["seconds"] = record.timings.get("total") if record else None
    return row | {"error": record.error if record else None, "folder": str(run.folder)}
