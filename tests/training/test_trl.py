"""TRL's SFTTrainer with our callback learns the same tokens, and ends where our own loop ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch.utils.data import SequentialSampler

from lora2_search.training.data.load import load_data
from lora2_search.training.export.callback import Lora2Callback
from lora2_search.training.loop.prepare import Prepared, prepare
from lora2_search.training.loop.trainer import optimizer_for, schedule_for
from lora2_search.training.models.load import load_tokenizer
from tests.support.language import settings

trl = pytest.importorskip("trl")

BATCH, STEPS = 8, 6


def ready(model: Path, data: Path) -> Prepared:
    training = {"steps": STEPS, "batch_size": BATCH, "evaluations": 1, "lr": 1e-2}
    more = {"data__train_size": BATCH * STEPS, "adapter__gamma": 0.3, "adapter__init": "lora"}
    return prepare(settings(model, data, training=training, **more))


def sft_trainer(prepared: Prepared, tokenizer: Any, rows: list[dict[str, str]], out: Path) -> Any:
    class InOrder(trl.SFTTrainer):  # type: ignore[misc, name-defined]
        def _get_train_sampler(self, *_: Any) -> SequentialSampler:
            return SequentialSampler(self.train_dataset)

    ours = prepared.trainer
    optimizer = optimizer_for(ours.progress.model, ours.training, [])
    arguments = trl.SFTConfig(
        str(out),
        max_steps=STEPS,
        per_device_train_batch_size=BATCH,
        max_length=40,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    return InOrder(
        ours.progress.model,
        arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        optimizers=(optimizer, schedule_for(optimizer, ours.training, STEPS)),
        callbacks=[Lora2Callback()],
    )


def test_an_sft_trainer_sees_the_masks_of_our_loop_and_ends_with_its_weights(
    tiny_llama: Path, completions: Path, tmp_path: Path
) -> None:
    ours, theirs = ready(tiny_llama, completions), ready(tiny_llama, completions)
    config = settings(tiny_llama, completions, data__train_size=BATCH * STEPS)
    batches = [rows for (rows,), _ in zip(ours.trainer._steps(0), range(STEPS), strict=False)]
    prompts, answers = load_data(config).splits["train"].texts
    rows = [{"prompt": prompts[i], "completion": answers[i]} for batch in batches for i in batch]
    trainer = sft_trainer(theirs, load_tokenizer(config.model), rows, tmp_path)
    seen = list(trainer.get_train_dataloader())
    assert len(seen) == STEPS
    for batch, chosen in zip(seen, batches, strict=True):
        own = ours.trainer.kind.collate(ours.encoded["train"], chosen)
        assert torch.equal(batch["input_ids"], own.inputs["input_ids"])
        assert torch.equal(batch["labels"], own.targets)
    trainer.train()
    list(ours.trainer.advance(0, STEPS))
    one, other = ours.trainer.progress, theirs.trainer.progress
    kept = one.adaptive.allocator_state()["mask"]
    assert torch.equal(kept, other.adaptive.allocator_state()["mask"])
    assert 0 < kept.sum() < len(kept)
    expected = dict(one.model.named_parameters())
    for name, weight in other.model.named_parameters():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-5, msg=name)
