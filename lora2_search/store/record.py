"""The record of one run: one JSON that tables, figures and MLflow are made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .files import Damaged, stored_text, write_text

RECORD_FILE = "record.json"

SCHEMA_VERSION = 1

PREDICTIONS_FILE = "predictions.parquet"

ADAPTER_FOLDER = "adapter"

CONFIG_FILE = "config.json"

CHECKPOINT_FOLDER = "checkpoint"

Status = Literal["running", "completed", "pruned", "failed"]


class Point(BaseModel):
    """Metrics of one optimiser step.

    Attributes:
        step: Optimiser steps done, from 0.
        time_ms: Unix time in milliseconds, taken once, when the point was made.
        metrics: ``train/...`` for training, ``validation/...`` for an evaluation,
            ``rank/...`` and ``geometry/...`` (see ``diagnostics``); names before "/" become
            sections of a chart.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")
    step: int
    time_ms: int
    metrics: dict[str, float]


class Flag(BaseModel):
    """A failure signature that was found in a run; see ``health``.

    Attributes:
        name: ``score-drop``, ``regulariser``, ``gradient`` or ``memory``.
        detail: What was found, with its numbers.
        setting: The setting to turn.
    """

    model_config = ConfigDict(frozen=True)
    name: str
    detail: str
    setting: str

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}; turn {self.setting}"


class RunRecord(BaseModel):
    """What a run leaves behind, in ``record.json`` of its folder.

    Per-example predictions lie beside it in ``predictions.parquet`` (columns ``split``,
    ``example``, ``label``, ``prediction``, and ``score_0`` ... for the logits), the trained
    adapter in ``adapter/``.

    Attributes:
        fingerprint: ``RunConfig.fingerprint()``.
        status: ``running`` until it ends; ``pruned`` when a scheduler stopped it.
        error: Why it failed, else ``None``.
        config: The ``RunConfig`` as plain values.
        data_hash: sha256 of the texts, labels and splits.
        data_parts: What tells them apart when that changes; see ``inputs``.
        model_hash: sha256 over ``model_files``.
        model_files: sha256 of each file of the model that was loaded, by name.
        code_hash: sha256 over the source files that decide a result; see ``code``. Empty where the
            run went on from a checkpoint of other code.
        metric: Name of the primary metric, for example ``accuracy``; higher is better.
        majority: Score of always answering the most frequent training label (the mean).
        constant: What always giving that answer scores, by split and metric, like ``scores``.
        commonest: Name of that class; empty for numbers.
        classes: Names of the classes, in order of their numbers; empty for numbers.
        sizes: Examples per split.
        left_out: Rows that lack text or label.
        example: Where text is generated, a training example; the tokens that are learnt stand in
            ``⟦ ⟧``.
        cut: Examples longer than ``data.max_length``, by split; where text is generated.
        untrained: Of these, examples without any token to learn.
        forgetting: Loss on plain text (``language.forgetting``) with what was trained, minus that
            of the model as it was; ``None`` where none was named.
        tokens_per_second: Tokens of training examples, padding left out, by the seconds of
            ``train``; ``None`` where nothing was trained.
        padding_share: Share of the positions of training batches that were padding.
        total_steps: Optimiser steps of the whole run (T).
        history: Metrics by step, in order.
        scores: Final values, ``validation/accuracy``, ``test/accuracy``, ``test/f1`` ...
        counts: ``trained_adapter``, ``trained_head``, ``kept_adapter``, ``compressed_adapter``,
            ``scored_full``, ``scored_reduced``: numbers of parameters.
        rank_pattern: Kept rank by adapted module.
        kept_norm: Share of the squared Frobenius norm of all increments that is left after the cut
            (``after.svd_rank``), ``None`` where nothing was to be cut. Scores, predictions, ranks,
            and the counts of what is kept and compressed, are then those of the cut adapter; the
            history keeps the scores before it.
        flags: Failure signatures that were found so far.
        timings: Seconds: ``train``, ``evaluation``, ``diagnostics``, ``setup``, and ``total``, all
            that processes spent on the run, between those parts too, but for pauses. What is shown
            as a run's time is ``seconds``.
        peak_memory_mb: Peak resident (or device) memory in MiB.
        device: Kind of device: ``cpu`` or ``cuda``.
        threads: Torch threads, of each process.
        processes: How many trained it together, one per device; time and memory are the first's.
        versions: Python and library versions.
        commit: Git commit of this package, when it runs from a checkout; for people: what decides
            is ``code_hash``.
        dirty: Whether that checkout had changes.
        taken_from: The archive from which this run was taken. What an archive leaves out stayed
            where the run was trained: the adapter, validation predictions, most of the history.
        reused_from: The run that was trained, from the storage folder (``suites/quick/runs/
            base-seed6``), where this one was taken over and not trained again.
    """

    # Pydantic's default writes a NaN as null, which it then refuses to read.
    model_config = ConfigDict(ser_json_inf_nan="constants")
    schema_version: int = SCHEMA_VERSION
    fingerprint: str
    status: Status = "running"
    error: str | None = None
    config: dict[str, Any]
    data_hash: str = ""
    data_parts: dict[str, str] = Field(default_factory=dict)
    model_hash: str = ""
    model_files: dict[str, str] = Field(default_factory=dict)
    code_hash: str = ""
    metric: str = ""
    majority: float | None = None
    constant: dict[str, float] = Field(default_factory=dict)
    commonest: str = ""
    classes: list[str] = Field(default_factory=list)
    sizes: dict[str, int] = Field(default_factory=dict)
    left_out: int = 0
    example: str = ""
    cut: dict[str, int] = Field(default_factory=dict)
    untrained: dict[str, int] = Field(default_factory=dict)
    forgetting: float | None = None
    tokens_per_second: float | None = None
    padding_share: float | None = None
    total_steps: int = 0
    history: list[Point] = Field(default_factory=list)
    scores: dict[str, float] = Field(default_factory=dict)
    counts: dict[str, int] = Field(default_factory=dict)
    rank_pattern: dict[str, int] = Field(default_factory=dict)
    kept_norm: float | None = None
    flags: list[Flag] = Field(default_factory=list)
    timings: dict[str, float] = Field(default_factory=dict)
    peak_memory_mb: float | None = None
    device: str = ""
    threads: int = 0
    processes: int = 1
    versions: dict[str, str] = Field(default_factory=dict)
    commit: str | None = None
    dirty: bool | None = None
    taken_from: str | None = None
    reused_from: str | None = None
    started_ms: int = 0
    ended_ms: int | None = None

    @property
    def kept_rank(self) -> int | None:
        """Singular values kept in all matrices; ``None`` for methods without them."""
        return sum(self.rank_pattern.values()) if self.rank_pattern else None

    @property
    def seconds(self) -> float | None:
        """How long the run took so far, pauses left out; ``None`` where that was not measured."""
        parts = sum(value for name, value in self.timings.items() if name != "total")
        return self.timings.get("total") or parts or None

    def score(self, split: str, metric: str | None = None) -> float | None:
        """Return a metric on ``validation`` or ``test``, ``None`` if it was never measured.

        Args:
            split: Name of the split.
            metric: Its name; ``None`` for the primary one.
        """
        return self.scores.get(f"{split}/{metric or self.metric}")

    def write(self, folder: Path) -> Path:
        """Write the record into ``folder`` in one piece and return its path."""
        path = folder / RECORD_FILE
        write_text(path, self.model_dump_json(indent=1))
        return path


