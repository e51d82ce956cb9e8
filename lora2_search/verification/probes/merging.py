"""Whether a merged model answers as the adapter does."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ...adapter import compress, count_parameters, prune
from ...training import Prepared
from ..measurements import CompressResult, Measurements, MergeResult
from .watch import Watch

_SENTENCES = 32


@torch.no_grad()
def logits(model: nn.Module, prepared: Prepared) -> Tensor:
    """Return the logits of the first validation sentences, dropout off, ``[n, classes]``."""
    split = prepared.encoded["validation"]
    trainer = prepared.trainer
    rows = list(range(min(_SENTENCES, len(split))))
    device = trainer.accelerator.device
    inputs = trainer.kind.collate(split, rows).to(device).inputs
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

    def result(self) -> Measurements:
        """Return relative differences of logits, and what a safe merge says to a NaN."""
        model, prepared = self._watch.model, self._watch.prepared
        (merged, unmerged, sentences), (merged64, unmerged64, _) = (
            _merged(copied, prepared) for copied in _precisions(model)
        )
        refused, untouched = _safe_merge_of_nan(copy.deepcopy(model))
        found = MergeResult(
            sentences=sentences,
            merged_own=merged,
            merged_float64=merged64,
            unmerged_own=unmerged,
            unmerged_float64=unmerged64,
            refused=refused,
            untouched=untouched,
        )
        return Measurements(merge=found)


class CompressProbe:
    """Prunes and compresses copies of the trained model."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def step(self, step: int) -> None:
        """Nothing to see before the end."""

    def result(self) -> Measurements:
        """Return relative differences of logits, and four counts of parameters."""
        model, prepared = self._watch.model, self._watch.prepared
        counts = count_parameters(model)
        (compressed, pruned, plain), (compressed64, pruned64, _) = (
            _compressed(copied, prepared) for copied in _precisions(model)
        )
        found = CompressResult(
            trained=counts["trained_adapter"],
            kept=counts["kept_adapter"],
            compressed=counts["compressed_adapter"],
            plain_lora=plain,
            compressed_own=compressed,
            compressed_float64=compressed64,
            pruned_own=pruned,
            pruned_float64=pruned64,
        )
        return Measurements(compress=found)


def _precisions(model: nn.Module) -> Iterator[Any]:
    """Yield copies in the model's own precision and in float64.

    Their weights are their own: a merge must not reach the other runs' base.
    """
    yield copy.deepcopy(model)
    yield copy.deepcopy(model).double()


def _merged(model: Any, prepared: Prepared) -> tuple[float, float, int]:
    """Merge and unmerge: by how much the logits differ after each, and how many were compared."""
    before = logits(model, prepared)
    model.merge_adapter(safe_merge=True)
    merged = relative(before, logits(model, prepared))
    model.unmerge_adapter()
    return merged, relative(before, logits(model, prepared)), len(before)


def _compressed(model: Any, prepared: Prepared) -> tuple[float, float, int]:
    """Compress, then prune: by how much the logits differ after each, and the plain LoRA's size."""
    before = logits(model, prepared)
    small = compress(model)
    compressed = relative(before, logits(small, prepared))
    prune(model)
    size = sum(p.numel() for key, p in small.named_parameters() if ".lora_" in key)
    return compressed, relative(before, logits(model, prepared)), size


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
