"""The same 16 trials as an expert would write them: a Ray function trainable around the HF Trainer.

`python -m benchmarks.by_hand` times both, each in a process of its own, from its first line after
the imports to the last result, Ray's start included: plain PEFT LoRA on the same sentences, two
trials at a time with one thread each, two evaluations, a checkpoint at each, the test split at the
end. It takes some eight minutes on two quiet cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from lora2_search.training.data.assets import asset

from . import search
from .machine import today_here

_TOLD = "seconds: "


def rows(sentences: int) -> dict[str, list[dict[str, Any]]]:
    """Return the texts and labels of each split of a trial."""
    from lora2_search.training.loop.prepare import load_inputs

    data, _, _ = load_inputs(search.space("texts", sentences).run_config({}))
    return {
        name: [
            {"text": text, "label": int(label)}
            for text, label in zip(split.texts[0], split.labels, strict=True)
        ]
        for name, split in data.splits.items()
    }


def train(settings: dict[str, Any]) -> None:
    """Train one trial; a Ray function trainable."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from ray import tune
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(settings["model"])
    splits = {
        name: Dataset.from_list(examples).map(
            lambda batch: tokenizer(batch["text"], truncation=True, max_length=48), batched=True
        )
        for name, examples in json.loads(Path(settings["data"]).read_text()).items()
    }
    model = get_peft_model(
        AutoModelForSequenceClassification.from_pretrained(settings["model"], num_labels=2),
        LoraConfig(r=8, lora_alpha=16, task_type="SEQ_CLS", target_modules="all-linear"),
    )

    class Tell(TrainerCallback):  # type: ignore[misc]
        def on_evaluate(self, *_: Any, metrics: dict[str, float], **__: Any) -> None:
            if "eval_accuracy" in metrics:
                tune.report({"accuracy": metrics["eval_accuracy"]})

    with tempfile.TemporaryDirectory() as folder:
        steps = -(-len(splits["train"]) // 16)
        arguments = TrainingArguments(
            folder,
            num_train_epochs=1,
            per_device_train_batch_size=16,
            per_device_eval_batch_size=64,
            learning_rate=5e-3,
            weight_decay=settings["weight_decay"],
            eval_strategy="steps",
            eval_steps=-(-steps // 2),
            save_strategy="steps",
            save_steps=-(-steps // 2),
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
        )
        trainer = Trainer(
            model,
            arguments,
            train_dataset=splits["train"],
            eval_dataset=splits["validation"],
            processing_class=tokenizer,
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=lambda told: {
                "accuracy": float((told.predictions.argmax(-1) == told.label_ids).mean())
            },
            callbacks=[Tell()],
        )
        trainer.train()
        trainer.predict(splits["test"])


def by_hand(data: Path) -> float:
    """Return the seconds that the search by hand takes."""
    from ray import tune

    begin = time.perf_counter()
    found = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={
            "weight_decay": tune.uniform(0.0, 0.01),
            "model": str(asset("minilm")),
            "data": str(data),
        },
        tune_config=tune.TuneConfig(
            num_samples=search.TRIALS, max_concurrent_trials=search.WORKERS
        ),
        run_config=tune.RunConfig(storage_path=str(data.parent), verbose=0),
    ).fit()
    assert not found.errors and len(found) == search.TRIALS
    return time.perf_counter() - begin


def ours(sentences: int) -> float:
    """Return the seconds that `tune`'s own search takes."""
    from lora2_search.search.study import run_study

    begin = time.perf_counter()
    chosen = search.space(f"by-hand-{os.getpid()}", sentences, method="lora")
    study = run_study(chosen, reference=False)
    assert all(trial.state == "COMPLETE" for trial in study.trials)
    return time.perf_counter() - begin


def _timed(which: str, sentences: int, data: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.by_hand", "--only", which]
    command += ["--sentences", str(sentences), "--data", str(data)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    # Ray passes on what its processes say, until the end.
    (told,) = [line for line in done.stdout.splitlines() if line.startswith(_TOLD)]
    return float(told.removeprefix(_TOLD))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=320)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--only", choices=["hand", "ours"], help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        seconds = by_hand(given.data) if given.only == "hand" else ours(given.sentences)
        print(f"{_TOLD}{seconds}")
        return
    print(today_here())
    os.environ["OMP_NUM_THREADS"] = "1"
    with search.own_home(), tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.json"
        data.write_text(json.dumps(rows(given.sentences)))
        for _ in range(given.repeats):
            hand, own = (_timed(which, given.sentences, data) for which in ("hand", "ours"))
            print(f"by hand / tune: {hand / own:.2f} ({hand:.1f} / {own:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
