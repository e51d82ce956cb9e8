"""How many parameters an adapter trains, keeps after pruning and needs when compressed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from peft.tuners.adalora import AdaLoraLayer
from peft.tuners.lora import LoraLayer, LoraModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import ModulesToSaveWrapper
from torch import nn

from ..config import MODULES_TO_SAVE
from .allocation import kept_in_values
from .factors import Factors
from .layer import Lora2Layer
from .model import Lora2Model


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Count a model's trained weights: the active adapter's and, apart, the head's.

    Works on any model with or without PEFT, also on the meta device and when loaded frozen.

    Returns:
        trained_adapter: elements of the active adapter's tensors; of a model of a known type that
            is trained whole, all that is not its head.
        trained_head: `modules_to_save`, and whatever else outside the adapters can train.
        kept_adapter: what is left when zeroed singular values are cut with their column of U and
            row of V; outer planes stay.
        compressed_adapter: what a plain LoRA of width min(kept rank, all k) per matrix holds.
        scored_full: weights that full scoring looks at; 0 for methods without scores.
        scored_reduced: weights that reduced scoring looks at (λ and the innermost plane); 0 for
            methods without scores.

    AdaLoRA counts as what it is, a single plane that is scored whole. Other methods prune nothing:
    kept = compressed = trained. A LoRA whose start rewrote the base weight (PiSSA) needs twice its
    rank on the untouched base: its start has to be subtracted there.
    """
    body, head = _other_sizes(model)
    adapter = body + sum(p.numel() for p in _adapter_parameters(model))
    counts = {
        "trained_adapter": adapter,
        "trained_head": head,
        "kept_adapter": adapter,
        "compressed_adapter": adapter,
        "scored_full": 0,
        "scored_reduced": 0,
    }
    for matrix, kept in (*_lora2_matrices(model), *_adalora_matrices(model)):
        for name, size in count_matrix(matrix, kept).items():
            counts[name] += size
        counts["kept_adapter"] -= _size(matrix)
        counts["compressed_adapter"] -= _size(matrix)
    counts["compressed_adapter"] += sum(p.numel() for p in _rewritten_starts(model))
    return counts


def count_matrix(matrix: Factors, kept: int) -> dict[str, int]:
    """Count the weights of one adapted matrix of which `kept` singular values live."""
    return {
        "kept_adapter": _size(matrix) - (len(matrix.values) - kept) * _size_per_rank(matrix),
        "compressed_adapter": _compressed_size(matrix, kept),
        "scored_full": _size(matrix),
        "scored_reduced": len(matrix.values) * _size_per_rank(matrix),
    }


def _size(matrix: Factors) -> int:
    return sum(factor.numel() for factor in (*matrix.left, matrix.values, *matrix.right))


def _size_per_rank(matrix: Factors) -> int:
    """Elements that go with one singular value: λᵢ, a column of u_P and a row of v_P."""
    return 1 + matrix.left[-1].shape[0] + matrix.right[-1].shape[1]


def _compressed_size(matrix: Factors, kept: int) -> int:
    width = min(kept, *(v.shape[0] for v in matrix.right))
    return width * (matrix.left[0].shape[0] + matrix.right[0].shape[1])


def _lora2_matrices(model: nn.Module) -> Iterator[tuple[Factors, int]]:
    """Factors and kept rank of every matrix that the active adapter adapts."""
    matrices = [
        (name, module.factors(adapter_name))
        for name, module in model.named_modules()
        if isinstance(module, Lora2Layer)
        for adapter_name in module.active_adapters
        if adapter_name in module.lora2_lambda
    ]
    tuner = next((m for m in model.modules() if isinstance(m, Lora2Model)), None)
    if tuner is None:  # transformers puts the layers in without PEFT's wrapper
        kept = kept_in_values([matrix.values for _, matrix in matrices])
    else:
        kept = list(tuner.rank_pattern().values())
    yield from zip([matrix for _, matrix in matrices], kept, strict=True)


def _adalora_matrices(model: nn.Module) -> Iterator[tuple[Factors, int]]:
    """The same of PEFT's AdaLoRA: its B, E and A are u, λ and v of a single plane."""
    matrices = [
        Factors((layer.lora_B[name],), layer.lora_E[name].view(-1), (layer.lora_A[name],))
        for layer in model.modules()
        if isinstance(layer, AdaLoraLayer)
        for name in layer.active_adapters
        if name in layer.lora_E
    ]
    yield from zip(matrices, kept_in_values([m.values for m in matrices]), strict=True)


# Starts of PEFT's LoRA after which the base weight is no longer the pretrained one.
_REWRITING = ("pissa", "olora", "corda", "lora_ga")


def _rewritten_starts(model: nn.Module) -> Iterator[nn.Parameter]:
    """Factors that a LoRA on the untouched base would need beside those that are trained."""
    for tuner in model.modules():
        if isinstance(tuner, LoraModel):
            for name in tuner.active_adapters:
                if str(tuner.peft_config[name].init_lora_weights).startswith(_REWRITING):
                    for layer in tuner.modules():
                        if isinstance(layer, LoraLayer) and name in layer.lora_A:
                            yield from layer.lora_A[name].parameters()
                            yield from layer.lora_B[name].parameters()


def _adapter_parameters(model: nn.Module) -> Iterable[nn.Parameter]:
    """Those of the active adapter, each once: VB-LoRA and others share them between layers."""
    found: dict[int, nn.Parameter] = {}
    for layer in model.modules():
        if not isinstance(layer, BaseTunerLayer):
            continue
        for attribute in dict.fromkeys(layer.adapter_layer_names):  # DoRA's stands there twice
            per_adapter = getattr(layer, attribute, {})
            for name in layer.active_adapters:
                if name in per_adapter:
                    entry = per_adapter[name]
                    own = [entry] if isinstance(entry, nn.Parameter) else entry.parameters()
                    found |= {id(parameter): parameter for parameter in own}
    return found.values()


def _other_sizes(model: nn.Module) -> tuple[int, int]:
    """Trained weights outside the adapters: of the body, and of the head."""
    adapter = {id(p) for p in _adapter_parameters(model)}
    heads = MODULES_TO_SAVE.get(getattr(getattr(model, "config", None), "model_type", ""), [])
    body: dict[int, nn.Parameter] = {}
    head: dict[int, nn.Parameter] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and id(parameter) not in adapter:
            known = heads and not any(part in heads for part in name.split("."))
            (body if known else head)[id(parameter)] = parameter
    for module in model.modules():
        if isinstance(module, ModulesToSaveWrapper):
            for name in module.active_adapters:
                head.update((id(p), p) for p in module.modules_to_save[name].parameters())
    return sum(p.numel() for p in body.values()), sum(p.numel() for p in head.values())
