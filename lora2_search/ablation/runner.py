"""Run a suite: every arm with every seed, on the engine that runs studies too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING

from ..config import RunInfo, Source
from ..config.suite import Suite, as_grown, suite_source, typed_suite
from ..execution import Interruption
from ..store import (
    PAGE_FILE,
    RUNS_FOLDER,
    SUITE_FILE,
    TUNING_FOLDER,
    Progress,
    RunRecord,
    Shelf,
    progress_of,
    readable_record,
    write_json,
)
from ..training import Observer
from .adoption import Adoption
from .reuse import Circumstances, take_over_all
from .tuning import FurtherTrial, chosen_settings, further_trials, open_ends, tuning_lines

if TYPE_CHECKING:
    import pandas

    from ..analysis import Analysis
    from ..config.space import Resources, Value
    from ..execution import TrialTrainable
    from ..report import Page

SUITES = Shelf("suite", "suites", SUITE_FILE)

DIFFERENCES_FILE = "differences.json"

_FREE_ON_RESUME = ("resources", "seeds")

# Of a suite that was begun elsewhere; each run is compared with what this suite would run.
_FREE_ELSEWHERE = (*_FREE_ON_RESUME, "name", "data", "model")


@dataclass(frozen=True)
class SuiteResult:
    """What a suite has come to.

    Attributes:
        name: Its name.
        folder: Its folder.
        suite: What was run.
        runs: Every run, seed by seed; those that tune arms first, until they have been tuned.
        interrupted: Whether a signal ended it early.
        ended_by: That signal.
    """

    name: str
    folder: Path
    suite: Suite
    runs: tuple[RunInfo, ...]
    interrupted: bool = False
    ended_by: Signals | None = None

    def __repr__(self) -> str:
        return (
            f"SuiteResult({self.name!r}, {self.ended} of {len(self.runs)} runs ended, "
            f"folder={str(self.folder)!r})"
        )

    @cached_property
    def analyses(self) -> Mapping[str, Analysis]:
        """What its records and predictions say, by task; ``{"": ...}`` when it names none.

        Raises:
            UserError: Its folder holds no suite any more.
        """
        from ..analysis import analyse_tasks

        return analyse_tasks(self.folder)

    @cached_property
    def records(self) -> Mapping[str, RunRecord]:
        """The records by the run's key (``base-seed0``).

        Runs that never began have none, nor have those whose record is damaged: they run anew.
        """
        read = {run.key: readable_record(run.folder) for run in self.runs}
        return {key: record for key, record in read.items() if record is not None}

    @property
    def ended(self) -> int:
        """How many runs have ended, well or badly."""
        return sum(item.status in ("completed", "failed") for item in self.records.values())

    @property
    def complete(self) -> bool:
        """Whether every run has ended, well or badly."""
        return self.ended == len(self.runs)

    @property
    def failed(self) -> Mapping[str, str]:
        """Why runs failed, by key."""
        return {
            key: record.error or "no reason was recorded"
            for key, record in self.records.items()
            if record.status == "failed"
        }

    def report(self, out: Path | None = None) -> Page:
        """Write its report again, as the verb ``report`` does, and return its page.

        Args:
            out: Where to write; by default the suite's folder.
        """
        from ..report import Page, write_suite_report

        return Page(write_suite_report(self.folder, out).with_name(PAGE_FILE))

    def _repr_html_(self) -> str:
        from ..analysis import gather
        from ..report import framed, suite_page

        return framed(suite_page(gather(self.folder)))

    def frame(self) -> pandas.DataFrame:
        """Return one row per run: arm, task, phase, seed, status, scores, sizes, seconds."""
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
    reuse: bool = True,
    say: Callable[[str], None] = lambda line: None,
    adoption: Adoption | None = None,
) -> SuiteResult:
    """Run a suite, or resume one.

    Runs whose record is complete are not run again; failed ones are.

    Args:
        suite: What is run, as `validate_suite` returned it: nothing here checks it again.
        resume: Resume the suite of that name; it may have more seeds than before.
        storage: Where ``suites/`` is; by default the home folder. On a cluster, a shared folder.
        address: A Ray cluster: ``auto`` or ``host:port``; ``None`` for this machine alone.
        observers: Notified in this process of what happens.
        trainable: The class that runs one run.
        reuse: Take over runs that other suites and studies of the same storage have completed.
        say: Takes a line about what begins, what is taken over, and what was tuned.
        adoption: Finished runs of this suite from elsewhere, to begin with; not with ``resume``.

    Raises:
        ConfigError: A run of it asks for more than any node has, or the runs
            from elsewhere would come out otherwise here.
        UserError: The name is in use, or unknown on resume, or the suite is another one than
            before, or its data or model are; another process runs it; or the cluster cannot be
            reached.
    """
    from ..execution import RunList, TrialTrainable, execute, run_session
    from ..training import check_inputs_unchanged

    asked = typed_suite(Source(suite.spelled_out(), name=suite.name))
    folder = suite_folder(suite.name, storage)

    def gone_on() -> Suite:
        return _gone_on(asked, stored_suite(asked.name, storage)) if resume else asked

    def check_held() -> None:
        if not resume:
            SUITES.check_free(asked.name, storage)
            return
        check_inputs_unchanged(
            path for kind in (TUNING_FOLDER, RUNS_FOLDER) for path in folder.glob(f"{kind}/*")
        )

    if not resume:
        SUITES.check_free(asked.name, storage)
    suite = gone_on()
    interruption = Interruption()
    with interruption.listening(), ExitStack() as stack:
        terms = stack.enter_context(
            run_session(
                folder,
                suite.resources,
                device=_device(suite.runs(folder)),
                resume=resume,
                address=address,
                say=say,
                check=adoption.check if adoption else _unchecked,
                held=check_held,
            )
        )
        suite = gone_on()  # another driver may have written it until it was held
        if adoption:
            say(adoption.take(folder))
        _write(suite, folder)

        def run_all(runs: Sequence[RunInfo]) -> bool:
            if reuse:
                take_over_all(runs, folder.parents[1], Circumstances.here(terms), say)
            return execute(
                RunList(runs),
                folder,
                terms,
                observers=observers,
                interruption=interruption,
                trainable=trainable or TrialTrainable,
            )

        suite, interrupted = _tuned_by_runs(suite, folder, run_all, say)
        interrupted = interrupted or run_all(suite.runs(folder))
    return _result(suite, folder, interrupted, interruption.signal)


def read_suite_result(name: str, storage: Path | None = None) -> SuiteResult:
    """Read what a suite has come to so far, whether it is running or not.

    Raises:
        UserError: There is no suite of that name; the message lists those there are.
    """
    suite, folder = stored_suite(name, storage), suite_folder(name, storage)
    return _result(suite, folder)


def suite_progress(folder: Path) -> Progress:
    """Return how far a suite has come.

    Raises:
        ConfigError: Its ``suite.yaml`` is broken.
    """
    result = read_suite_result(folder.name, folder.parent.parent)
    return progress_of(folder, "runs", result.ended, len(result.runs), result.complete)


def stored_suite(name: str, storage: Path | None = None) -> Suite:
    """Return a suite that exists.

    Raises:
        UserError: There is no suite of that name; the message lists those there are.
    """
    return typed_suite(suite_source(str(SUITES.stored(name, storage))))


def resume_from_archive(suite: Suite, begun: Suite) -> Suite:
    """Return ``suite``, which goes on with one that was begun elsewhere, with added seeds noted.

    Raises:
        UserError: It is another suite.
    """
    return _gone_on(suite, begun, _FREE_ELSEWHERE)


def suite_folder(name: str, storage: Path | None = None) -> Path:
    """Return where the suite of that name is, or would be."""
    return SUITES.folder(name, storage)


def _result(
    suite: Suite, folder: Path, interrupted: bool = False, ended_by: Signals | None = None
) -> SuiteResult:
    runs = (*suite.tuning_runs(folder), *suite.runs(folder))
    return SuiteResult(suite.name, folder, suite, runs, interrupted, ended_by)


def _tuned_by_runs(
    suite: Suite,
    folder: Path,
    run_all: Callable[[Sequence[RunInfo]], bool],
    say: Callable[[str], None],
) -> tuple[Suite, bool]:
    """Run what tunes arms, if anything; return the suite, tuned unless that was interrupted."""
    tuning = suite.tuning_runs(folder)
    if not tuning:
        return suite, False
    interrupted = run_all(tuning)
    while not interrupted and (further := further_trials(suite, folder)):
        suite, tuning = _extended(suite, further, folder, say)
        interrupted = run_all(tuning)
    return (suite, True) if interrupted else (_tuned(suite, folder, say), False)


def _extended(
    suite: Suite, further: Mapping[str, FurtherTrial], folder: Path, say: Callable[[str], None]
) -> tuple[Suite, list[RunInfo]]:
    """Write the suite with one more trial of some arms; return it and the runs of these trials."""
    assert suite.tuning is not None
    before = {run.key for run in suite.tuning_runs(folder)}
    trials = {arm: trial.settings for arm, trial in further.items()}
    suite = suite.model_copy(update={"tuning": suite.tuning.with_trials(trials)})
    _write(suite, folder)
    for arm, trial in further.items():
        say(f"tuning {arm}: {trial.settings} is tried too ({trial.reason})")
    return suite, [run for run in suite.tuning_runs(folder) if run.key not in before]


def _tuned(suite: Suite, folder: Path, say: Callable[[str], None]) -> Suite:
    chosen = chosen_settings(suite, folder)
    ends = open_ends(suite, folder)
    for line in tuning_lines(chosen, ends):
        say(line)
    suite = suite.with_tuned(chosen, ends)
    _write(suite, folder)
    return suite


def _write(suite: Suite, folder: Path) -> None:
    """Keep the suite, and what each arm changes in the end (setting: before, after)."""
    suite.write(folder)
    write_json(folder / DIFFERENCES_FILE, suite.differences())


def _gone_on(suite: Suite, stored: Suite, free: Sequence[str] = _FREE_ON_RESUME) -> Suite:
    suite = as_grown(suite, stored)
    old = {**stored.spelled_out(), "added_seeds": suite.added_seeds}
    SUITES.check_same(suite.spelled_out(), old, free)
    return suite


def _unchecked(terms: Resources) -> None:
    """Refuse nothing more."""


def _device(runs: Sequence[RunInfo]) -> str:
    return "cpu" if all(run.config.training.device == "cpu" for run in runs) else "auto"


def _row(run: RunInfo, record: RunRecord | None) -> dict[str, Value]:
    row: dict[str, Value] = {"arm": run.arm, "task": run.task or run.config.task}
    row |= {"phase": run.phase, "seed": run.config.seed}
    row["status"] = record.status if record else "waiting"
    for split in ("validation", "test"):
        row[split] = record.score(split, run.metric) if record else None
    for name in ("trained_adapter", "kept_adapter", "compressed_adapter"):
        row[name] = record.counts.get(name) if record else None
    row["seconds"] = record.seconds if record else None
    return row | {"error": record.error if record else None, "folder": str(run.folder)}
