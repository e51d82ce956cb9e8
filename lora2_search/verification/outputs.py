"""A model's logits on a few validation sentences, and how far two models' logits are apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..training.preparation import Prepared

_SENTENCES = 32


@torch.no_grad()
def logits(model: nn.Module, prepared: Prepared) -> Tensor:
    """Return the logits of the first validation sentences, dropout off, ``[n, classes]``."""
    split = prepared.encoded["validation"]
    trainer = prepared.trainer
    rows = split.rows(list(range(min(_SENTENCES, len(split)))))
    device = trainer.accelerator.device
    inputs: dict[str, Any] = {n: v.to(device) for n, v in trainer.collate(rows).items()}
    training = model.training
    model.eval()
    found: Tensor = model(**inputs).logits.cpu()
    model.train(training)
    return found


def relative(one: Tensor, other: Tensor) -> float:
    """Return the largest difference, relative to the largest logit of ``one``."""
    scale = float(one.double().abs().max()) or 1.0
    return float((one.double() - other.double()).abs().max()) / scale
