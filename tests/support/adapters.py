"""Small models and a small training loop for the adapter's tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from peft import PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

from lora2_search.adapter.config import Lora2Config
from lora2_search.adapter.factors import Factors
from lora2_search.adapter.layer import Lora2Layer

BERT_TARGETS = ["query", "key", "value", "intermediate.dense", "output.dense"]


def tiny_bert(layers: int = 2) -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertForSequenceClassification(config).eval()


def adapted_bert(layers: int = 2, **settings: Any) -> PeftModel:
    settings.setdefault("modules_to_save", ["pooler", "classifier"])
    return get_peft_model(tiny_bert(layers), Lora2Config(**settings)).eval()


def tokens(batch: int = 4, length: int = 6, seed: int = 1) -> Tensor:
    return torch.randint(0, 60, (batch, length), generator=torch.Generator().manual_seed(seed))


def labels(batch: int = 4) -> Tensor:
    return torch.arange(batch) % 2


def layers_of(model: nn.Module) -> list[Lora2Layer]:
    return [module for module in model.modules() if isinstance(module, Lora2Layer)]


def factors_of(model: nn.Module, adapter: str = "default") -> list[Factors]:
    return [layer.factors(adapter) for layer in layers_of(model)]


@torch.no_grad()
def scramble(model: nn.Module, adapter: str = "default", std: float = 0.3) -> None:
    """Give every factor weights that are far from the start, λ included."""
    generator = torch.Generator().manual_seed(7)
    for factors in factors_of(model, adapter):
        for tensor in (*factors.left, factors.values, *factors.right):
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * std)


def optimizer_of(model: nn.Module, lr: float = 2e-2) -> torch.optim.Optimizer:
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr)


def train(
    model: PeftModel, optimizer: torch.optim.Optimizer, first: int, last: int
) -> Iterator[int]:
    """Steps first … last; yields after `update_and_allocate`, before the gradients go."""
    for step in range(first, last + 1):
        loss = model(tokens(seed=step), labels=labels()).loss
        loss = loss + sum(model.base_model.regularization().values())
        loss.backward()
        optimizer.step()
        model.base_model.update_and_allocate(step)
        yield step
        optimizer.zero_grad()


def run(model: PeftModel, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
    for _ in train(model, optimizer, first, last):
        pass


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def matrices(
    widths: list[int], rank: int, shapes: list[tuple[int, int]], dtype: torch.dtype = torch.float64
) -> list[Factors]:
    """Random trainable factors for matrices of the given [d_out, d_in]."""
    generator = torch.Generator().manual_seed(3)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()

    inner = [*widths, rank]
    return [
        Factors(
            tuple(leaf(a, b) for a, b in zip([d_out, *widths], inner, strict=True)),
            leaf(rank),
            tuple(leaf(b, a) for a, b in zip([d_in, *widths], inner, strict=True)),
        )
        for d_out, d_in in shapes
    ]
