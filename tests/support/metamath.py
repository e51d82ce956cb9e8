"""A stand-in for MetaMathQA and GSM8K, laid out as on the Hub, and a model that can read it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from tests.conftest import BAD, FILLER, GOOD
from tests.support.language import save_llama

WORDS = ["Question", "Think", "step", "by", ".", "Answer", ":", "The", "answer", "####", "1", "2"]

# How a suite of the real model becomes one of the stand-in.
SMALL = [
    "data.train_size=64",
    "data.validation_size=10",
    "data.max_length=32",
    "language.max_new_tokens=5",
    "training.steps=60",
    "training.evaluations=2",
    "training.lr=1e-2",
    "model.dtype=float32",
    "adapter.k=4",
    "adapter.r=4",
    "adapter.target_rank=2",
    "adapter.target_modules=all-linear",
    "arms.rslora.adapter.r=8",
    "arms.lora-mlp.adapter.r=2",
    "arms.lora-mlp.adapter.target_rank=2",
]


def questions(count: int, seed: int) -> list[tuple[str, int]]:
    """Return questions with their answers: 1 where a good word stands in it, 2 where a bad one."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        answer = int(rng.integers(1, 3))
        word = rng.choice(GOOD if answer == 1 else BAD)
        found.append((f"{rng.choice(FILLER)} {word} {rng.choice(FILLER)}", answer))
    return found


def write_stand_in(folder: Path) -> Path:
    """Write both data sets with the columns that they have on the Hub, and return the folder."""
    (folder / "MetaMathQA").mkdir(parents=True)
    rows = [
        {
            "type": "GSM_Rephrased",
            "query": text,
            "original_question": text,
            "response": f" The answer is {answer}",
        }
        for text, answer in questions(120, 0)
    ]
    (folder / "MetaMathQA" / "MetaMathQA-395K.json").write_text(json.dumps(rows))
    (folder / "gsm8k" / "main").mkdir(parents=True)
    for seed, (split, count) in enumerate({"train": 40, "test": 30}.items(), 1):
        table = [
            {"question": text, "answer": f"so it is #### {answer}"}
            for text, answer in questions(count, seed)
        ]
        name = f"{split}-00000-of-00001.parquet"
        pd.DataFrame(table).to_parquet(folder / "gsm8k" / "main" / name)
    return folder


def write_model(folder: Path) -> Path:
    """Write a tiny Llama that knows the words of the stand-in, and return its folder."""
    save_llama(folder, [*WORDS, *GOOD, *BAD, *FILLER])
    return folder


def small_suite(data: Path, model: Path) -> list[str]:
    """Return the overrides that run the suite on the stand-in, with two seeds."""
    return [*SMALL, f"data.path={data}", f"model.name_or_path={model}", "seeds=2"]