def read_record(folder: Path) -> RunRecord | None:
    """Return the record of a run's folder, ``None`` where there is none yet.

    Raises:
        Damaged: It cannot be read.
    """
    path = folder / RECORD_FILE
    remedy = f"restore it from a copy, or delete {folder} to run it again"
    text = stored_text(path, remedy)
    if text is None:
        return None
    try:
        record = RunRecord.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        why = f"{place}: {first['msg']}" if place else first["msg"]
        raise Damaged(path, f"it is not a record of a run ({why})", remedy) from None
    if record.schema_version != SCHEMA_VERSION:
        why = f"its schema_version is {record.schema_version}, this version reads {SCHEMA_VERSION}"
        raise Damaged(path, why, f"read it with the version that wrote it, or {remedy}")
    if record.status == "completed" and not record.scores:
        raise Damaged(path, "its run is completed, but it holds no scores", remedy)
    return record


def readable_record(folder: Path) -> RunRecord | None:
    """Return the record of a run's folder, ``None`` where there is none that can be read."""
    try:
        return read_record(folder)
    except Damaged:
        return None


def damaged_records(folder: Path) -> list[Damaged]:
    """Return what is wrong with the records of the runs of a study or suite, one error each."""
    damages = []
    for run in sorted(path for path in folder.glob("*/*") if path.is_dir()):
        try:
            read_record(run)
        except Damaged as damage:
            damages.append(damage)
    return damages
