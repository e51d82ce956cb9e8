"""Cut singular values that pruning has set to 0; no output changes.

A singular value λᵢ = 0 adds nothing, so λᵢ, column i of u_P and row i of v_P can go. Outer planes
stay: see `compression` for what shrinks those too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import cast

import torch
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import Tensor, nn

from .allocation import kept_in_values
from .config import Lora2Config
from .factors import Factors
from .layer import Lora2Layer
from .model import Lora2Model

State = dict[str, Tensor]

_KEY = re.compile(r"(?:base_model\.model\.)?(.+)\.lora2_(u|lambda|v)(?:\.(\d+))?")


def prune(model: nn.Module) -> dict[str, int]:
    """Cut the zeroed singular values of the active adapter, in place.

    The scale stays α / r with the configured r, and `rank_pattern` of the adapter's configuration
    names the rank of every matrix, so `save_pretrained` and `from_pretrained` keep the cut form.
    Rank 0 is a rank. Where every λ is still 0 (nothing was trained) nothing is cut.

    Call it after training: the cut weights are new tensors, which an optimiser made earlier does
    not know, and the averages of the rank allocator, made for the old shapes, are dropped.

    Args:
        model: a PEFT model, or anything that holds one, with one active LoRA² adapter.

    Returns:
        The kept rank by module name.

    Raises:
        ValueError: there is no LoRA² adapter, more than one is active, or it is merged.
    """
    tuner, name = active_adapter(model)
    layers = adapted_layers(tuner, name)
    refuse_merged(layers, "prune")
    for layer, keep in zip(
        layers.values(), alive(layer.factors(name) for layer in layers.values()), strict=True
    ):
        _put(layer, name, strip_pruned(layer.factors(name), keep))
    if tuner._allocators:
        tuner._allocators.pop(name, None)
    ranks = {module: len(layer.lora2_lambda[name]) for module, layer in layers.items()}
    tuner.peft_config[name].rank_pattern = pattern_of(ranks)
    return ranks


def prune_state(state: State, config: Lora2Config) -> State:
    """Do the same to an adapter as it is saved, without its base model.

    Args:
        state: the tensors of `adapter_model.safetensors`; left as they are.
        config: its configuration; `rank_pattern` is set.

    Returns:
        The tensors of the cut adapter, under the same keys.
    """
    matrices = factors_in(state)
    alive_values = alive(matrices.values())
    small = {
        module: strip_pruned(matrix, keep)
        for (module, matrix), keep in zip(matrices.items(), alive_values, strict=True)
    }
    config.rank_pattern = pattern_of({module: len(m.values) for module, m in small.items()})
    pruned = {}
    for key, tensor in state.items():
        if match := _KEY.fullmatch(key):
            module, part, plane = match.groups()
            matrix = small[module]
            side = {"u": matrix.left, "lambda": (matrix.values,), "v": matrix.right}[part]
            pruned[key] = side[int(plane or 0)].contiguous()
        else:
            pruned[key] = tensor
    return pruned


def strip_pruned(factors: Factors, keep: Tensor) -> Factors:
    """Return the factors of the singular values that `keep [r]` (bool) marks, ΔW unchanged."""
    left, values, right = factors
    return Factors((*left[:-1], left[-1][:, keep]), values[keep], (*right[:-1], right[-1][keep]))


def factors_in(state: State) -> dict[str, Factors]:
    """Return the factors of every adapted matrix in a saved LoRA² adapter, by module name."""
    parts: dict[str, dict[tuple[str, int], Tensor]] = {}
    for key, tensor in state.items():
        if match := _KEY.fullmatch(key):
            module, part, plane = match.groups()
            parts.setdefault(module, {})[part, int(plane or 0)] = tensor
    return {
        module: Factors(
            tuple(tensors["u", plane] for plane in range(len(tensors) // 2)),
            tensors["lambda", 0],
            tuple(tensors["v", plane] for plane in range(len(tensors) // 2)),
        )
        for module, tensors in parts.items()
    }


def active_adapter(model: nn.Module) -> tuple[Lora2Model, str]:
    """Return PEFT's tuner inside a model, and the name of its one active adapter.

    Raises:
        ValueError: there is no LoRA² tuner, or not exactly one adapter is active.
    """
    tuner, name = active_tuner(model, Lora2Model, "LoRA²")
    return cast(Lora2Model, tuner), name


def active_tuner(
    model: nn.Module, kinds: type[BaseTuner] | tuple[type[BaseTuner], ...], what: str
) -> tuple[BaseTuner, str]:
    """Return the tuner of one of these kinds inside a model, and its one active adapter's name.

    Raises:
        ValueError: there is no such tuner (of `what`), or not exactly one adapter is active.
    """
    tuner = next((m for m in model.modules() if isinstance(m, kinds)), None)
    if tuner is None:
        raise ValueError(
            f"{type(model).__name__} holds no {what} adapter made by `get_peft_model` or "
            "`PeftModel.from_pretrained`."
        )
    if len(tuner.active_adapters) != 1:
        raise ValueError(
            f"Exactly one adapter must be active, but these are: {tuner.active_adapters}."
        )
    return tuner, tuner.active_adapters[0]


def adapted_layers(tuner: Lora2Model, adapter_name: str) -> dict[str, Lora2Layer]:
    """Return the layers that carry an adapter, by module name, in the model's order."""
    return {
        name: module
        for name, module in tuner.model.named_modules()
        if isinstance(module, Lora2Layer) and adapter_name in module.lora2_lambda
    }


def refuse_merged(layers: Mapping[str, BaseTunerLayer], what: str) -> None:
    """Raise a ValueError where an increment is part of the frozen weight right now."""
    merged = [name for name, layer in layers.items() if layer.merged]
    if merged:
        raise ValueError(
            f"Cannot {what} a merged adapter ({merged[0]} and {len(merged) - 1} more are merged): "
            "call `unmerge_adapter()` first."
        )


def pattern_of(ranks: dict[str, int]) -> dict[str, int]:
    """Return a `rank_pattern` that gives every module its own rank and no other.

    PEFT takes the first key that is the end of a module's name, so longer names come first.
    """
    return dict(sorted(ranks.items(), key=lambda item: -len(item[0])))


def alive(matrices: Iterable[Factors]) -> list[Tensor]:
    """Return masks `[r]` (bool) of the singular values that are not 0; all where every one is."""
    values = [matrix.values.detach() for matrix in matrices]
    untrained = kept_in_values(values) == [len(value) for value in values]
    return [torch.ones_like(v, dtype=torch.bool) if untrained else v != 0 for v in values]


@torch.no_grad()
def _put(layer: Lora2Layer, adapter_name: str, factors: Factors) -> None:
    trained = layer.lora2_lambda[adapter_name].requires_grad

    def parameter(tensor: Tensor) -> nn.Parameter:
        return nn.Parameter(tensor.detach().clone(), requires_grad=trained)

    left, right = (
        cast(nn.ParameterList, side[adapter_name]) for side in (layer.lora2_u, layer.lora2_v)
    )
    left[-1] = parameter(factors.left[-1])
    layer.lora2_lambda[adapter_name] = parameter(factors.values)
    right[-1] = parameter(factors.right[-1])
