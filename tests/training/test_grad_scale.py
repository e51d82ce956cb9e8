"""The loop tells the method what clipping made of the gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lora2_search.config.schema import TrainingConfig
from lora2_search.training.data.tokens import Encoded
from lora2_search.training.kinds.labelled import Labelled
from lora2_search.training.loop.checkpoint import Progress
from lora2_search.training.loop.plan import plan
from lora2_search.training.loop.trainer import Trainer, optimizer_for, schedule_for
from lora2_search.training.models.accelerator import new_accelerator
from lora2_search.training.models.methods import Fixed


class Logits(torch.nn.Linear):
    def forward(self, input_ids: Tensor) -> Any:
        return type("Output", (), {"logits": super().forward(input_ids)})


def pad(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    return {"input_ids": torch.tensor([row["input_ids"] for row in rows]).float()}


class Watching(Fixed):
    """Notes the scale, and the norm of the gradients as a scoring finds them."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model, self.scales, self.norms = model, [], []

    def update_and_allocate(self, step: int, grad_scale: float | Tensor = 1.0) -> None:
        self.scales.append(float(grad_scale))
        norms = [p.grad.norm() for p in self.model.parameters()]
        self.norms.append(float(torch.stack(norms).norm()))


@pytest.mark.parametrize("largest", [1e-3, 1e6, None])
def test_scored_gradients_are_the_raw_ones_times_the_scale_that_is_handed_over(
    largest: float | None,
) -> None:
    torch.manual_seed(0)
    training = TrainingConfig(steps=3, batch_size=2, device="cpu", max_grad_norm=largest)
    accelerator, model = new_accelerator(training), Logits(2, 2)
    watching = Watching(model)
    optimizer = accelerator.prepare(optimizer_for(model, training, []))
    trainer = Trainer(
        accelerator=accelerator,
        progress=Progress(model, watching, optimizer, schedule_for(optimizer, training, 3)),
        train=Encoded({"input_ids": [[1, 2], [3, 4]]}, np.zeros(2), np.full(2, 2)),
        kind=Labelled("classification", pad),
        training=training,
        seed=0,
        plan=plan(training, 2),
    )
    points = [p for step in range(3) for p in trainer.advance(step, step + 1)]
    raw = [point.metrics["train/grad_norm"] for point in points]
    expected = [norm * scale for norm, scale in zip(raw, watching.scales, strict=True)]
    np.testing.assert_allclose(watching.norms, expected, rtol=1e-5)
    clipped = [scale < 1 for scale in watching.scales]
    assert clipped == [largest == 1e-3] * 3
