"""From Python: ``tune``, ``ablate``, ``train`` and ``load_study``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..ablation import SuiteResult
from ..config import RunConfig, RunInfo
from ..config.space import SPACE_FILE, Space
from ..config.suite import Suite
from ..search import Study, load_study, run_study, study_folder
from ..store import RunRecord, damaged_records, owned, readable_record
from ..tracking import ParentInfo, Tracked, ended_as_failed
from ..tracking import options as uri_options
from ..tracking import resolve as resolve_uri
from ..training import Beginning, Observer, check_kept
from .preflight import check_inputs
from .request import chosen_space, chosen_suite
from .run import chosen_run, lost_checkpoint, trial_run
from .suite import run_chosen_suite

if TYPE_CHECKING:
    from ..training import Report

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
    uri = resolve_uri(tracking_uri)
    chosen = chosen_space(
        space,
        overrides=overrides,
        name=name,
        resume=resume,
        storage=storage,
        say=say,
        also=uri_options(uri),
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
    tracked = Tracked(folder, parent, uri, say)
    with chosen.placing(), ended_as_failed(tracked):
        _say_damaged(folder, resume, say)
        judged_by = {"objective.metric": plan.objective.metric}
        told = check_inputs(plan.run_config(), say, judged_by, plan.other_models())
        study = run_study(
            plan,
            resume=resume is not None,
            storage=storage,
            address=address,
            observers=[tracked, Beginning(told, say), *observers],
            say=say,
            also=uri_options(uri),
        )
        _finish_study(study, tracked)
    return study


def ablate(
    suite: str | Path | Suite | None = None,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
    resume_from: str | Path | None = None,
    from_study: str | None = None,
    add_seeds: int | None = None,
    until_decided: bool = False,
    reuse: bool = True,
    address: str | None = None,
    storage: Path | None = None,
    tracking_uri: str | None = None,
    observers: Sequence[Observer] = (),
    say: Callable[[str], None] = _unsaid,
) -> SuiteResult:
    """Run arms and seeds of a suite, or go on with one; see ``tune`` for the other arguments.

    The suite is tracked in MLflow, and its report is written when it ends.

    Args:
        suite: A file, the name of a shipped one, or a suite.
        overrides: ``key=value`` assignments over the file.
        name: The suite's name.
        resume: Name of a suite to go on with.
        resume_from: The folder of an archive: its suite goes on here. The runs that it holds are
            taken as done when the same code, libraries, device, threads, data and model would
            make them here.
        from_study: Instead of ``suite``: run the ablation path from the settings of the study of
            that name to its winner, and back.
        add_seeds: With ``resume``: how many seeds it gets beyond those that it has.
        until_decided: Give it seeds by its plan ``sequential`` until every named comparison is
            decided, instead of those of the file.
        reuse: Take over runs that other suites and studies of the storage have completed.
        address: A Ray cluster.
        storage: Where ``suites/`` is.
        tracking_uri: The MLflow store.
        observers: Told what happens.
        say: Takes a line for people.

    Raises:
        ConfigError: Everything that is wrong with the suite, its model or its data.
        UserError: The name is in use or unknown, the cluster or the hub cannot be reached.
    """
    archive = None if resume_from is None else Path(resume_from)
    chosen = chosen_suite(
        suite,
        overrides=overrides,
        name=name,
        resume=resume,
        resume_from=archive,
        storage=storage,
        from_study=from_study,
        add_seeds=add_seeds,
        until_decided=until_decided,
        say=say,
        also=uri_options(resolve_uri(tracking_uri)),
    )
    return run_chosen_suite(
        chosen,
        resume=resume is not None,
        archive=archive,
        address=address,
        storage=storage,
        tracking_uri=tracking_uri,
        reuse=reuse,
        observers=observers,
        say=say,
    )


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
    from ..training import check_loading

    uri = resolve_uri(tracking_uri)
    chosen = chosen_run(
        config, overrides=overrides, name=name, resume=resume, also=uri_options(uri)
    )
    run = chosen.plan
    parent = ParentInfo(
        kind="study",
        name=run.name,
        config=run.config,
        description=f"`lora2-search train`: {run.config.task}, {run.config.method}",
    )
    tracked = Tracked(run.folder, parent, uri, say)
    with chosen.placing():
        told = check_inputs(run.config, say)
        check_kept([run.folder])
        check_loading(run.config)
    if resume is not None and (line := lost_checkpoint(run)):
        say(line)
    run.folder.mkdir(parents=True, exist_ok=True)
    with owned(run.folder), ended_as_failed(tracked):
        record = _trained(run, [tracked, Beginning(told, say), *observers])
        tracked.close("COMPLETE", winner=run)
    return record


def _say_damaged(folder: Path, resume: str | None, say: Callable[[str], None]) -> None:
    for damage in damaged_records(folder) if resume is not None else ():
        say(f"{damage.path} is damaged: {damage.why}; the study goes on without it")


def _finish_study(study: Study, tracked: Tracked) -> None:
    from ..report import write_study_page

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


def _trained(run: RunInfo, observers: Sequence[Observer]) -> RunRecord:
    from ..training import run as run_to_the_end

    for observer in observers:
        observer.started(run)
    try:
        record = run_to_the_end(run.config, run.folder, _Told(run, observers))
    except Exception as error:
        for observer in observers:
            observer.ended(run, "FAIL", readable_record(run.folder), str(error))
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
