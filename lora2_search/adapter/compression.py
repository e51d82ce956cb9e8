"""Turn an adapter into a plain LoRA as narrow as it goes: exactly, or cut to a budget of ranks.

The increment is a chain of matrices, and wherever the chain is narrow it can be cut in two:

    ΔW = s · u₁ … u_P · diag(λ) · v_P … v₁ = B · A        B [d_out, ρ], A [ρ, d_in]

with ρ the smallest of k₁ … k_{P-1} and the kept rank. No SVD: nothing is approximated. With a
budget of ranks, the smallest singular values of all B · A are left out (`truncation`). Stock PEFT
loads the result, and so does whatever serves PEFT's LoRA, without this package.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from peft.tuners.adalora import AdaLoraModel
from peft.tuners.lora import LoraModel
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils import ModulesToSaveWrapper, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor, nn

from .factors import Factors
from .model import Lora2Model
from .pruning import State, active_tuner, pattern_of, refuse_merged
from .truncation import Increment, Pair, beside, increments_in, scale_in, truncate

PREFIX = "base_model.model."


@dataclass(frozen=True)
class Compressed:
    """A plain LoRA that an adapter became.

    Attributes:
        state: tensors, as PEFT saves them.
        config: its configuration.
        ranks: kept rank by module name, 0 of those that are not among `target_modules`.
        kept_norm: share of the squared Frobenius norm of all increments that is left; 1 where
            nothing was cut.
    """

    state: State
    config: LoraConfig
    ranks: dict[str, int]
    kept_norm: float


def compress(model: nn.Module, rank: float | None = None, allocation: str = "global") -> PeftModel:
    """Return the active adapter as a plain LoRA on the same base model.

    Every matrix gets its own width, written as `rank_pattern` and `alpha_pattern` beside the widest
    `r`. The scale is folded into B, so `lora_alpha / r` is 1 for every matrix: a server that reads
    `r` and `lora_alpha` alone and takes widths from the tensors scales rightly too; its maximal
    rank must be at least the configuration's `r`. Matrices that were pruned to rank 0 are not
    among `target_modules`. `modules_to_save` come along.

    Args:
        model: a PEFT model, or anything that holds one; it stays as it is.
        rank: mean rank to keep per matrix, a fraction too, of a LoRA², LoRA or AdaLoRA adapter:
            what is lost is the least possible in the Frobenius norm. None cuts nothing, and is
            for LoRA² alone.
        allocation: "global" shares the ranks among all matrices, "per-matrix" keeps as many in
            each.

    Returns:
        A model with the adapter "default", to be saved by `save_pretrained`. It shares the frozen
        weights with `model`: do not merge an adapter into one of them while the other is in use.

    Raises:
        ValueError: there is no such adapter, more than one is active, it is merged, it is more
            than low-rank increments of linear layers, or no rank is left in any matrix.
    """
    return compress_model(model, rank, allocation)[0]


def compress_model(
    model: nn.Module, rank: float | None = None, allocation: str = "global"
) -> tuple[PeftModel, Compressed]:
    """Do what `compress` does, and return with it what was kept."""
    kinds = Lora2Model if rank is None else (Lora2Model, LoraModel)
    tuner, name = active_tuner(model, kinds, "LoRA²" if rank is None else "LoRA², LoRA or AdaLoRA")
    layers = _layers(tuner, name)
    refuse_merged(layers, "compress")
    increments, others = _read(model, tuner, name, layers)
    result = _as_lora(increments, others, tuner.peft_config[name], rank, allocation)
    kinds_of_layer = {type(layer.get_base_layer()).__name__ for layer in layers.values()}
    result.config.fan_in_fan_out = kinds_of_layer == {"Conv1D"}
    dtype = next(iter(increments.values())).factors.values.dtype
    with torch.random.fork_rng(devices=[]):  # the start of a LoRA is drawn, and overwritten here
        compressed = get_peft_model(
            _bare_copy(tuner.model), result.config, autocast_adapter_dtype=dtype == torch.float32
        )
    loaded = set_peft_model_state_dict(compressed, result.state)
    foreign = [key for key in loaded.missing_keys if "lora_" in key] + loaded.unexpected_keys
    if foreign:
        raise RuntimeError(f"PEFT adapted modules other than those requested: {foreign}.")
    return compressed.train(model.training), result


def compress_state(
    state: State, config: PeftConfig, rank: float | None = None, allocation: str = "global"
) -> tuple[State, LoraConfig]:
    """Do the same to an adapter as it is saved, without its base model.

    Args:
        state: the tensors of `adapter_model.safetensors`; left as they are.
        config: its configuration; left as it is.
        rank: as in `compress`.
        allocation: as in `compress`.

    Returns:
        The tensors and the configuration of the plain LoRA.

    Raises:
        ValueError: the adapter is more than low-rank increments of linear layers on the untouched
            base model, or no rank is left in any matrix.
    """
    result = compress_saved(state, config, rank, allocation)
    return result.state, result.config


def compress_saved(
    state: State, config: PeftConfig, rank: float | None = None, allocation: str = "global"
) -> Compressed:
    """Do what `compress_state` does, and return with it what was kept."""
    return _as_lora(increments_in(state, config), beside(state), config, rank, allocation)


def _as_lora(
    increments: Mapping[str, Increment],
    others: State,
    config: PeftConfig,
    rank: float | None,
    allocation: str,
) -> Compressed:
    pairs = [_halves(matrix, scale) for matrix, scale in increments.values()]
    kept_norm = 1.0
    if rank is not None:
        cut = truncate(pairs, rank, allocation)
        pairs, kept_norm = cut.pairs, cut.kept_norm
    lora, ranks = dict(others), {}
    for (module, increment), pair in zip(increments.items(), pairs, strict=True):
        b, a = _rounded(pair, increment.factors.values)
        ranks[module] = len(a)
        if len(a):
            lora[f"{PREFIX}{module}.lora_A.weight"] = a
            lora[f"{PREFIX}{module}.lora_B.weight"] = b
    if not any(ranks.values()):
        raise ValueError(
            "Every matrix was pruned to rank 0: no increment is left to write as a LoRA. "
            "The base model with `modules_to_save` computes the same."
        )
    return Compressed(lora, _lora_config(config, ranks), ranks, kept_norm)


def plain_lora(factors: Factors, scaling: float) -> Pair:
    """Multiply a chain of factors out towards its narrowest place.

    In float64, rounded once, to the factors' dtype. Of equally narrow places the innermost is
    taken.

    Args:
        factors: u₁ … u_P, λ, v₁ … v_P.
        scaling: the factor of ΔW; it goes into B.

    Returns:
        B `[d_out, ρ]` and A `[ρ, d_in]` with ΔW = B · A.
    """
    return _rounded(_halves(factors, scaling), factors.values)


def _halves(factors: Factors, scaling: float) -> Pair:
    exact = torch.float64
    left = [u.detach().to("cpu", exact) for u in factors.left]
    values = factors.values.detach().to("cpu", exact)
    right = [v.detach().to("cpu", exact) for v in reversed(factors.right)]
    left[-1] = left[-1] * (values * scaling)
    chain = [*left, *right]  # its inner widths: k₁ … k_{P-1}, r, k_{P-1} … k₁
    # B takes the first `place` factors; the chain's right half is as wide as its left one.
    places = range(len(left), 0, -1)
    place = min(places, key=lambda end: chain[end].shape[0])
    b = reduce(torch.matmul, chain[:place])  # [d_out, ρ]
    a = reduce(torch.matmul, chain[place:])  # [ρ, d_in]
    return b, a


def _rounded(pair: Pair, like: Tensor) -> Pair:
    b, a = pair
    return b.to(like.device, like.dtype).contiguous(), a.to(like.device, like.dtype).contiguous()


def _lora_config(config: Any, ranks: Mapping[str, int]) -> LoraConfig:
    widths = {module: rank for module, rank in ranks.items() if rank}
    widest = max(widths.values())
    # PEFT takes names by their ends, so a cut module may end like one that is left.
    cut = ranks.keys() - widths.keys()
    shadowed = sorted(g for g in cut if any(g.endswith(f".{name}") for name in widths))
    return LoraConfig(
        task_type=config.task_type,
        base_model_name_or_path=config.base_model_name_or_path,
        revision=config.revision,
        inference_mode=config.inference_mode,
        r=widest,
        lora_alpha=widest,
        lora_dropout=config.lora_dropout,
        fan_in_fan_out=getattr(config, "fan_in_fan_out", False),
        target_modules=list(widths),
        exclude_modules=shadowed or None,
        modules_to_save=config.modules_to_save,
        rank_pattern=pattern_of(widths),
        alpha_pattern=pattern_of(widths),
    )


def _layers(tuner: BaseTuner, adapter_name: str) -> dict[str, BaseTunerLayer]:
    """Return the layers that carry an adapter, by module name, in the model's order."""
    layers = {
        name: module
        for name, module in tuner.model.named_modules()
        if isinstance(module, BaseTunerLayer)
        and any(adapter_name in getattr(module, part) for part in module.adapter_layer_names)
    }
    for name, layer in layers.items():
        # AdaLoRA's factors of a convolution look like those of a linear layer.
        if hasattr(layer.get_base_layer(), "kernel_size"):
            raise ValueError(f"{name} is a convolution, which cannot be cut to a rank.")
    return layers


