"""What language models cost: five ratios, each within one run, on SmolLM2-135M.

`python -m benchmarks.llm` prints a table, in less than eight minutes on two quiet cores; `--only`
names one ratio. TRL is measured where it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch

from lora2_search.config.run import RunConfig, with_settings
from lora2_search.training.data.prompts import IGNORED
from lora2_search.training.data.tokens import Encoded
from lora2_search.training.kinds.generation import ends_of, generate
from lora2_search.training.loop.environment import peak_memory_mb, reset_peak_memory
from lora2_search.training.loop.prepare import Prepared, prepare
from lora2_search.training.models.load import load_base, load_tokenizer

Row = tuple[str, str, str]

WARM = 1
PROMPTS, NEW = 256, 16
BATCH = RunConfig(task="reviews").training.eval_batch_size


def config(**change: Any) -> RunConfig:
    small = {"data.train_size": 8, "data.validation_size": 2, "data.test_size": 2}
    fixed = {"model.name_or_path": "smollm2", "training.steps": 100, "training.device": "cpu"}
    return with_settings(RunConfig(task="reviews"), small | fixed | change)


def with_rows(prepared: Prepared, rows: int, tokens: int) -> Prepared:
    """Put random examples of one length into a run; the second half of each is learnt."""
    ids = np.random.default_rng(0).integers(1000, 40000, (rows, tokens)).tolist()
    half = tokens // 2
    targets = [[IGNORED] * half + row[half:] for row in ids]
    features = {"input_ids": ids, "targets": targets, "prompt": ids}
    lengths = np.full(rows, tokens)
    prepared.trainer.train = Encoded(features, np.ones(rows), lengths, ())
    return prepared


def seconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def steps_ratio(steps: int) -> Row:
    """Time whole steps of LoRA² and of PEFT's LoRA, 4 x 128, in turn."""
    size = {"training.batch_size": 4, "adapter.target_rank": 4}
    due = {"adapter.t_init": 1, "adapter.t_final": 1}
    runs = {
        method: with_rows(prepare(config(method=method, **size, **due)), 4, 128).trainer
        for method in ("lora2", "lora")
    }
    taken: dict[str, list[float]] = {method: [] for method in runs}
    for step in range(WARM + steps):
        for method, trainer in runs.items():
            taken[method].append(seconds(lambda: list(trainer.advance(step, step + 1))))  # noqa: B023
    lora2, lora = (median(taken[method][WARM:]) for method in ("lora2", "lora"))
    what = "Whole LoRA² step / PEFT LoRA step, SmolLM2, 4 x 128"
    return what, f"{lora2 / lora:.3f} ({lora2:.2f} / {lora:.2f} s)", "<= 1.05"


def loop_ratio(steps: int) -> Row:
    """Time our loop and TRL's on the same model, LoRA and batches, 4 x 128."""
    what = "Our loop / TRL SFTTrainer, tokens per second"
    try:
        import trl
        from datasets import Dataset
        from transformers import TrainerCallback
    except ImportError:
        return what, "TRL is not installed", ""
    ours = with_rows(prepare(config(method="lora", **{"training.batch_size": 4})), 4, 128).trainer
    theirs = with_rows(prepare(config(method="lora", **{"training.batch_size": 4})), 4, 128).trainer
    taken: dict[str, list[float]] = {"ours": [], "theirs": []}

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            step = state.global_step
            taken["ours"].append(seconds(lambda: list(ours.advance(step, step + 1))))
            self.start = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            taken["theirs"].append(time.perf_counter() - self.start)

    features = theirs.train.features
    rows = {"input_ids": features["input_ids"], "labels": features["targets"]}
    with tempfile.TemporaryDirectory() as folder:
        arguments = trl.SFTConfig(
            folder,
            max_steps=WARM + steps,
            per_device_train_batch_size=4,
            learning_rate=1e-3,
            max_length=128,
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataset_kwargs={"skip_prepare_dataset": True},
        )
        trl.SFTTrainer(
            theirs.progress.model,
            arguments,
            train_dataset=Dataset.from_dict(rows),
            processing_class=load_tokenizer(config().model),
            callbacks=[Clock()],
        ).train()
    own, trl_s = (median(taken[name][WARM:]) for name in ("ours", "theirs"))
    return what, f"{trl_s / own:.3f} ({512 / own:.0f} / {512 / trl_s:.0f})", ">= 1.0"


