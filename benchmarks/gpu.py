"""What a GPU shows that a CPU cannot: ``benchmarks/gpu.sh``, under eight minutes.

Step ratios against PEFT's LoRA, bf16 and fp16 with its scaler, a run killed and resumed, two trials
on one device, and a 4-bit base. Without a GPU (``--dry-run``) every check runs on the CPU at a size
that only shows that it can run; its numbers mean nothing, and fp16, which needs a GPU, is left out.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch

from .method import LARGE, SMALL, WARM, race

Row = dict[str, Any]

RUN = {"task": "sentiment", "preset": "recommended"}


def data(dry: bool) -> Row:
    """Return how many sentences a run reads; bf16 is slow on a CPU, so a dry run reads few."""
    train, held_out = (64, 40) if dry else (2000, 200)
    sizes = {"train_size": train, "validation_size": held_out, "test_size": held_out}
    return {**sizes, "max_length": 32}


def device_name() -> str:
    """Return what the numbers were measured on."""
    if not torch.cuda.is_available():
        return "CPU (dry run)"
    return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"


def step_ratios(dry: bool) -> Iterator[Row]:
    """Yield the median step of LoRA² over that of PEFT's LoRA, in one interleaved race."""
    device = "cpu" if dry else "auto"
    for shape in (SMALL,) if dry else (LARGE, SMALL):
        field = race(["lora", "lora2", "dense"], shape, 3 if dry else 60, device)
        ms = {name: median(each.seconds[WARM:]) * 1000 for name, each in field.items()}
        where = f"{shape[0]} x {shape[1]}"
        yield {"what": f"whole LoRA² step / PEFT LoRA step, {where}", **_ratio(ms, "lora2", "lora")}
        yield {"what": f"dense products / ours, {where}", **_ratio(ms, "dense", "lora2")}


def precisions(dry: bool, folder: Path) -> Iterator[Row]:
    """Yield score and seconds of one short run in each precision."""
    for precision in ("bf16",) if dry else ("no", "bf16", "fp16"):
        record = train(folder / precision, dry, {"training.mixed_precision": precision})
        yield {
            "what": f"one run, mixed_precision {precision}",
            "validation": record["scores"]["validation/accuracy"],
            "seconds": record["timings"]["train"],
            "peak_memory_mb": record["peak_memory_mb"],
            "flags": record["flags"],
        }


def killed(dry: bool, folder: Path) -> Iterator[Row]:
    """Yield how far a run that is killed with -9 and resumed ends from one that is not."""
    often = {"training.evaluations": 4}
    whole = train(folder / "whole", dry, often)
    process = subprocess.Popen(command(folder / "killed", dry, often))
    while process.poll() is None and not list((folder / "killed").rglob("checkpoint/*")):
        time.sleep(0.05)
    finished = process.poll() is not None
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = train(folder / "killed", dry, often)
    ends = list(zip(_losses(again), _losses(whole), strict=True))
    yield {
        "what": "kill -9 and resume against uninterrupted",
        "killed before its end": not finished,
        "equal scores": again["scores"] == whole["scores"],
        "largest difference of a loss": max(abs(a - b) for a, b in ends),
    }


