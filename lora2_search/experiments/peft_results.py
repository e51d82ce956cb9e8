"""Runs of task metamath as results of PEFT's method comparison: a JSON file per run.

Source: huggingface/peft, ``method_comparison/MetaMathQA/utils.py`` (``log_results``), at 5d602fd.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..analysis import Run, read_tasks
from ..config import METAMATH, RunConfig
from ..errors import UserError
from ..store import ADAPTER_FOLDER, Point, RunRecord, stored_json, writable_folder, write_json
from ..training import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_WEIGHTS_FILE,
    GSM8K_REVISION,
    METAMATH_REVISION,
    model_size,
    plan,
)
from .find_run import find_run, split_name

Result = dict[str, Any]

# Bytes of a weight that is trained.
_FLOAT32 = 4

_LIBRARIES = ("transformers", "peft", "datasets", "bitsandbytes", "torch")

# What no record holds.
_UNRECORDED = ("system", "release", "version", "machine", "processor")


@dataclass(frozen=True)
class PeftResults:
    """What was written.

    Attributes:
        files: A file per run.
        left_out: Why each of the other runs has none, by its name.
    """

    files: tuple[Path, ...]
    left_out: dict[str, str]


def write_peft_results(name: str, out: Path, storage: Path | None = None) -> PeftResults:
    """Write the runs of a suite, or a single run, in the form that PEFT's ``processing.py`` reads.

    Runs that did not complete, that trained nothing, or whose adapter is not here are left out.

    Raises:
        UserError: There is nothing of that name, its task is another, none of its runs can be
            written, or ``out`` is no folder that can be written to.
        Damaged: An ``adapter_config.json`` cannot be read.
    """
    runs = _named_runs(name, storage)
    other = next((r.record.config["task"] for _, r in runs if not _is_metamath(r.record)), None)
    if other is not None:
        raise UserError(
            f"PEFT's method comparison is of task {METAMATH}, but {name} is of task {other}; take "
            "another format"
        )
    left_out = {label: why for label, run in runs if (why := _lacking(run)) is not None}
    if len(left_out) == len(runs):
        reasons = "; ".join(f"{label}: {why}" for label, why in left_out.items())
        raise UserError(f"{name} has no run to write: {reasons or 'it holds none'}")
    folder = writable_folder(out.expanduser(), "name a folder that you can write to")
    files = []
    for label, run in runs:
        if label not in left_out:
            experiment = f"{run.record.config['method']}/{label}"
            files.append(folder / f"{experiment.replace('/', '--')}.json")
            write_json(files[-1], result_of(run, experiment))
    return PeftResults(tuple(files), left_out)


def result_of(run: Run, experiment: str) -> Result:
    """Return the result of a completed run.

    What no record holds is null. The three numbers of memory must be whole numbers there: all are
    the peak, which the other two cannot exceed.

    Args:
        run: A run of task metamath that has trained something.
        experiment: What it is called: ``lora/metamath-lora-seed0``.
    """
    record, config = run.record, RunConfig.model_validate(run.record.config)
    created = datetime.fromtimestamp(record.started_ms // 1000, UTC)
    return {
        "run_info": {
            "created_at": created.isoformat(),
            "total_time": record.seconds,
            "experiment_name": experiment,
            "peft_branch": None,
            "peft_worktree_is_dirty": False,
            "train_config": _train_config(config, record),
            "peft_config": _peft_config(run),
            "error_msg": "",
        },
        "train_info": _train_info(run, config),
        "meta_info": _meta_info(config, record),
    }


def _named_runs(name: str, storage: Path | None) -> list[tuple[str, Run]]:
    item, inside = split_name(name, storage)
    if item.kind != "suite" or inside:
        found = find_run(name, storage)
        return [(found.name, Run(found.folder, found.record))]
    tasks = read_tasks(item.folder).values()
    return [(f"{item.name}-{run.name}", run) for task in tasks for run in task.runs.values()]


def _is_metamath(record: RunRecord) -> bool:
    return bool(record.config.get("task") == METAMATH)


def _lacking(run: Run) -> str | None:
    """Say why a run is no result; ``None`` where it is one."""
    record = run.record
    method = record.config["method"]
    if record.status != "completed":
        return f"it is not complete ({record.status})"
    if method == "no-training":
        return "it trains nothing, for which PEFT's form has no place"
    if record.score("test", "exact_match") is None:
        return "it has no exact_match on the test split"
    if method != "full" and not (run.folder / ADAPTER_FOLDER / ADAPTER_CONFIG_FILE).is_file():
        return "its adapter is not here"
    return None


def _train_config(config: RunConfig, record: RunRecord) -> Result:
    model, training = config.model, config.training
    schedule = training.lr_schedule
    return {
        "model_id": model.name_or_path,
        "dtype": "int4" if model.quantization else model.dtype,
        "max_seq_length": config.data.max_length,
        "batch_size": training.batch_size * training.accumulation,
        "batch_size_eval": training.eval_batch_size,
        "max_steps": record.total_steps,
        "eval_steps": max(1, record.total_steps // training.evaluations),
        "compile": False,
        "use_gc": training.gradient_checkpointing,
        "query_template": (config.data.template or "{{ query }}").replace("{{ query }}", "{query}"),
        "seed": config.seed,
        "grad_norm_clip": training.max_grad_norm or 0.0,
        "optimizer_type": "AdamW",
        "optimizer_kwargs": {"lr": training.lr, "weight_decay": training.weight_decay},
        "lr_scheduler": None if schedule == "constant" else schedule,
        "use_amp": training.mixed_precision != "no",
        "autocast_adapter_dtype": True,
        "generation_kwargs": {"max_new_tokens": config.language.max_new_tokens},
        "attn_implementation": model.attention,
        "init_kv_cache_prefix": None,
    }


def _peft_config(run: Run) -> Result | None:
    if run.record.config["method"] == "full":
        return None
    settings: Result = stored_json(run.folder / ADAPTER_FOLDER / ADAPTER_CONFIG_FILE)
    return settings


def _train_info(run: Run, config: RunConfig) -> Result:
    record = run.record
    peak = round((record.peak_memory_mb or 0.0) * 2**20)
    trained = record.counts["trained_adapter"] + record.counts["trained_head"]
    base = model_size(config.model)
    added = 0 if config.method == "full" else trained
    weights = run.folder / ADAPTER_FOLDER / ADAPTER_WEIGHTS_FILE
    return {
        "accelerator_memory_reserved_avg": peak,
        "accelerator_memory_max": peak,
        "accelerator_memory_reserved_99th": peak,
        "train_time": record.timings["train"],
        "file_size": weights.stat().st_size if weights.is_file() else trained * _FLOAT32,
        "num_trainable_params": trained,
        "num_total_params": None if base is None else base + added,
        "status": "success",
        "metrics": [*_evaluations(record, config), _last(record, config)],
    }


def _evaluations(record: RunRecord, config: RunConfig) -> Iterator[Result]:
    since = 0
    for index, point in enumerate(record.history):
        score = point.metrics.get("validation/exact_match")
        if score is None:
            continue
        yield {
            "step": point.step,
            "valid accuracy": score,
            "train loss": _train_loss(record.history[: index + 1], since),
            "train samples": _samples(record, config, point.step),
            "train time": None,
            "eval time": None,
            "tokens / sec": record.tokens_per_second,
            "mem allocated avg": None,
            "mem reserved avg": None,
            "elapsed time": (point.time_ms - record.started_ms) / 1000,
        }
        since = point.step


def _last(record: RunRecord, config: RunConfig) -> Result:
    evaluated = [p.step for p in record.history if "validation/exact_match" in p.metrics]
    speed = record.tokens_per_second
    return {
        "step": record.total_steps,
        "test accuracy": record.score("test", "exact_match"),
        "train loss": _train_loss(record.history, evaluated[-2] if len(evaluated) > 1 else 0),
        "train samples": _samples(record, config, record.total_steps),
        "train total tokens": round((speed or 0.0) * record.timings["train"]),
        "forgetting": record.forgetting,
    }


def _train_loss(points: Sequence[Point], since: int) -> float:
    """Return the mean training loss of the steps after ``since``; each point is one of several."""
    total, before = 0.0, since
    for point in points:
        if point.step > since:
            total += point.metrics["train/loss"] * (point.step - before)
            before = point.step
    return total / (before - since) if before > since else math.nan


def _samples(record: RunRecord, config: RunConfig, step: int) -> int:
    """Return how many examples the first steps have read, those of earlier epochs again."""
    examples, training = record.sizes["train"], config.training
    epochs, steps = divmod(step, plan(training, examples).per_epoch)
    return epochs * examples + min(steps * training.batch_size * training.accumulation, examples)


def _meta_info(config: RunConfig, record: RunRecord) -> Result:
    on_hub = config.data.path is None
    revisions = {
        "metamath": config.data.revision or METAMATH_REVISION,
        "gsm8k": GSM8K_REVISION,
    }
    packages: dict[str, str | None] = {}
    for name in _LIBRARIES:
        packages |= {f"{name}-version": record.versions.get(name), f"{name}-commit-hash": None}
    packages |= {
        "lora2_search-version": record.versions.get("lora2_search"),
        "lora2_search-commit-hash": record.commit,
    }
    return {
        "model_info": {"sha": config.model.revision, "created_at": None},
        "dataset_info": {
            name: {"sha": revision if on_hub else None, "created_at": None}
            for name, revision in revisions.items()
        },
        "package_info": packages,
        "system_info": {**dict.fromkeys(_UNRECORDED), "accelerator": record.device},
        "pytorch_info": None,
    }
