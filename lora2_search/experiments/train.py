"""``train``: a single run, tracked in MLflow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import (
    NAME_PATTERN,
    RunConfig,
    RunInfo,
    Source,
    read_yaml,
    validate,
    with_overrides,
    with_settings,
)
from ..errors import Argument, NameInUse, RequestError, UserError, did_you_mean
from ..search import Study
from ..store import (
    CHECKPOINT_FOLDER,
    RECORD_FILE,
    Damaged,
    RunRecord,
    home,
    lock_folder,
    read_record,
    readable_record,
)
from ..tracking import ParentInfo, Tracked, failed_on_error, resolve_uri
from ..training import Beginning, Observer, check_inputs_unchanged
from .preflight import check_devices, check_inputs
from .request import Request, Resolved, RunOptions, refuse_both, with_location

if TYPE_CHECKING:
    from ..training import Report

RUNS_FOLDER = "runs"


def resolve_run(request: Request[RunConfig]) -> Resolved[RunInfo]:
    """Return the run that ``train`` makes.

    Without a name it is named after task, method and fingerprint: the same settings resume the
    same run.

    Raises:
        ConfigError: Everything that is wrong with the configuration.
        UserError: The name is in use or unknown, or both a file and a run to resume are named.
    """
    config, name, resume = request.what, request.name, request.resume
    if resume is not None:
        refuse_both(
            "run", resume, config, name or ("other settings" if request.overrides else None)
        )
        stored = _stored_run(resume)
        return Resolved(_run(validate(stored, RunConfig), resume), stored, resumed=True)
    if config is None:
        settings_of = ("name a file of settings (", Argument("config"), ")")
        raise RequestError(*settings_of, ", or a run to ", Argument("resume"))
    if isinstance(config, RunConfig):
        config = Source(config.model_dump(mode="python"))
    source = config if isinstance(config, Source) else read_yaml(Path(config).expanduser())
    source = with_overrides(source, request.overrides)
    source.check_size()
    source = with_location(source)
    settings = validate(source, RunConfig)
    if name is not None and (run_folder(name) / RECORD_FILE).exists():
        raise NameInUse("run", name, run_folder(name))
    default = f"{settings.task}-{settings.method}-{settings.fingerprint()[:8]}"
    return Resolved(_run(settings, name or default), source)


def train_run(resolved: Resolved[RunInfo], options: RunOptions) -> RunRecord:
    """Train a resolved run, or resume it, tracked in MLflow.

    Raises:
        ConfigError: Everything that is wrong with the model or the data.
        UserError: The loss is no longer finite, another process makes the run, or this machine has
            fewer devices than are asked for.
    """
    from ..training import check_loading

    run, say = resolved.plan, options.say
    parent = ParentInfo(
        kind="study",
        name=run.name,
        config=run.config,
        description=f"`lora2-search train`: {run.config.task}, {run.config.method}",
    )
    tracked = Tracked(run.folder, parent, resolve_uri(options.tracking_uri), say)
    with resolved.locating_errors():
        check_devices(run.config, options.devices)
        data_lines = check_inputs(run.config, say)
        check_inputs_unchanged([run.folder])
        check_loading(run.config)
    if resolved.resumed and (line := _lost_checkpoint(run)):
        say(line)
    run.folder.mkdir(parents=True, exist_ok=True)
    with lock_folder(run.folder), failed_on_error(tracked):
        beginning = Beginning(data_lines, say)
        record = _trained(run, [tracked, beginning, *options.observers], options.devices)
        tracked.close("COMPLETE", winner=run)
    return record


def run_folder(name: str) -> Path:
    """Return where the single run of that name is, or would be.

    Raises:
        UserError: It is a path, not a name.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise UserError(
            f"a name may hold letters, digits, dots and dashes and is not a path, but got {name!r}"
        )
    return home() / RUNS_FOLDER / name


def run_of_trial(study: Study, number: int | None = None) -> RunInfo | None:
    """Return a trial of a study as a run, by default the best; ``None`` where none is complete.

    Raises:
        UserError: There is no trial of that number.
    """
    trial = study.best
    if number is not None:
        trial = next((item for item in study.trials if item.number == number), None)
        if trial is None:
            ends = [study.trials[0].number, study.trials[-1].number] if study.trials else []
            numbers = f"it has {ends[0]} to {ends[1]}" if ends else "it has none yet"
            raise UserError(f"{study.name} has no trial {number}; {numbers}")
    if trial is None:
        return None
    params = dict(trial.params)
    config = study.space.run_config(params)
    return RunInfo(
        trial.folder.name,
        f"trial {trial.number}",
        config,
        params,
        trial.folder,
        metric=study.space.objective.metric,
        outcomes=study.space.outcomes,
    )


def run_of_winner(study: Study) -> RunInfo | None:
    """Return the run that stands for a study's winner; ``None`` where no trial is complete.

    Where the winner is confirmed it is the first one on the seeds that are reported: it was not
    chosen by its score, and it has test scores. Else it is the trial itself.
    """
    run, found = run_of_trial(study), study.winner
    if run is None or found is None or found.standing is None:
        return run
    seed, first = found.standing
    return replace(
        run,
        key=first.name,
        name=f"{run.name}, seed {seed}",
        config=with_settings(run.config, {"seed": seed}),
        folder=first.folder,
        role="report",
    )


def _run(config: RunConfig, name: str) -> RunInfo:
    return RunInfo(name, name, config, {}, run_folder(name))


def _stored_run(name: str) -> Source:
    record = read_record(run_folder(name))
    if record is None and run_folder(name).is_dir():
        remedy = f"restore it from a copy, or delete {run_folder(name)}"
        raise Damaged(run_folder(name) / RECORD_FILE, "it is missing", remedy)
    if record is None:
        folder = home() / RUNS_FOLDER
        known = [path.parent.name for path in folder.glob(f"*/{RECORD_FILE}")]
        hint = did_you_mean(name, known) if known else "there are no runs yet"
        raise UserError(f"no run named {name} in {folder}; {hint}")
    return Source(record.config, name=str(run_folder(name) / RECORD_FILE))


def _lost_checkpoint(run: RunInfo) -> str | None:
    """Say that a run with a history starts over; ``None`` where it resumes."""
    from ..training import has_checkpoint

    record = read_record(run.folder)
    if record is None or record.status == "completed" or not record.history:
        return None
    if has_checkpoint(run.folder):
        return None
    return f"{run.folder / CHECKPOINT_FOLDER} holds no checkpoint: the run starts over"


def _trained(run: RunInfo, observers: Sequence[Observer], devices: int) -> RunRecord:
    from ..training import run as run_to_the_end

    for observer in observers:
        observer.started(run)
    try:
        reporter = _ObserversReporter(run, observers)
        record = run_to_the_end(run.config, run.folder, reporter, devices)
    except Exception as error:
        for observer in observers:
            observer.ended(run, "FAIL", readable_record(run.folder), str(error))
        raise
    for observer in observers:
        observer.ended(run, "COMPLETE", record, "")
    return record


class _ObserversReporter:
    """A reporter that passes reports to observers."""

    def __init__(self, run: RunInfo, observers: Sequence[Observer]) -> None:
        self._run, self._observers = run, observers

    def report(self, report: Report) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.reported(self._run, report)
