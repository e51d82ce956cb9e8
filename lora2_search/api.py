"""From Python: what the verbs do, ``load_study``, and what one does with what was run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .ablation import SuiteResult
from .config import RunConfig
from .config.space import Space
from .config.suite import Suite
from .experiments import (
    Compared,
    Evaluated,
    Predicted,
    Reproduction,
    Request,
    RunOptions,
    SuiteRequest,
    ablate_suite,
    add_to_study,
    compare_named,
    evaluate_run,
    generate_text,
    predict_file,
    reproduce_run,
    resolve_run,
    resolve_space,
    resolve_suite,
    resolve_warm_start,
    stop_in_study,
    train_run,
    tune_space,
    verify_plan,
)
from .search import Study
from .search import load_study as _load_study
from .store import RunRecord, storage_folder
from .training import Observer
from .verification import Verification, make_plan

__all__ = [
    "Compared",
    "Evaluated",
    "Predicted",
    "Reproduction",
    "Study",
    "SuiteResult",
    "ablate",
    "add_trial",
    "compare",
    "evaluate",
    "generate",
    "load_study",
    "predict",
    "reproduce",
    "stop_trial",
    "train",
    "tune",
    "verify",
]


def _unsaid(line: str) -> None:
    """Say nothing."""


def tune(
    space: str | Path | Space | None = None,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
    warm_start: str | None = None,
    address: str | None = None,
    storage: str | Path | None = None,
    tracking_uri: str | None = None,
    observers: Sequence[Observer] = (),
    say: Callable[[str], None] = _unsaid,
) -> Study:
    """Search the settings of a space, or resume a study.

    The study is tracked in MLflow, and its page is written when it ends.

    Args:
        space: A file, the name of a shipped one, or a space; ``None`` with ``resume``.
        overrides: ``key=value`` assignments over the file.
        name: The study's name; by default the space's own, ``-2`` and so on where it is in use.
        resume: Name of a study to resume.
        warm_start: Name of an older study: its trials are a prior where they are runs that this
            study might propose, else its best settings are tried first.
        address: A Ray cluster: ``auto`` or ``host:port``.
        storage: The folder of ``studies/``, or a bucket, ``s3://bucket/folder``; by default the
            home folder.
        tracking_uri: The MLflow store; by default ``$MLFLOW_TRACKING_URI``, else in the home
            folder.
        observers: Told what happens, in this process.
        say: Takes a line for people: whose name was in use, what is fetched, what could not be
            delivered.

    Raises:
        ConfigError: Everything that is wrong with the space, its model or its data.
        UserError: The name is in use or unknown, the cluster or the hub cannot be reached, or
            nothing can be taken over from the older study.
    """
    folder = storage_folder(storage)
    resolved = resolve_space(Request(space, overrides, name, resume), folder)
    warm = resolve_warm_start(warm_start, resolved, folder)
    resolved.say_name_taken(say)
    options = RunOptions(
        storage=folder, address=address, tracking_uri=tracking_uri, observers=observers, say=say
    )
    return tune_space(resolved, options, warm)


def load_study(name: str, storage: str | Path | None = None) -> Study:
    """Read what a study has come to so far, whether it is running or not.

    Args:
        name: Its name.
        storage: The folder of ``studies/``, or a bucket, ``s3://bucket/folder``; by default the
            home folder.

    Raises:
        UserError: There is no study of that name; the message lists those there are.
    """
    return _load_study(name, storage_folder(storage))


def add_trial(
    settings: Mapping[str, Any], study: str | None = None, *, storage: str | Path | None = None
) -> int:
    """Let a study that another process runs try settings next; return the trial's number.

    Args:
        settings: By dotted name; what they leave out is proposed.
        study: Its name; by default the one that runs.
        storage: The folder of ``studies/``, or a bucket, ``s3://bucket/folder``.

    Raises:
        ConfigError: No trial of the study can have these settings.
        UserError: No such study, nothing runs it, or all its trials have begun.
    """
    return add_to_study(settings, study, storage_folder(storage))[1]


def stop_trial(number: int, study: str | None = None, *, storage: str | Path | None = None) -> None:
    """Let a trial of a study that another process runs stop at its next evaluation, as pruned.

    Args:
        number: Of the trial.
        study: Its name; by default the one that runs.
        storage: The folder of ``studies/``, or a bucket, ``s3://bucket/folder``.

    Raises:
        UserError: No such study, nothing runs it, or the trial is not running.
    """
    stop_in_study(number, study, storage_folder(storage))


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
    storage: str | Path | None = None,
    tracking_uri: str | None = None,
    observers: Sequence[Observer] = (),
    say: Callable[[str], None] = _unsaid,
) -> SuiteResult:
    """Run arms and seeds of a suite, or resume one; see ``tune`` for the other arguments.

    The suite is tracked in MLflow, and its report is written when it ends.

    Args:
        suite: A file, the name of a shipped one, or a suite.
        overrides: ``key=value`` assignments over the file.
        name: The suite's name.
        resume: Name of a suite to resume.
        resume_from: The folder of an archive: its suite is resumed here. The runs that it holds are
            taken as done when the same code, libraries, device, threads, data and model would
            make them here.
        from_study: Instead of ``suite``: run the ablation path from the settings of the study of
            that name to its winner, and back.
        add_seeds: With ``resume``: how many seeds it gets beyond those that it has.
        until_decided: Give it seeds by its plan ``sequential`` until every named comparison is
            decided, instead of those of the file.
        reuse: Take over runs that other suites and studies of the storage have completed.
        address: A Ray cluster.
        storage: The folder of ``suites/``, or a bucket, ``s3://bucket/folder``.
        tracking_uri: The MLflow store.
        observers: Told what happens.
        say: Takes a line for people.

    Raises:
        ConfigError: Everything that is wrong with the suite, its model or its data.
        UserError: The name is in use or unknown, the cluster or the hub cannot be reached.
    """
    request = SuiteRequest(
        suite,
        overrides,
        name,
        resume,
        resume_from=None if resume_from is None else Path(resume_from),
        from_study=from_study,
        add_seeds=add_seeds,
        until_decided=until_decided,
    )
    folder = storage_folder(storage)
    resolved = resolve_suite(request, folder)
    resolved.say_name_taken(say)
    return ablate_suite(resolved, RunOptions(folder, address, tracking_uri, reuse, observers, say))


def train(
    config: str | Path | RunConfig | None = None,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    resume: str | None = None,
    devices: int = 1,
    tracking_uri: str | None = None,
    observers: Sequence[Observer] = (),
    say: Callable[[str], None] = _unsaid,
) -> RunRecord:
    """Train one configuration, or resume a run; see ``tune`` for the other arguments.

    Its folder is ``runs/<name>`` in the home folder.

    Args:
        config: A file, or settings; ``None`` with ``resume``.
        overrides: ``key=value`` assignments over the file.
        name: The run's name; by default one made of task, method and fingerprint.
        resume: Name of a run to resume.
        devices: Processes that train together, each with its part of every batch, on a GPU of its
            own where there are some.
        tracking_uri: The MLflow store.
        observers: Told what happens, in this process.
        say: Takes a line for people.

    Raises:
        ConfigError: Everything that is wrong with the configuration, the model or the data.
        UserError: The name is in use or unknown, or the loss is no longer finite.
    """
    resolved = resolve_run(Request(config, overrides, name, resume))
    options = RunOptions(tracking_uri=tracking_uri, devices=devices, observers=observers, say=say)
    return train_run(resolved, options)


def verify(
    data: str | Path | None = None,
    *,
    model: str | Path | None = None,
    task: str | None = None,
    seeds: int | None = None,
    only: Sequence[str] = (),
    quick: bool = False,
    margin: float = 0.02,
    overrides: Sequence[str] = (),
    workers: int = 2,
    out: Path | None = None,
    tracking_uri: str | None = None,
    say: Callable[[str], None] = _unsaid,
) -> Verification:
    """Measure the paper's claims on a model and data of your own, or what is missing of that.

    The verification is tracked in MLflow, and its page is written when it ends.

    Args:
        data: Your own file; name its columns by ``overrides``: ``data.text=[review]``.
        model: A folder or a hub id; by default the packaged ``minilm``.
        task: Instead of ``data``: a GLUE task or a packaged one; by default ``sentiment``.
        seeds: Runs of every arm; by default 6, or 2 when quick.
        only: The checks to make; by default all.
        quick: Use few seeds and steps; this shows that it works, but proves little.
        margin: Scores nearer than this count as no difference.
        overrides: ``key=value`` settings of the base run.
        workers: Processes, one thread each.
        out: Its folder; by default ``verifications/<name>`` in the home folder. The same
            request continues with what the folder holds.
        tracking_uri: The MLflow store.
        say: Takes a line for people.

    Raises:
        ConfigError: Everything that is wrong with the settings, the model or the data.
        UserError: An unknown check, a folder that holds another verification or is in use, or the
            hub cannot be reached.
    """
    plan = make_plan(
        model=None if model is None else str(model),
        data=None if data is None else str(data),
        task=task,
        seeds=seeds,
        only=only,
        overrides=overrides,
        quick=quick,
        margin=margin,
    )
    return verify_plan(plan, RunOptions(tracking_uri=tracking_uri, say=say), workers, out)


def compare(first: str, second: str, *, storage: str | Path | None = None) -> Compared:
    """Return two results side by side: settings, scores with intervals, costs, examples.

    Two studies that were loaded are compared by ``study.compare(other)``.

    Args:
        first: A study (its winner), a suite, an arm of one (``quick/lora``), or a run
            (``quick/3``, ``quick/base-seed0``).
        second: What it is compared with.
        storage: The folder of ``studies/`` and ``suites/``, or a bucket.

    Raises:
        UserError: There is no such result, or a suite is compared with something that is none.
    """
    return compare_named(first, second, storage_folder(storage))


def reproduce(
    run: str,
    *,
    name: str | None = None,
    storage: str | Path | None = None,
    tracking_uri: str | None = None,
    observers: Sequence[Observer] = (),
    say: Callable[[str], None] = _unsaid,
) -> Reproduction:
    """Train a run again in a fresh folder, and compare adapter, scores and predictions to the bit.

    Args:
        run: A run, a study (its winner), a trial (``quick/3``) or a run of a suite
            (``quick/base-seed0``).
        name: The name of the new run; by default the run's own with ``-again``.
        storage: The folder of ``studies/`` and ``suites/``, or a bucket.
        tracking_uri: The MLflow store.
        observers: Told what happens.
        say: Takes a line for people.

    Raises:
        ConfigError: The model or the data cannot be used any more.
        UserError: There is no such run, it is not complete, or the name is in use.
    """
    folder = storage_folder(storage)
    options = RunOptions(folder, tracking_uri=tracking_uri, observers=observers, say=say)
    return reproduce_run(run, options, name)


def predict(
    run: str,
    data: str | Path,
    *,
    storage: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> Predicted:
    """Let a trained run answer the rows of a file; ``.frame()`` has them with probabilities.

    Args:
        run: A run, a study (its winner), a trial (``quick/3``) or a run of a suite.
        data: csv, tsv, jsonl, json or parquet, read as the run's own data were; labels are
            optional.
        storage: The folder of ``studies/`` and ``suites/``, or a bucket.
        overrides: How the file is read, where otherwise: ``data.text=[body]``.

    Raises:
        ConfigError: The file cannot be read, or lacks a text column.
        UserError: There is no such run, it is not complete, is of a language model, or has lost
            its adapter.
    """
    return predict_file(run, data, storage_folder(storage), overrides)


def generate(
    run: str, prompt: str, *, storage: str | Path | None = None, max_new_tokens: int | None = None
) -> str:
    """Return what a trained language model writes after a prompt; always the likeliest token.

    Args:
        run: As `predict`.
        prompt: What takes the place of a prompt, of a template's columns (a line for each), or of
            the user's turn.
        storage: The folder of ``studies/`` and ``suites/``, or a bucket.
        max_new_tokens: Of the answer at most; default: as in the run's evaluations.

    Raises:
        ConfigError: The prompt has not a line for each column of the run's template.
        UserError: There is no such run, it is not complete, is of no language model, or has lost
            its adapter.
    """
    return generate_text(run, prompt, storage_folder(storage), max_new_tokens).text


def evaluate(
    run: str, task: str | Path, *, storage: str | Path | None = None, overrides: Sequence[str] = ()
) -> Evaluated:
    """Score a trained language model on other data, as ``eval`` does; ``.frame()`` has its answers.

    Args:
        run: As `predict`.
        task: A file, read as the run's own data were, or the name of a packaged task.
        storage: The folder of ``studies/`` and ``suites/``, or a bucket.
        overrides: Settings of ``data`` and ``language``: ``data.label=reply``.

    Raises:
        ConfigError: The data cannot be read or lack a column.
        UserError: There is no such run, it is not complete, is of no language model, or has lost
            its adapter.
    """
    return evaluate_run(run, str(task), storage_folder(storage), overrides)
