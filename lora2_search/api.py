"""From Python: ``tune``, ``ablate``, ``train`` and ``load_study``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .ablation.runner import SuiteResult, run_suite, suite_folder
from .ablation.suite import SUITE_FILE, Suite
from .chosen import chosen_run, chosen_space, chosen_suite, trial_run
from .config import RunConfig
from .observer import Observer, RunInfo
from .preflight import check_inputs
from .search.ownership import owned
from .search.space import SPACE_FILE, Space
from .search.study import Study, load_study, run_study, study_folder
from .tracked import Tracked
from .tracking import uri as uris
from .tracking.observer import ParentInfo
from .training.record import RunRecord, read_record

if TYPE_CHECKING:
    from .training.reporter import Report

__all__ = ["Study", "SuiteResult", "ablate", "load_study", "train", "tune"]


def _unsaid(line: str) -> None:
    """Say nothing."""


def tune(
    space: str | Path | Space | None = None,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
    address: str | None = None,
    storage: Path | None = None,
    tracking_uri: str | None = None,
    observers: Sequence[Observer] = (),
    say: Callable[[str], None] = _unsaid,
) -> Study:
    """Search the settings of a space, or go on with a study.

    The study is tracked in MLflow, and its page is written when it ends.

    Args:
        space: A file, the name of a shipped one, or a space; ``None`` with ``resume``.
        overrides: ``key=value`` assignments over the file.
        name: The study's name; by default the space's own, ``-2`` and so on where it is in use.
        resume: Name of a study to go on with.
        address: A Ray cluster: ``auto`` or ``host:port``.
        storage: Where ``studies/`` is; by default the home.
        tracking_uri: The MLflow store; by default ``$MLFLOW_TRACKING_URI``, else in the home.
        observers: Told what happens, in this process.
        say: Takes a line for people: whose name was in use, what is fetched, what could not be
            delivered.

    Raises:
        ConfigError: Everything that is wrong with the space, its model or its data.
        UserError: The name is in use or unknown, the cluster or the hub cannot be reached.
    """
    chosen = chosen_space(
        space, overrides=overrides, name=name, resume=resume, storage=storage, say=say
    )
    plan = chosen.plan
    folder = study_folder(plan.name, storage)
    parent = ParentInfo(
        kind="study",
        name=plan.name,
        config=plan,
        columns=tuple(plan.search),
        description=f"`lora2-search tune`: {plan.task}, {plan.method}",
    )
    tracked = Tracked(folder, parent, uris.resolve(tracking_uri), say)
    with chosen.placing(), _ended_as_failed(tracked):
        check_inputs(plan.run_config(), say)
        study = run_study(
            plan,
            resume=resume is not None,
            storage=storage,
            address=address,
            observers=[tracked, *observers],
        )
        _finish_study(study, tracked)
    return study


def ablate(
    suite: str | Path | Suite | None = None,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
    address: str | None = None,
    storage: Path | None = None,
    tracking_uri: str | None = None,
    observers: Sequence[Observer] = (),
    say: Callable[[str], None] = _unsaid,
) -> SuiteResult:
    """Run arms and seeds of a suite, or go on with one; see ``tune`` for the arguments.

    The suite is tracked in MLflow, and its report is written when it ends.

    Raises:
        ConfigError: Everything that is wrong with the suite, its model or its data.
        UserError: The name is in use or unknown, the cluster or the hub cannot be reached.
    """
    chosen = chosen_suite(
        suite, overrides=overrides, name=name, resume=resume, storage=storage, say=say
    )
    plan = chosen.plan
    folder = suite_folder(plan.name, storage)
    parent = ParentInfo(
        kind="suite",
        name=plan.name,
        config=plan,
        columns=tuple(dict.fromkeys(key for arm in plan.arms.values() for key in arm)),
        description=f"`lora2-search ablate`: {plan.task}, {len(plan.arms)} arms",
    )
    tracked = Tracked(folder, parent, uris.resolve(tracking_uri), say)
    with chosen.placing(), _ended_as_failed(tracked):
        check_inputs(plan, say)
        result = run_suite(
            plan,
            resume=resume is not None,
            storage=storage,
            address=address,
            observers=[tracked, *observers],
        )
        _finish_suite(result, tracked)
    return result


def train(
    config: str | Path | RunConfig | None = None,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
    tracking_uri: str | None = None,
    observers: Sequence[Observer] = (),
    say: Callable[[str], None] = _unsaid,
) -> RunRecord:
    """Train one configuration, or go on with a run; see ``tune`` for the arguments.

    Its folder is ``runs/<name>`` in the home.

    Raises:
        ConfigError: Everything that is wrong with the configuration, the model or the data.
        UserError: The name is in use or unknown, or the loss is no longer finite.
    """
    chosen = chosen_run(config, overrides=overrides, name=name, resume=resume)
    run = chosen.plan
    parent = ParentInfo(
        kind="study",
        name=run.name,
        config=run.config,
        description=f"`lora2-search train`: {run.config.task}, {run.config.method}",
    )
    tracked = Tracked(run.folder, parent, uris.resolve(tracking_uri), say)
    with chosen.placing():
        check_inputs(run.config, say)
    run.folder.mkdir(parents=True, exist_ok=True)
    with owned(run.folder), _ended_as_failed(tracked):
        record = _trained(run, [tracked, *observers])
        tracked.close("COMPLETE", winner=run)
    return record


def _finish_study(study: Study, tracked: Tracked) -> None:
    from .report.page import write_study_page

    space = study.folder / SPACE_FILE
    if study.interrupted:
        tracked.close("STOPPED", reason="interrupted", artifacts=[space])
        return
    page = write_study_page(study.folder)
    winner = trial_run(study)
    tracked.close(
        "COMPLETE" if winner else "FAIL",
        reason="" if winner else "no trial was completed",
        winner=winner,
        artifacts=[space, page],
    )


def _finish_suite(result: SuiteResult, tracked: Tracked) -> None:
    from .report.markdown import write_suite_report

    suite = result.folder / SUITE_FILE
    if result.interrupted:
        tracked.close("STOPPED", reason="interrupted", artifacts=[suite])
        return
    report = write_suite_report(result.folder)
    tracked.close("COMPLETE", artifacts=[suite, report])


def _trained(run: RunInfo, observers: Sequence[Observer]) -> RunRecord:
    from .training.run import run as run_to_the_end

    for observer in observers:
        observer.started(run)
    try:
        record = run_to_the_end(run.config, run.folder, _Told(run, observers))
    except Exception as error:
        for observer in observers:
            observer.ended(run, "FAIL", read_record(run.folder), str(error))
        raise
    for observer in observers:
        observer.ended(run, "COMPLETE", record, "")
    return record


class _Told:
    """A reporter that tells observers."""

    def __init__(self, run: RunInfo, observers: Sequence[Observer]) -> None:
        self._run, self._observers = run, observers

    def report(self, report: Report) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.reported(self._run, report)


@contextmanager
def _ended_as_failed(tracked: Tracked) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if tracked.is_open:
            stopped = isinstance(error, KeyboardInterrupt)
            tracked.close("STOPPED" if stopped else "FAIL", reason=str(error) or "interrupted")
        raise
