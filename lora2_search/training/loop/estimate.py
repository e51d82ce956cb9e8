"""What a run will cost, from a few steps measured on this machine."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ...adapter import count_parameters
from ...config import RunConfig, with_settings
from ..export.adapter import save_adapter
from ..models.load import load_base
from ..models.methods import attach
from .plan import plan
from .prepare import Prepared, load_inputs, prepare

_MEASURED_STEPS = 6


@dataclass(frozen=True)
class Estimate:
    """The cost of one run.

    Attributes:
        sizes: Examples per split.
        steps: Optimiser steps (T).
        evaluations: Evaluations of the validation split.
        seconds_per_step: Median of the measured steps.
        seconds_per_example: Of an evaluation.
        counts: Numbers of parameters; see ``RunRecord``.
        disk_mb: MiB that a finished run leaves.
        checkpoint_mb: MiB more while it runs.
    """

    sizes: dict[str, int]
    steps: int
    evaluations: int
    seconds_per_step: float
    seconds_per_example: float
    counts: dict[str, int]
    disk_mb: float
    checkpoint_mb: float

    @property
    def seconds(self) -> float:
        """Seconds of one complete run."""
        tests = sum(n for name, n in self.sizes.items() if name not in ("train", "validation"))
        evaluated = self.evaluations * self.sizes["validation"] + tests
        return self.steps * self.seconds_per_step + evaluated * self.seconds_per_example


def measure(config: RunConfig) -> Estimate:
    """Take a few real steps of a run and say what all of it will cost; nothing is kept.

    Raises:
        ConfigError: As ``training.loop.run`` does, before anything is trained.
    """
    prepared = prepare(config)
    steps = prepared.trainer.plan
    with tempfile.TemporaryDirectory() as scratch:
        save_adapter(prepared.trainer.progress.model, Path(scratch))
        disk = sum(path.stat().st_size for path in Path(scratch).rglob("*") if path.is_file())
    return Estimate(
        sizes={name: len(split) for name, split in prepared.data.splits.items()},
        steps=steps.total,
        evaluations=len(steps.stops),
        seconds_per_step=_seconds_per_step(prepared),
        seconds_per_example=_seconds_per_example(prepared),
        counts=count_parameters(prepared.trainer.progress.model),
        disk_mb=disk / 2**20,
        # weights and two moments, in the two checkpoints that are kept
        checkpoint_mb=2 * 3 * disk / 2**20,
    )


def adapter_size(config: RunConfig) -> int:
    """Return how many parameters a run's adapter trains, counted on the adapter itself.

    0 for a method without one. PiSSA, whose start takes minutes, is counted as the LoRA that it is.

    Raises:
        ConfigError: The adapter's settings do not fit the model, or model or data are missing.
    """
    if config.method in ("full", "head-only"):
        return 0
    if config.method == "pissa":
        config = with_settings(config, {"method": "lora"})
    data, encoded, _ = load_inputs(config)
    base = load_base(config.model, data.outputs, data.kind == "regression")
    model, _ = attach(base, config, plan(config.training, len(encoded["train"])).total)
    return count_parameters(model)["trained_adapter"]


def _seconds_per_step(prepared: Prepared) -> float:
    seconds = []
    for step in range(min(_MEASURED_STEPS, prepared.trainer.plan.total)):
        start = time.perf_counter()
        list(prepared.trainer.advance(step, step + 1))
        seconds.append(time.perf_counter() - start)
    # The first step allocates the optimiser's moments; a run may take none.
    return median(seconds[1:] or seconds or [0.0])


def _seconds_per_example(prepared: Prepared) -> float:
    start = time.perf_counter()
    prepared.predict("validation")
    return (time.perf_counter() - start) / len(prepared.encoded["validation"])
