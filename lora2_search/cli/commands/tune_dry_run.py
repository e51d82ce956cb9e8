"""``tune --dry-run``: what a study would cost, from a few measured steps."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ...config import RunConfig, with_settings
from ...config.space import Resources, Space, Value, reference_name
from ...execution import max_concurrent_runs
from ...experiments import Sized, check_inputs, extreme_adapters
from ...search import (
    WarmStart,
    begin,
    make_sampler,
    study_folder,
    trials_left,
    with_fixed_sampler,
)
from ..console.rows import duration, plain, print_json
from ..console.say import narrator

# What measures steps imports torch: for a dry run alone, not for each `tune` and `ablate`.
if TYPE_CHECKING:
    from ...training import Estimate

SAMPLES = 3


@dataclass(frozen=True)
class Forecast:
    """What a study would cost, every trial counted as if it ran to its end.

    Attributes:
        sentences: Examples of each split.
        steps: Optimiser steps of a trial.
        evaluations: Of the validation split, in a trial.
        parameters: Counts by what they are of.
        references: Runs outside the search, beside which the winner stands.
        fresh_runs: Runs on fresh seeds after the search, baselines among them.
        at_once: Trials that train side by side.
        seconds: Of the whole study; ``None`` where neither trials nor hours bound it.
        device_hours: Hours of the devices that all runs take together: GPU-hours, or core-hours
            where a run takes no GPU; ``None`` where nothing bounds them.
        device: ``GPU`` or ``core``.
        smallest: The smallest adapter that can be proposed; ``None`` where that is not known.
        largest: The largest one.
        disk_mb: MiB that stay; ``None`` where nothing bounds the trials.
        samples: Settings of the first trials.
    """

    name: str
    sentences: Mapping[str, int]
    steps: int
    evaluations: int
    seconds_per_step: float
    seconds_per_trial: float
    parameters: Mapping[str, int]
    trials: int | None
    references: Sequence[str]
    fresh_runs: int
    at_once: int
    seconds: float | None
    device_hours: float | None
    device: Literal["GPU", "core"]
    smallest: Sized | None
    largest: Sized | None
    disk_mb: float | None
    disk_free_mb: float
    early_stopping: bool
    seeds: int
    samples: Sequence[Mapping[str, Value]]


def dry_run(
    space: Space,
    storage: Path | None,
    as_json: bool,
    *,
    here: bool = True,
    warm: WarmStart | None = None,
) -> None:
    """Print what a study would cost; nothing of it is kept.

    Args:
        space: What would be searched.
        storage: Where the study would be.
        as_json: Print JSON.
        here: Whether this machine alone would run it, or a cluster.
        warm: What it would take over from an older study.

    Raises:
        ConfigError: Model or data are missing or wrong, or a trial asks for more than there is.
        UserError: The hub or the package index cannot be reached.
    """
    from ...training import adapter_size

    say = narrator(as_json)
    notes = check_inputs(space.run_config(), say, space.judged_by, space.other_models())
    cpus, gpus = local_cpus_and_gpus()
    resources = space.resources.with_gpus(space.training.device, bool(gpus))
    trials_at_once = forecast_at_once(resources, cpus, gpus, here=here)
    for line in notes:
        say(line)
    if warm is not None:
        say(warm.line)
    samples = sampled(space, SAMPLES, warm)
    say("measuring a few steps of the first trial")
    estimate = measured(space.run_config(samples[0]), resources)
    extremes = extreme_adapters(space, adapter_size)
    result = forecast(
        space, samples, estimate, storage, trials_at_once, resources=resources, extremes=extremes
    )
    if as_json:
        print_json(result)
        return
    for line in _told(result):
        print(line)


def sampled(space: Space, count: int, warm: WarmStart | None = None) -> list[dict[str, Value]]:
    """Return the settings of the first trials: the same that the study will propose."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize"] * len(space.goals))
    space, warm = with_fixed_sampler(space, study), warm or WarmStart()
    given, prior = len(space.try_first) + len(warm.first), len(warm.prior)
    warm.keep(study)
    begin(study, space)
    rows: list[dict[str, Value]] = []
    while len(rows) < count and trials_left(space, len(rows), min(len(rows), given)):
        number, place = prior + len(rows), max(0, len(rows) - given)
        study.sampler = make_sampler(space, number, place)
        rows.append(dict(space.suggest(study.ask())))
    return rows