def generation_ratio(prompts: int) -> Row:
    """Time our sorted decoding and a plain `generate` on batches as they come."""
    asked = with_settings(
        config(method="no-training"), {"task": "asdiv", "data.test_size": prompts}
    )
    prepared = prepare(asked)
    model: Any = prepared.trainer.progress.model.eval()
    tokenizer = load_tokenizer(asked.model)
    tokens = prepared.encoded["test"].features["prompt"]
    ends = ends_of(model, tokenizer)

    def ours() -> list[list[int]]:
        pad = tokenizer.pad_token_id
        return generate(model, tokens, pad=pad, ends=ends, most=NEW, batch_size=BATCH)

    def plain() -> list[list[int]]:
        found: list[list[int]] = []
        for at in range(0, len(tokens), BATCH):
            batch = tokenizer.pad(
                {"input_ids": tokens[at : at + BATCH]}, padding_side="left", return_tensors="pt"
            )
            said = model.generate(**batch, do_sample=False, max_new_tokens=NEW)
            found += said[:, batch["input_ids"].shape[1] :].tolist()
        return found

    kept: list[Any] = []
    own = seconds(lambda: kept.append(ours()))
    theirs = seconds(lambda: kept.append(plain()))
    same = sum(answer == said[: len(answer)] for answer, said in zip(*kept, strict=True))
    what = f"Plain `generate` on unsorted batches / our evaluation by generation, {prompts} prompts"
    value = f"{theirs / own:.3f} ({theirs:.1f} / {own:.1f} s; {same} of {prompts} answers the same)"
    return what, value, ">= 1.5"


def step_peak_mb(again: bool) -> float:
    """Take a step of 4 x 256 and return the peak of this process while it does, in MiB."""
    change = {"training.batch_size": 4, "training.gradient_checkpointing": again}
    trainer = with_rows(prepare(config(method="lora2", **change)), 4, 256).trainer
    reset_peak_memory()
    list(trainer.advance(0, 1))
    return peak_memory_mb("cpu")


def memory_ratio() -> Row:
    """Compare two processes, one with gradient checkpointing.

    Freed memory goes back at once there: else the C library keeps about as much as is in use, and
    the peak says how it was cut up.
    """
    at_once = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(1 << 17)}

    def peak(again: bool) -> float:
        command = [sys.executable, "-m", "benchmarks.llm", "--peak", "again" if again else "kept"]
        said = subprocess.run(command, check=True, capture_output=True, text=True, env=at_once)
        return float(json.loads(said.stdout.strip().splitlines()[-1]))

    again, kept = peak(True), peak(False)
    what = "Peak memory with gradient checkpointing / without, 4 x 256"
    return what, f"{again / kept:.3f} ({again:.0f} / {kept:.0f} MiB)", "<= 0.6"


def loaded_bytes(**change: Any) -> int:
    """Return the bytes of a model's weights, each once, with what dequantises them."""
    model = load_base(config(**change).model, None).model
    total = 0
    for weight in model.parameters():
        total += weight.numel() * weight.element_size()
        state = getattr(weight, "quant_state", None)
        for part in (state, getattr(state, "state2", None)):
            if part is not None:
                total += part.absmax.numel() * part.absmax.element_size()
    return total


def bytes_ratio() -> Row:
    """Compare the weights of the model in 4 bits with those in bfloat16."""
    bf16 = loaded_bytes(**{"model.dtype": "bfloat16"})
    nf4 = loaded_bytes(**{"model.dtype": "bfloat16", "model.quantization": "nf4"})
    what = "Bytes of loaded parameters, nf4 / bf16"
    return what, f"{nf4 / bf16:.3f} ({nf4 / 1e6:.1f} / {bf16 / 1e6:.1f} MB)", "<= 0.45"


def measure(only: str | None, steps: int, prompts: int) -> list[Row]:
    ratios: dict[str, Callable[[], Row]] = {
        "bytes": bytes_ratio,
        "memory": memory_ratio,
        "steps": lambda: steps_ratio(steps),
        "loop": lambda: loop_ratio(steps),
        "generation": lambda: generation_ratio(prompts),
    }
    rows = []
    for name, ratio in ratios.items():
        if only in (None, name):
            rows.append(ratio())
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("bytes", "memory", "steps", "loop", "generation"))
    parser.add_argument("--steps", type=int, default=6, help="timed steps of each")
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--peak", choices=("again", "kept"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(2)
    if given.peak:
        print(json.dumps(step_peak_mb(given.peak == "again")))
        sys.exit()
    from benchmarks.__main__ import target  # not above: what it imports counts as memory

    load = f"{os.getloadavg()[0]:.2f}"
    table = [*measure(given.only, given.steps, given.prompts), ("Load at the start", load, "")]
    print("| what | measured | target |\n| --- | --- | --- |")
    for name, value, wanted in table:
        print(f"| {name} | {value} | {target(value, wanted)} |")
