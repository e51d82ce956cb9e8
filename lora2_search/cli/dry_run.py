"""``tune --dry-run``: what a study would cost, from a few measured steps."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import Any

from ..config import RunConfig
from ..home import home
from ..preflight import check_inputs
from ..search.space import Space
from ..search.storage import make_sampler
from ..training.estimate import Estimate, measure
from .failures import say
from .live import duration, plain
from .rows import print_json

SAMPLES = 3


def dry_run(space: Space, storage: Path | None, as_json: bool) -> None:
    """Print what a study would cost; nothing of it is kept.

    Raises:
        ConfigError: Model or data are missing or wrong.
        UserError: The hub or the package index cannot be reached.
    """
    check_inputs(space.run_config(), say)
    samples = sampled(space, SAMPLES)
    say("measuring a few steps of the first trial")
    estimate = _measured(space.run_config(samples[0]), space.resources.cpus_per_trial)
    result = forecast(space, samples, estimate, storage)
    if as_json:
        print_json(result)
        return
    for line in _told(result):
        print(line)


def sampled(space: Space, count: int) -> list[dict[str, Any]]:
    """Return the settings of the first trials: the same that the study will propose."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    conditional = any(item.when for item in space.search.values())
    rows = []
    for number in range(min(count, space.trials or count)):
        sampler = space.sampler
        study.sampler = make_sampler(
            sampler.name, sampler.seed + number, sampler.startup_trials, conditional
        )
        rows.append(dict(space.suggest(study.ask())))
    return rows


def forecast(
    space: Space, samples: list[dict[str, Any]], estimate: Estimate, storage: Path | None
) -> dict[str, Any]:
    """Return the cost of a study as plain values, every trial counted as if it ran to its end."""
    runs = None if space.trials is None else space.trials + int(space.method != "head-only")
    at_once = _at_once(space)
    seconds = None if runs is None else math.ceil(runs / at_once) * estimate.seconds
    if space.hours is not None:
        seconds = min(seconds or math.inf, space.hours * 3600)
    disk = None if runs is None else runs * estimate.disk_mb + at_once * estimate.checkpoint_mb
    return {
        "name": space.name,
        "sentences": estimate.sizes,
        "steps": estimate.steps,
        "evaluations": estimate.evaluations,
        "seconds_per_step": estimate.seconds_per_step,
        "seconds_per_trial": estimate.seconds,
        "parameters": estimate.counts,
        "trials": space.trials,
        "at_once": at_once,
        "seconds": seconds,
        "disk_mb": disk,
        "disk_free_mb": shutil.disk_usage(storage or home()).free / 2**20,
        "early_stopping": space.scheduler.name != "none",
        "samples": samples,
    }


def _measured(config: RunConfig, cpus: float) -> Estimate:
    import torch

    torch.set_num_threads(max(1, int(cpus)))
    return measure(config)


def _at_once(space: Space) -> int:
    # On a cluster the nodes decide; here, what this machine would do.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    fit = max(1, math.floor((cores or 1) / space.resources.cpus_per_trial))
    return min(fit, space.resources.concurrent or fit)


def _told(result: dict[str, Any]) -> list[str]:
    sizes = ", ".join(f"{count:,} {name}" for name, count in result["sentences"].items())
    counts = result["parameters"]
    lines = [f"Study {result['name']} would be, on this machine:"]
    lines.append(f"Sentences:   {sizes}")
    lines.append(
        f"Steps:       {result['steps']:,} a trial at {result['seconds_per_step']:.3f} s, "
        f"{result['evaluations']} evaluations"
    )
    if "trained_adapter" in counts:
        head = counts.get("trained_head", 0)
        lines.append(
            f"Parameters:  {counts['trained_adapter']:,} in the adapter, {head:,} in the head"
        )
    lines.append(f"One trial:   {duration(result['seconds_per_trial'])}")
    if result["seconds"] is not None:
        less = ", less what early stopping saves" if result["early_stopping"] else ""
        trials = f"{result['trials']} trials and head-only" if result["trials"] else "its hours"
        lines.append(
            f"In all:      about {duration(result['seconds'])} for {trials}, "
            f"{result['at_once']} at a time{less}"
        )
    if result["disk_mb"] is not None:
        free = result["disk_free_mb"] / 1024
        lines.append(f"Disk:        {result['disk_mb']:,.0f} MiB; {free:,.0f} GiB are free")
    lines.append("The first trials:")
    for number, settings in enumerate(result["samples"]):
        told = ", ".join(f"{key}={plain(value)}" for key, value in settings.items())
        lines.append(f"  trial {number}: {told}")
    return lines
