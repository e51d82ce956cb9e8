"""Train on as many processes as `accelerate launch` starts, each with its part of every batch.

    accelerate launch --multi_gpu --num_processes 2 -m tests.support.on_processes FOLDER

Every process leaves its masks (λ ≠ 0 after each step) and its last weights in FOLDER.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import save_file

from tests.support.adapters import adapted_bert, factors_of, labels, optimizer_of, tokens

STEPS, BATCH, LARGEST = 16, 8, 0.5


def train(accelerator: Accelerator, score_loss: str) -> dict[str, torch.Tensor]:
    bare = adapted_bert(
        k=4, r=5, target_rank=2, t_init=2, t_final=4, delta_t=1, score_loss=score_loss
    ).double()
    bare.base_model.set_total_steps(STEPS)
    model, optimizer = accelerator.prepare(bare, optimizer_of(bare))
    mine = slice(accelerator.process_index, None, accelerator.num_processes)
    masks = []
    for step in range(1, STEPS + 1):
        loss = model(tokens(BATCH, seed=step)[mine], labels=labels(BATCH)[mine]).loss
        accelerator.backward(loss + sum(bare.base_model.regularization().values()))
        norm = accelerator.clip_grad_norm_(model.parameters(), LARGEST)
        optimizer.step()
        bare.base_model.update_and_allocate(step, (LARGEST / (norm + 1e-6)).clamp(max=1.0))
        optimizer.zero_grad()
        masks.append(torch.cat([factors.values.detach() != 0 for factors in factors_of(bare)]))
    trained = {name: p.detach() for name, p in bare.named_parameters() if p.requires_grad}
    return {"masks": torch.stack(masks), **trained}


def main(folder: Path) -> None:
    accelerator = Accelerator(cpu=True)
    for score_loss in ("total", "task"):
        name = f"{score_loss}-{accelerator.num_processes}-{accelerator.process_index}.safetensors"
        save_file(train(accelerator, score_loss), folder / name)
    accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
