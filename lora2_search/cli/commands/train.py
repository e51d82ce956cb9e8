"""``train``: one run, from settings or from a study's winner."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...config import RunConfig, RunInfo, named_metric
from ...errors import UserError
from ...experiments import Request, RunOptions, resolve_run, run_of_trial, train_run
from ...report import always
from ...search import load_study
from ...store import ADAPTER_FOLDER, RECORD_FILE, Flag, RunRecord
from ...tracking import resolve_uri
from ...training import processes_of_launcher
from ..console.live import LiveView, watched
from ..console.results import command, where_in_mlflow
from ..console.rows import duration, print_json
from ..console.say import resume_hint
from ..console.screen import facts, places, tell


def run_train(
    *,
    config: str | None,
    from_study: str | None,
    trial: int | None,
    overrides: tuple[str, ...],
    name: str | None,
    resume: str | None,
    devices: int,
    storage: Path | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Train one configuration and print its scores.

    Raises:
        ConfigError: Everything that is wrong with the configuration, the model or the data.
        UserError: The name is in use or unknown, the study has no such trial, or the loss is no
            longer finite.
        Interrupted: A signal came; the message says how to resume.
    """
    rank, launched = processes_of_launcher()
    if rank:
        return  # the first one trains, on as many devices
    if launched > 1 and devices not in (1, launched):
        raise UserError(f"{launched} processes were launched, but --devices is {devices}")
    devices = max(devices, launched)
    uri = resolve_uri(tracking_uri)
    if config is None and from_study is None and resume is None:
        raise UserError("name a file of settings (--config), a --from-study, or a run to --resume")
    source = _source(config, from_study, trial, storage)
    resolved = resolve_run(Request(source, overrides, name, resume))
    run = resolved.plan
    begins = f"run {run.name}: {run.config.method} on {run.config.task}, in {run.folder}"
    view = LiveView(1, stream=sys.stderr if as_json else sys.stdout)
    shared = ["--devices", str(devices)] if devices > 1 else []
    again = command("train", "--resume", run.name, *shared, tracking_uri=uri)
    with (
        resume_hint(again, run.folder / RECORD_FILE),
        watched(view, begins) as observers,
    ):
        options = RunOptions(tracking_uri=uri, devices=devices, observers=observers, say=view.say)
        record = train_run(resolved, options)
    result = _summary(run, record, uri)
    if as_json:
        print_json(result)
    else:
        _print(result, record)


def _source(
    config: str | None, from_study: str | None, trial: int | None, storage: Path | None
) -> str | RunConfig | None:
    if from_study is None:
        if trial is not None:
            raise UserError(f"--trial {trial} needs the study it is from: add --from-study NAME")
        return config
    if config is not None:
        raise UserError("--config and --from-study exclude each other; --set changes settings")
    run = run_of_trial(load_study(from_study, storage), trial)
    if run is None:
        raise UserError(f"study {from_study} has no completed trial yet; name one with --trial")
    return run.config


@dataclass(frozen=True)
class RunSummary:
    """What one run came to: its record's values, and where to look next."""

    name: str
    folder: str
    adapter: str
    fingerprint: str
    metric: str
    scores: Mapping[str, float]
    majority: float | None
    constant: Mapping[str, float]
    counts: Mapping[str, int]
    flags: Sequence[Flag]
    seconds: float | None
    mlflow: str | None
    ui: str


def _summary(run: RunInfo, record: RunRecord, uri: str) -> RunSummary:
    return RunSummary(
        name=run.name,
        folder=str(run.folder),
        adapter=str(run.folder / ADAPTER_FOLDER),
        fingerprint=record.fingerprint,
        metric=record.metric,
        scores=record.scores,
        majority=record.majority,
        constant=record.constant,
        counts=record.counts,
        flags=record.flags,
        seconds=record.seconds,
        mlflow=where_in_mlflow(run.folder, uri),
        ui=command("ui", run.name, tracking_uri=uri),
    )


def _print(result: RunSummary, record: RunRecord) -> None:
    tell(f"\nRun {result.name}: {_listed(record.scores, record)}", "head")
    if record.constant:
        same = {name: record.constant[name] for name in record.scores if name in record.constant}
        tell(f"For comparison, {always(record)}: {_listed(same, record)}")
    facts((("Health", str(flag)) for flag in record.flags), "warning")
    facts([("Time", duration(result.seconds))] if result.seconds else [])
    facts([("Adapter", result.adapter)])
    places(result.ui, result.mlflow)


def _listed(scores: dict[str, float], record: RunRecord) -> str:
    return ", ".join(
        f"{named_metric(name, record.classes)} {value:.4f}"
        for name, value in sorted(scores.items())
    )
