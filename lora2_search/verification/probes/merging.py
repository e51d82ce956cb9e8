"""Whether a merged model answers as the adapter does."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from ...adapter import compress, count_parameters, prune
from ...training import Prepared
from .watch import Watch

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


class MergeProbe:
    """Merges copies of the trained model, in its own precision and in float64."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def step(self, step: int) -> None:
        """Nothing to see before the end."""

    def result(self) -> dict[str, Any]:
        """Return relative differences of logits, and what a safe merge says to a NaN."""
        model, prepared = self._watch.model, self._watch.prepared
        found: dict[str, Any] = {}
        for name, copied in _precisions(model):
            before = logits(copied, prepared)
            found["sentences"] = len(before)
            copied.merge_adapter(safe_merge=True)
            found[f"merged_{name}"] = relative(before, logits(copied, prepared))
            copied.unmerge_adapter()
            found[f"unmerged_{name}"] = relative(before, logits(copied, prepared))
        found["refused"], found["untouched"] = _safe_merge_of_nan(copy.deepcopy(model))
        return found


class CompressProbe:
    """Prunes and compresses copies of the trained model."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def step(self, step: int) -> None:
        """Nothing to see before the end."""

    def result(self) -> dict[str, Any]:
        """Return relative differences of logits, and three counts of parameters."""
        model, prepared = self._watch.model, self._watch.prepared
        counts = count_parameters(model)
        found: dict[str, Any] = {
            name: counts[f"{name}_adapter"] for name in ("trained", "kept", "compressed")
        }
        for name, copied in _precisions(model):
            before = logits(copied, prepared)
            small = compress(copied)
            found[f"compressed_{name}"] = relative(before, logits(small, prepared))
            prune(copied)
            found[f"pruned_{name}"] = relative(before, logits(copied, prepared))
        found["plain_lora"] = sum(
            p.numel() for key, p in small.named_parameters() if ".lora_" in key
        )
        return found


def _precisions(model: nn.Module) -> list[tuple[str, Any]]:
    """Return copies with weights of their own: a merge must not reach the other runs' base."""
    return [("own", copy.deepcopy(model)), ("float64", copy.deepcopy(model).double())]


def _safe_merge_of_nan(model: Any) -> tuple[bool, bool]:
    """Merge one NaN safely: whether it was refused, and whether its matrix was left as it was."""
    name, broken = next((n, p) for n, p in model.named_parameters() if "lora2_lambda" in n)
    broken.data[0] = float("nan")
    layer = model.get_submodule(name.partition(".lora2_lambda")[0])
    before = layer.get_base_layer().weight.detach().clone()
    try:
        layer.merge(safe_merge=True)
    except ValueError:
        return True, torch.equal(before, layer.get_base_layer().weight)
    return False, False
