"""What LoRA² costs beside its peers: whole training steps of the project's own loop, in turn.

A step is forward, regularisers, backward, clipping, optimiser, scoring and budget; masks are due at
every step. MiniLM (6 layers, 384 wide), r = 8, 2 threads; medians of one interleaved run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from types import MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lora2_search.adapter.layer import Lora2Layer
from lora2_search.config.presets import PRESETS
from lora2_search.config.run import RunConfig, with_settings
from lora2_search.config.vocabulary import INITS
from lora2_search.training.data.tokens import Encoded
from lora2_search.training.loop.environment import peak_memory_mb
from lora2_search.training.loop.prepare import prepare

LARGE, SMALL = (32, 64), (4, 16)
WARM = 5
DENSE = "dense"
PEFTS = "adalora, regularised by PEFT's own loop"
RECOMMENDED = "lora2, recommended"
# "lora2" alone begins as its default does.
STARTS = {
    init: f"lora2, init: {init}"
    for init in INITS
    if init != RunConfig(task="sentiment").adapter.init
}

# What is not simply a method of that name with its defaults.
VARIANTS: dict[str, dict[str, Any]] = {
    DENSE: {"method": "lora2"},
    PEFTS: {"method": "adalora"},
    RECOMMENDED: {"method": "lora2", **PRESETS["recommended"]},
    **{name: {"method": "lora2", "adapter.init": init} for init, name in STARTS.items()},
}


@dataclass
class Contestant:
    """A trainer, and what each of its steps and of its allocations took."""

    trainer: Any
    seconds: list[float] = field(default_factory=list)
    allocating: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        adaptive = self.trainer.progress.adaptive
        allocate = adaptive.update_and_allocate

        def timed(*arguments: Any, **named: Any) -> None:
            start = time.perf_counter()
            allocate(*arguments, **named)
            self.allocating.append(time.perf_counter() - start)

        adaptive.update_and_allocate = timed

    def step(self, step: int) -> None:
        start = time.perf_counter()
        list(self.trainer.advance(step, step + 1))
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - start)


def contestant(method: str, shape: tuple[int, int], steps: int, device: str = "cpu") -> Contestant:
    batch, tokens = shape
    config = with_settings(
        RunConfig(task="sentiment"),
        {
            **VARIANTS.get(method, {"method": method}),
            "data.train_size": batch,
            "data.validation_size": 2,
            "data.test_size": 2,
            "adapter.target_rank": 4,
            "adapter.t_init": 1,
            "adapter.t_final": 1,
            "training.steps": steps,
            "training.batch_size": batch,
            "training.device": device,
        },
    )
    trainer = prepare(config).trainer
    if method == DENSE:
        _use_dense_products(trainer.progress.model)
    if method == PEFTS:
        adaptive = trainer.progress.adaptive
        adaptive.regularization = _regularise_as_peft(trainer.progress.model.base_model)
    ids = np.random.default_rng(0).integers(1000, 20000, (batch, tokens)).tolist()
    features = {"input_ids": ids, "attention_mask": [[1] * tokens] * batch}
    labels = np.arange(batch, dtype=np.float64) % 2
    trainer.train = Encoded(features, labels, np.full(batch, tokens))
    return Contestant(trainer)


def _use_dense_products(model: torch.nn.Module) -> None:
    """Compute increments as the published layer does (`SVDLinear.forward` in its `LoRA2.py`).

    It multiplies tokens by a dense `[d_in, d_out]` product, and scales what comes out of it.
    """

    def add_increment(layer: Any, result: Tensor, x: Tensor, adapter_name: str) -> Tensor:
        (u, inner_u), values, (v, inner_v) = layer.factors(adapter_name)
        rank = values.new_tensor([len(values)])
        alpha = layer.scaling[adapter_name] * len(values)
        dense = (v.T @ inner_v.T) @ torch.diag(values) @ (inner_u.T @ u.T)
        result += x @ dense * alpha / (rank + 1e-5)
        return result

    for layer in model.modules():
        if isinstance(layer, Lora2Layer):
            assert hasattr(layer, "_add_increment"), "the layer computes its increment elsewhere"
            layer._add_increment = MethodType(add_increment, layer)  # type: ignore[attr-defined]


def _regularise_as_peft(tuner: Any) -> Callable[[], dict[str, Tensor]]:
    """The regulariser as PEFT's AdaLoraModel.forward computes it: one matrix after another."""

    def regularization() -> dict[str, Tensor]:
        total, count = torch.zeros(()), 0
        for name, p in tuner.model.named_parameters():
            if ("lora_A" in name or "lora_B" in name) and tuner.trainable_adapter_name in name:
                cov = p @ p.T if "lora_A" in name else p.T @ p
                identity = torch.eye(*cov.size(), out=torch.empty_like(cov))
                total, count = total + torch.norm(cov - identity, p="fro"), count + 1
        weight = tuner.peft_config[tuner.trainable_adapter_name].orth_reg_weight
        return {"outer": weight * total / count}

    return regularization


