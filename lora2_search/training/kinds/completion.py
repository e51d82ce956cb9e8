"""A causal language model learns completions: its batches and its loss."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.prompts import IGNORED, Masking
from ..data.tokens import Encoded
from .kind import Batch

# Logits that an evaluation turns into probabilities at a time, but at least those of one example.
_AT_A_TIME = 1 << 27


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Return -ln p of every target, 0 where nothing is learnt: ``[b, t]`` float32.

    Without gradients some examples are computed at a time: the logits are not copied whole.

    Args:
        logits: ``[b, t, vocabulary]``, each predicting the target of its own place.
        targets: ``[b, t]``, -100 where nothing is learnt.
    """
    if torch.is_grad_enabled():
        return _token_losses(logits, targets)
    count = max(1, _AT_A_TIME // logits[0].numel())
    parts = zip(logits.split(count), targets.split(count), strict=True)
    return torch.cat([_token_losses(*part) for part in parts])


def _token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    flat = F.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return flat.view_as(targets)


def next_tokens(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return logits and their targets, at those places where some example learns.

    Only there is the vocabulary's matrix multiplied: of a prompt nothing is predicted.

    Returns:
        ``[b, p, vocabulary]`` and ``[b, p]``.
    """
    # A place predicts the next one; behind the last, which may be the only one, is none.
    targets = F.pad(batch.targets[:, 1:], (0, 1), value=IGNORED)  # [b, t]
    places = (targets != IGNORED).any(dim=0).nonzero().flatten()  # [p]
    if not len(places):
        places = torch.zeros(1, dtype=torch.int64, device=targets.device)
    keeps = takes(model, "logits_to_keep")
    kept = {"logits_to_keep": places} if keeps else {}
    logits: Tensor = model(**batch.inputs, use_cache=False, **kept).logits
    return (logits if keeps else logits[:, places]), targets[:, places]


def takes(model: nn.Module, argument: str) -> bool:
    """Whether a model's forward has an argument of that name: ``logits_to_keep``, for some."""
    return argument in inspect.signature(transformers_model(model).forward).parameters


def transformers_model(model: Any) -> Any:
    """Return transformers' own model, below PEFT's wrapper."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@dataclass(frozen=True)
class Completion:
    """What a language model learns, however it is judged.

    Attributes:
        tokenizer: Of the model; it has a padding token.
        masking: What became of the examples as tokens.
    """

    tokenizer: Any
    masking: Masking

    def collate(self, split: Encoded, rows: list[int]) -> Batch:
        """Return examples of a split, padded on the right, on the CPU."""
        tokens, targets = (
            [split.features[name][row] for row in rows] for name in ("input_ids", "targets")
        )
        inputs, mask = padded(tokens, self.tokenizer.pad_token_id)
        masked, _ = padded(targets, IGNORED)
        return Batch({"input_ids": inputs, "attention_mask": mask}, masked)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean of -ln p over the tokens that are learnt; 0 where there are none."""
        logits, targets = next_tokens(model, batch)
        count = (targets != IGNORED).sum().clamp(min=1)
        return token_losses(logits, targets).sum() / count

    def weight(self, split: Encoded, rows: list[int]) -> int:
        """Return the number of tokens that are learnt: the loss is their mean."""
        return int(split.learnt(rows).sum())

    def shares(self, split: Encoded, batches: list[list[int]]) -> list[float] | None:
        """Return what each accumulated batch counts for: its tokens, as in one large batch."""
        if len(batches) == 1:
            return None
        counts = [self.weight(split, rows) for rows in batches]
        total = sum(counts)
        return [count * len(batches) / total for count in counts] if total else None


def padded(rows: Sequence[list[int]], value: int, left: bool = False) -> tuple[Tensor, Tensor]:
    """Return rows of one length and their mask, 1 where a row has a value of its own.

    Args:
        rows: Lists of numbers.
        value: What fills the others up.
        left: Whether it comes first.
    """
    width = max(map(len, rows))
    filled = torch.full((len(rows), width), value, dtype=torch.int64)
    mask = torch.zeros((len(rows), width), dtype=torch.int64)
    for index, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        filled[index, place] = torch.tensor(row, dtype=torch.int64)
        mask[index, place] = 1
    return filled, mask