def _read(
    model: nn.Module, tuner: BaseTuner, name: str, layers: Mapping[str, BaseTunerLayer]
) -> tuple[dict[str, Increment], State]:
    """Return what the active adapter adds as it stands in the model, and what is saved beside."""
    config = tuner.peft_config[name]
    holder = next(m for m in model.modules() if getattr(m, "base_model", None) is tuner)
    pattern = getattr(config, "rank_pattern", None)
    try:
        if isinstance(tuner, AdaLoraModel):
            config.rank_pattern = None  # PEFT would rewrite it, and cut by it what may still live
        state = get_peft_model_state_dict(holder, adapter_name=name, save_embedding_layers=False)
        increments = increments_in(state, config)
    finally:
        config.rank_pattern = pattern
    if isinstance(tuner, LoraModel):
        # A scale may have been changed since the configuration was read.
        increments = {
            module: increment._replace(scale=scale_in(layers[module], name))
            for module, increment in increments.items()
        }
    return increments, beside(state)


def _bare_copy(adapted: Any) -> Any:
    """Return the model without any adapter, its weights shared, its modules its own."""
    base = copy.deepcopy(adapted, {id(p): p for p in adapted.parameters()})
    for name, module in list(base.named_modules()):
        if isinstance(module, BaseTunerLayer):
            base.set_submodule(name, module.get_base_layer())
        elif isinstance(module, ModulesToSaveWrapper):
            base.set_submodule(name, module.original_module)
    if hasattr(base, "peft_config"):
        del base.peft_config
    return base
