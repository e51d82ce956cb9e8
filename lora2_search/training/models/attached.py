"""What an attached adapter shows before it is trained: ranks beyond its matrices, no way to cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from peft import AdaLoraConfig
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from ...adapter import ranks_in_all, why_uncuttable
from ...config import RunConfig
from ...errors import Problem


def attached_problems(config: RunConfig, model: nn.Module) -> list[Problem]:
    """Return what is wrong with an adapter that PEFT attached without complaint.

    Args:
        config: The run.
        model: With its adapter; weights are not looked at, so it may be on the meta device.
    """
    return [*_excess_rank(config, model)] or [*_no_cut(config, model)]


def _excess_rank(config: RunConfig, model: nn.Module) -> Iterator[Problem]:
    """Yield the first matrix whose LoRA has a higher rank than the matrix can have."""
    for name, layer in model.named_modules():
        for rank in layer.r.values() if isinstance(layer, LoraLayer) else ():
            highest = min(layer.in_features, layer.out_features)
            if rank > highest:
                key = _rank_key(config, model, rank)
                where = name.removeprefix("base_model.model.")
                yield excess_rank(key, rank, where, (layer.out_features, layer.in_features))
                return


def _rank_key(config: RunConfig, model: Any, rank: int) -> str:
    settings = next(iter(model.peft_config.values()))
    own = "init_r" if isinstance(settings, AdaLoraConfig) and config.method == "peft" else "r"
    shared = settings.init_r if isinstance(settings, AdaLoraConfig) else settings.r
    section = "peft" if config.method == "peft" else "adapter"
    return f"{section}.{own if rank == shared else 'rank_pattern'}"


def excess_rank(key: str, rank: int, where: str, shape: tuple[int, int]) -> Problem:
    """Say that a LoRA has a higher rank than its matrix ``[d_out, d_in]`` can have."""
    message = (
        f"must be at most {min(shape)}, the highest rank that {where} [{shape[0]}, {shape[1]}] can "
        f"have, but got {rank}"
    )
    return Problem(key, message)


def _no_cut(config: RunConfig, model: Any) -> Iterator[Problem]:
    """Yield why ``after.svd_rank`` would cut nothing, or could not."""
    rank = config.after.svd_rank
    if rank is None:
        return
    settings, matrices = next(iter(model.peft_config.values())), _adapted_matrices(model)
    if reason := why_uncuttable(settings) or _not_linear(model):
        yield Problem("after.svd_rank", f"{reason} Leave after.svd_rank out.")
    elif not ranks_in_all(rank, matrices):
        message = f"{rank} of {matrices} adapted matrices is not a single rank; raise it"
        yield Problem("after.svd_rank", message)
    elif config.method == "peft" and rank > (highest := _highest_rank(model)):
        message = f"must be at most the rank that is trained, {highest}, but got {rank}"
        yield Problem("after.svd_rank", message)


def _highest_rank(model: nn.Module) -> int:
    layers = (layer for layer in model.modules() if isinstance(layer, LoraLayer))
    return max((rank for layer in layers for rank in layer.r.values()), default=0)


def _not_linear(model: nn.Module) -> str | None:
    """Say which adapted layer is not a linear one; LoRA² adapts no others."""
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            base = layer.get_base_layer()
            if isinstance(base, nn.Embedding) or getattr(base.weight, "ndim", 2) != 2:
                where, kind = name.removeprefix("base_model.model."), type(base).__name__
                return f"{where} is a layer of kind {kind}, and only linear layers can be cut."
    return None


def _adapted_matrices(model: nn.Module) -> int:
    return sum(isinstance(module, BaseTunerLayer) for module in model.modules())