def race(
    methods: list[str], shape: tuple[int, int], steps: int, device: str = "cpu"
) -> dict[str, Contestant]:
    total = steps + WARM
    field_ = {method: contestant(method, shape, total, device) for method in methods}
    for step in range(total):
        for each in field_.values():
            each.step(step)
    return field_


def peak_mb(method: str, steps: int) -> float:
    """Peak resident memory of a process of its own that takes a few large steps, in MiB."""
    command = [sys.executable, "-m", "benchmarks.method", "--peak", method, "--steps", str(steps)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(json.loads(said.strip().splitlines()[-1]))


def measure(steps: int) -> list[tuple[str, str, str]]:
    """Measure every ratio; returns rows of (what, measured, wanted)."""
    torch.set_num_threads(2)
    large = race(["lora", "lora2", RECOMMENDED, DENSE], LARGE, steps)
    small = race(["lora", "lora2", *STARTS.values(), "adalora", PEFTS], SMALL, 4 * steps)
    memory = {method: median(peak_mb(method, 8) for _ in range(3)) for method in ("lora", "lora2")}
    steps_of = {
        "large": {name: _ms(each.seconds) for name, each in large.items()},
        "small": {name: _ms(each.seconds) for name, each in small.items()},
        # The last step is after the last mask.
        "allocation": {name: _ms(each.allocating[:-1]) for name, each in small.items()},
        "memory": memory,
    }
    return [
        (what, _ratio(steps_of[kind], one, other, unit), wanted)
        for what, kind, one, other, unit, wanted in (
            (
                "Whole LoRA² step / PEFT LoRA step, 32 x 64",
                "large",
                "lora2",
                "lora",
                "ms",
                "<= 1.03",
            ),
            ("the same, `preset: recommended`", "large", RECOMMENDED, "lora", "ms", "<= 1.03"),
            (
                "Whole LoRA² step / PEFT LoRA step, 4 x 16",
                "small",
                "lora2",
                "lora",
                "ms",
                "<= 1.20",
            ),
            *(
                (f"the same, `init: {init}`", "small", name, "lora", "ms", "<= 1.20")
                for init, name in STARTS.items()
            ),
            (
                "Whole LoRA² step / PEFT AdaLoRA step, 4 x 16",
                "small",
                "lora2",
                PEFTS,
                "ms",
                "<= 0.85",
            ),
            (
                "the same, AdaLoRA with our batched regulariser",
                "small",
                "lora2",
                "adalora",
                "ms",
                "",
            ),
            (
                "Scoring + budget / AdaLoRA's, 4 x 16",
                "allocation",
                "lora2",
                "adalora",
                "ms",
                "<= 0.10",
            ),
            (
                "Step with dense products, as published / ours, 32 x 64",
                "large",
                DENSE,
                "lora2",
                "ms",
                ">= 1.7",
            ),
            (
                "Peak memory, LoRA² / PEFT LoRA, 32 x 64",
                "memory",
                "lora2",
                "lora",
                "MiB",
                "<= 1.02",
            ),
        )
    ]


def _ms(seconds: list[float]) -> float:
    return median(seconds[WARM:]) * 1000


def _ratio(found: dict[str, float], one: str, other: str, unit: str) -> str:
    return f"{found[one] / found[other]:.3f} ({found[one]:.2f} / {found[other]:.2f} {unit})"


def _print_peak(method: str, steps: int) -> None:
    torch.set_num_threads(2)
    each = contestant(method, LARGE, steps)
    for step in range(steps):
        each.step(step)
    # Not getrusage: its maximum is inherited from the parent that started this process.
    print(json.dumps(peak_memory_mb("cpu")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        _print_peak(arguments.peak, arguments.steps)
    else:
        for what, measured, wanted in measure(arguments.steps):
            print(f"{what:56} {measured:36} wanted {wanted}")