def shared(dry: bool, folder: Path) -> Iterator[Row]:
    """Yield whether trials of half a GPU train side by side."""
    space = folder / "half.yaml"
    plan: Row = {**RUN, "name": "half", "trials": 3 if dry else 4, "references": None}
    plan |= {"scheduler": {"name": "none"}, "training": {"steps": 10 if dry else 120}}
    plan["search"] = {"training.lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}}
    plan["data"] = data(dry)
    plan["resources"] = {"gpus_per_trial": 0 if dry else 0.5, "concurrent": 2}
    space.write_text(json.dumps(plan), encoding="utf-8")
    arguments = ["tune", "--space", str(space), "--storage", str(folder)]
    subprocess.run([sys.executable, "-m", "lora2_search", *arguments], check=True)
    records = [_record(trial) for trial in folder.glob("studies/half/trials/*")]
    yield {
        "what": "tune, two trials on one device",
        "completed": sum(record["status"] == "completed" for record in records),
        "at once": _most_at_once(records),
    }


def quantised(dry: bool) -> Iterator[Row]:
    """Yield the loss before and after a few steps of LoRA² over a 4-bit base."""
    from peft import get_peft_model, prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig

    from lora2_search.adapter import Lora2Config

    torch.manual_seed(0)
    wide = 64 if dry else 1024
    sizes = {"hidden_size": wide, "intermediate_size": 2 * wide, "num_hidden_layers": 2}
    config = LlamaConfig(vocab_size=512, num_attention_heads=4, **sizes)
    nf4 = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True
    )
    with tempfile.TemporaryDirectory() as folder:
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=nf4)
    model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    model = get_peft_model(model, Lora2Config(k=8, r=8, init="lora", task_type="CAUSAL_LM"))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    tokens = torch.randint(0, config.vocab_size, (4, 16 if dry else 256), device=model.device)
    losses = []
    for _ in range(3 if dry else 30):
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    yield {"what": "nf4, steps on one batch", "first loss": losses[0], "last loss": losses[-1]}


def command(folder: Path, dry: bool, settings: Row) -> list[str]:
    """Return the command that trains one run into a folder of its own, or resumes it."""
    sizes: Row = {f"data.{key}": value for key, value in data(dry).items()}
    sizes |= {"training.steps": 12 if dry else 120, "training.device": "cpu" if dry else "auto"}
    plan = json.dumps({**sizes, **settings})
    return [sys.executable, "-m", "benchmarks.gpu", "--run", str(folder), plan]


def run_one(folder: Path, settings: Row) -> None:
    """Train one run in this process."""
    from lora2_search.config import RunConfig, Source, validate, with_settings
    from lora2_search.training import run

    base = validate(Source(dict(RUN)), RunConfig)
    run(with_settings(base, settings), folder)


def train(folder: Path, dry: bool, settings: Row) -> Row:
    """Run ``command`` to its end and return the record."""
    subprocess.run(command(folder, dry, settings), check=True)
    return _record(folder)


def _record(folder: Path) -> Row:
    record: Row = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    return record


def _ratio(ms: dict[str, float], one: str, other: str) -> Row:
    return {"ratio": round(ms[one] / ms[other], 3), "ms": [round(ms[n], 2) for n in (one, other)]}


def _losses(record: Row) -> list[float]:
    points = (point["metrics"] for point in record["history"])
    return [metrics["train/loss"] for metrics in points if "train/loss" in metrics]


def _most_at_once(records: list[Row]) -> int:
    """Return the largest number of runs between whose start and end one moment lies."""
    spans = [
        (record["started_ms"], record["started_ms"] + 1000 * record["timings"]["total"])
        for record in records
    ]
    return max((sum(a <= start < b for a, b in spans) for start, _ in spans), default=0)


def main(dry: bool) -> list[Row]:
    """Run every check; one that fails says why and does not keep the others from running."""
    rows: list[Row] = [{"what": "device", "name": device_name()}]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checks: list[Callable[[], Iterator[Row]]] = [
            lambda: step_ratios(dry),
            lambda: precisions(dry, folder / "precisions"),
            lambda: killed(dry, folder / "killed"),
            lambda: quantised(dry),
            lambda: shared(dry, folder),
        ]
        for check in checks:
            start = time.perf_counter()
            try:
                found = list(check())
            except Exception as error:
                found = [{"what": "failed", "error": f"{type(error).__name__}: {error}"}]
            found[-1]["check_seconds"] = round(time.perf_counter() - start, 1)
            rows += found
            for row in found:
                print(json.dumps(row, ensure_ascii=False), flush=True)
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="tiny, on the CPU")
    parser.add_argument("--out", type=Path, help="also write the rows here, as JSON lines")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run_one(Path(arguments.run[0]), json.loads(arguments.run[1]))
        sys.exit()
    if not arguments.dry_run and not torch.cuda.is_available():
        sys.exit("no GPU here: --dry-run tries the checks on the CPU")
    found = main(arguments.dry_run)
    if arguments.out:
        lines = [json.dumps(row, ensure_ascii=False) for row in found]
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.exit(any(row["what"] == "failed" for row in found))