def forecast(
    space: Space,
    samples: Sequence[Mapping[str, Value]],
    estimate: Estimate,
    storage: Path | None,
    at_once: int,
    *,
    resources: Resources | None = None,
    extremes: tuple[Sized, Sized] | None = None,
) -> Forecast:
    """Return the cost of a study.

    Args:
        space: What would be searched.
        samples: Settings of the first trials.
        estimate: The cost of one run.
        storage: Where the study would be.
        at_once: Trials that train side by side.
        resources: Those of one run, ``with_gpus``; by default the space's own.
        extremes: The smallest and the largest adapter.
    """
    runs, resources = space.runs, resources or space.resources
    whole = space.whole_runs
    seconds = None if whole is None else math.ceil(whole / at_once) * estimate.seconds
    busy = None if whole is None else whole * estimate.seconds
    if space.hours is not None:
        after = math.ceil(space.fresh_runs / at_once) * estimate.seconds  # hours bound the search
        seconds = min(seconds or math.inf, space.hours * 3600 + after)
        busy = min(busy or math.inf, at_once * seconds)
    each = resources.gpus or resources.cpus
    disk = None if runs is None else runs * estimate.disk_mb + at_once * estimate.checkpoint_mb
    return Forecast(
        name=space.name,
        sentences=estimate.sizes,
        steps=estimate.steps,
        evaluations=estimate.evaluations,
        seconds_per_step=estimate.seconds_per_step,
        seconds_per_trial=estimate.seconds,
        parameters=estimate.counts,
        trials=space.trials,
        references=[reference_name(space, name) for name in space.outside],
        fresh_runs=space.fresh_runs,
        at_once=at_once,
        seconds=seconds,
        device_hours=None if busy is None else busy * each / 3600,
        device="GPU" if resources.gpus_per_trial else "core",
        smallest=extremes[0] if extremes else None,
        largest=extremes[1] if extremes else None,
        disk_mb=disk,
        disk_free_mb=free_mb(study_folder(space.name, storage)),
        early_stopping=space.scheduler.name == "asha" or space.is_raced,
        seeds=space.seeds,
        samples=samples,
    )


def forecast_at_once(resources: Resources, cpus: int, gpus: int, *, here: bool = True) -> int:
    """Return how many trials this machine would run at a time.

    Args:
        resources: Those of one trial, ``with_gpus``.
        cpus: Cores here.
        gpus: GPUs here.
        here: Whether this machine alone would run them; of a cluster's nodes nothing is known, but
            one trial at the least will run there.

    Raises:
        ConfigError: One trial asks for more than there is here.
    """
    if not here and not resources.fit(cpus, gpus):
        return 1
    return max_concurrent_runs(resources, [(cpus, gpus)])


def measured(config: RunConfig, resources: Resources) -> Estimate:
    """Measure a few steps of a run with the threads and the device that its resources give it.

    Raises:
        ConfigError: As the run itself would, before anything is trained.
    """
    import torch

    from ...training import measure

    torch.set_num_threads(max(1, int(resources.cpus_per_trial)))
    if not resources.gpus_per_trial:
        config = with_settings(config, {"training.device": "cpu"})
    return measure(config)


def local_cpus_and_gpus() -> tuple[int, int]:
    """Return how many cores and GPUs this machine has."""
    import torch

    # As Ray counts them: it looks at no affinity.
    return os.cpu_count() or 1, torch.cuda.device_count()


def free_mb(folder: Path) -> float:
    """Return the MiB that are free where ``folder`` is, or would be."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free / 2**20


def _told(result: Forecast) -> list[str]:
    sizes = ", ".join(f"{count:,} {name}" for name, count in result.sentences.items())
    counts, what = result.parameters, "run" if result.seeds > 1 else "trial"
    lines = [f"Study {result.name} on this machine would take:"]
    lines.append(f"Examples:    {sizes}")
    lines.append(
        f"Steps:       {result.steps:,} per {what} at {result.seconds_per_step:.3f} s, "
        f"{result.evaluations} evaluations"
    )
    if "trained_adapter" in counts:
        head = f", {trained:,} in the head" if (trained := counts.get("trained_head")) else ""
        lines.append(f"Parameters:  {counts['trained_adapter']:,} in the adapter{head}")
    lines += _range(result)
    lines.append(f"{f'One {what}:':13}{duration(result.seconds_per_trial)}")
    if result.seconds is not None:
        less = ", less what early stopping saves" if result.early_stopping else ""
        lines.append(
            f"In all:      about {duration(result.seconds)} for {_runs(result)}, "
            f"{result.at_once} at a time{less}"
        )
    if result.device_hours is not None:
        most = "; at most, since early stopping saves some" if result.early_stopping else ""
        lines.append(f"Devices:     {_hours(result.device_hours)} {result.device}-hours{most}")
    if result.disk_mb is not None:
        free = result.disk_free_mb / 1024
        lines.append(f"Disk:        {result.disk_mb:,.0f} MiB; {free:,.0f} GiB are free")
    lines.append("The first trials:")
    for number, settings in enumerate(result.samples):
        lines.append(f"  trial {number}: {_settings(settings)}")
    return lines


def _range(result: Forecast) -> list[str]:
    """Return between which sizes the adapters lie; nothing where all have the same."""
    ends = (result.smallest, result.largest)
    if None in ends or ends[0] == ends[1]:
        return []
    told = [
        f"{end.parameters:,}" + (f" ({_settings(end.settings)})" if end.settings else "")
        for end in ends
        if end is not None
    ]
    return [f"             adapters from {told[0]} to {told[1]}"]


def _settings(settings: Mapping[str, Value]) -> str:
    return ", ".join(f"{key}={plain(value)}" for key, value in settings.items())


def _hours(hours: float) -> str:
    return f"{hours:.2g}" if hours < 10 else f"{hours:,.0f}"


def _runs(result: Forecast) -> str:
    """Return what is run in words: ``8 trials, head-only and lora``."""
    if not result.trials:
        return "its hours"
    fresh = [f"{result.fresh_runs} runs on fresh seeds"] if result.fresh_runs else []
    seeds = f" of {result.seeds} seeds" if result.seeds > 1 else ""
    trials = "1 trial" if result.trials == 1 else f"{result.trials} trials"
    runs: list[str] = [f"{trials}{seeds}", *(fresh or result.references)]
    return f"{', '.join(runs[:-1])} and {runs[-1]}" if len(runs) > 1 else runs[0]
