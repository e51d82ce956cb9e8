"""Whole LoRA² training step against PEFT's LoRA at the same rank, step by step in turn.

A step is forward, regularisers, backward, clipping, optimiser, scoring and budget, through the
project's own loop. MiniLM, batch 32 x 64 tokens, 2 threads.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import Any

import numpy as np
import torch

from lora2_search.config import RunConfig, with_settings
from lora2_search.training.preparation import prepare
from lora2_search.training.tokens import Encoded

BATCH, TOKENS = 32, 64


def trainer(method: str, steps: int) -> Any:
    config = with_settings(
        RunConfig(task="sentiment"),
        {
            "method": method,
            "data.train_size": BATCH,
            "data.validation_size": 2,
            "data.test_size": 2,
            "adapter.target_rank": 4,
            "adapter.t_init": 0.1,
            "adapter.t_final": 0.1,
            "training.steps": steps,
            "training.batch_size": BATCH,
            "training.device": "cpu",
        },
    )
    made = prepare(config).trainer
    ids = np.random.default_rng(0).integers(1000, 20000, (BATCH, TOKENS)).tolist()
    ones = [[1] * TOKENS] * BATCH
    labels = np.arange(BATCH, dtype=np.float64) % 2
    features = {"input_ids": ids, "attention_mask": ones}
    made.train = Encoded(features, labels, np.full(BATCH, TOKENS))
    return made


def measure(steps: int) -> dict[str, float]:
    torch.set_num_threads(2)
    total = steps + 5
    trainers = {name: trainer(name, total) for name in ("lora", "lora2")}
    seconds: dict[str, list[float]] = {name: [] for name in trainers}
    for step in range(total):
        for name, made in trainers.items():
            start = time.perf_counter()
            list(made.advance(step, step + 1))
            seconds[name].append(time.perf_counter() - start)
    return {name: median(values[5:]) for name, values in seconds.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    found = measure(parser.parse_args().steps)
    print(f"LoRA  step  {found['lora'] * 1000:7.1f} ms")
    print(f"LoRA² step  {found['lora2'] * 1000:7.1f} ms")
    print(f"ratio       {found['lora2'] / found['lora']:7.3f}   (must reach <= 1.05)")
