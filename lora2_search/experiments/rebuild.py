"""A run's record made again from what else the run has left."""

from __future__ import annotations

from pathlib import Path

from ..config import Kind, RunConfig, primary_metric
from ..store import (
    ADAPTER_FOLDER,
    CONFIG_FILE,
    PREDICTIONS_FILE,
    RANK_PATTERN_FILE,
    TUNING_FOLDER,
    Point,
    RunRecord,
    checkpoints,
    reading,
    stored_json,
)
from ..tracking import SpooledRun, spooled_run

_STATUS = {"PRUNED": "pruned", "FAIL": "failed"}


def rebuilt_record(folder: Path, run: Path) -> RunRecord | None:
    """Return the record of a run from its settings, its last whole checkpoint and its spool.

    A completed run's scores, counts and times are in the spool; the names of its classes, the sizes
    of its splits and the hashes of model and code are not, so it is not taken over by other suites.
    A run that is not over has no scores of its own: its record says ``running``.

    Args:
        folder: The study or suite.
        run: The run's own folder.

    Returns:
        ``None`` where that cannot be done: no settings, nothing spooled and no checkpoint, or a
        completed run that was cut afterwards (its scores are of the cut adapter, its curves are
        not) or has lost predictions or adapter.

    Raises:
        Damaged: Its settings cannot be read.
    """
    data = stored_json(run / CONFIG_FILE)
    if data is None:
        return None
    with reading(run / CONFIG_FILE):
        config = RunConfig.model_validate(data)
    prefix = "tuning." if run.parent.name == TUNING_FOLDER else ""
    told = spooled_run(folder, prefix + run.name)
    record = RunRecord(fingerprint=config.fingerprint(), config=data)
    if told and told.state == "COMPLETE":
        return _completed(record, config, run, told)
    kept = [item for item in checkpoints(run) if item.damage is None]
    if kept:
        record.history, record.timings = kept[-1].history, kept[-1].timings
        record.code_hash = kept[-1].code_hash
    elif told and told.history:
        record.history = told.history
    else:
        return None
    _note_curves(record, config)
    record.total_steps = config.training.steps or record.history[-1].step
    if told:
        record.started_ms = told.started_ms
        if told.state in _STATUS:
            record.status, record.error = _STATUS[told.state], told.reason  # type: ignore[assignment]
            record.ended_ms = told.ended_ms
    return record


def _completed(
    record: RunRecord, config: RunConfig, run: Path, told: SpooledRun
) -> RunRecord | None:
    left = all((run / name).exists() for name in (PREDICTIONS_FILE, ADAPTER_FOLDER))
    if config.after.svd_rank is not None or not told.history or not left:
        return None
    record.history, record.status = told.history, "completed"
    record.started_ms, record.ended_ms = told.started_ms, told.ended_ms
    _note_curves(record, config)
    record.total_steps = record.history[-1].step
    for name, value in told.final.items():
        section, _, rest = name.partition("/")
        if section == "counts":
            record.counts[rest] = int(value)
        elif section == "seconds":
            record.timings[rest] = value
        elif name == "memory/peak_mb":
            record.peak_memory_mb = value
        elif rest:
            record.scores[name] = value
    record.data_hash = told.tags.get("data_hash", "")
    record.device = told.tags.get("device", "")
    pairs = (pair.split(" ", 1) for pair in told.tags.get("versions", "").split(", ") if pair)
    record.versions = {name: version for name, version in pairs}
    pattern = stored_json(run / RANK_PATTERN_FILE)
    if pattern is not None:
        with reading(run / RANK_PATTERN_FILE):
            record.rank_pattern = {name: int(rank) for name, rank in pattern["modules"].items()}
    return record if record.score("validation") is not None else None


def _note_curves(record: RunRecord, config: RunConfig) -> None:
    """Take metric and validation scores from the last evaluation of the history."""
    evaluated = [values for point in record.history if (values := _validation(point))]
    last = evaluated[-1] if evaluated else {}
    if config.is_language:
        record.metric = config.language_metrics[0]
    else:
        kind: Kind = "classification" if "validation/accuracy" in last else "regression"
        record.metric = primary_metric(config.task, kind)
    record.scores = dict(last)


def _validation(point: Point) -> dict[str, float]:
    return {name: v for name, v in point.metrics.items() if name.startswith("validation/")}
