"""Turn a LoRA² adapter into a plain LoRA that computes the same, exactly and as narrow as it goes.

The increment is a chain of matrices, and wherever the chain is narrow it can be cut in two:

    ΔW = s · u₁ … u_P · diag(λ) · v_P … v₁ = B · A        B [d_out, ρ], A [ρ, d_in]

with ρ the smallest of k₁ … k_{P-1} and the kept rank. No SVD: nothing is approximated. Stock PEFT
loads the result, and so does whatever serves PEFT's LoRA, without this package.
"""  # noqa: D415 - the formula belongs to the sentence

import copy
from functools import reduce
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import ModulesToSaveWrapper, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor, nn

from .config import Lora2Config
from .factors import Factors
from .layer import Lora2Layer
from .pruning import (
    State,
    active_adapter,
    adapted_layers,
    factors_in,
    pattern_of,
    prune_state,
    refuse_merged,
)

PREFIX = "base_model.model."


def compress(model: nn.Module) -> PeftModel:
    """Return the active LoRA² adapter as a plain LoRA on the same base model.

    Every matrix gets its own width, written as `rank_pattern` and `alpha_pattern` beside the widest
    `r`. The scale is folded into B, so `lora_alpha / r` is 1 for every matrix: a server that reads
    `r` and `lora_alpha` alone and takes widths from the tensors scales rightly too; its maximal
    rank must be at least the configuration's `r`. Matrices that were pruned to rank 0 are not
    among `target_modules`. `modules_to_save` come along.

    Args:
        model: a PEFT model, or anything that holds one; it stays as it is.

    Returns:
        A model with the adapter "default", to be saved by `save_pretrained`. It shares the frozen
        weights with `model`: do not merge an adapter into one of them while the other is in use.

    Raises:
        ValueError: there is no LoRA² adapter, more than one is active, it is merged, or every
            matrix was pruned to rank 0.
    """
    tuner, name = active_adapter(model)
    layers = adapted_layers(tuner, name)
    refuse_merged(layers, "compress")
    holder = next(m for m in model.modules() if getattr(m, "base_model", None) is tuner)
    state = get_peft_model_state_dict(holder, adapter_name=name, save_embedding_layers=False)
    lora, config = compress_state(state, tuner.peft_config[name])
    kinds = {type(layer.get_base_layer()).__name__ for layer in layers.values()}
    config.fan_in_fan_out = kinds == {"Conv1D"}
    values = next(iter(layers.values())).lora2_lambda[name]
    with torch.random.fork_rng(devices=[]):  # the start of a LoRA is drawn, and overwritten here
        compressed = get_peft_model(
            _bare_copy(tuner.model),
            config,
            autocast_adapter_dtype=values.dtype == torch.float32,
        )
    loaded = set_peft_model_state_dict(compressed, lora)
    foreign = [key for key in loaded.missing_keys if "lora_" in key] + loaded.unexpected_keys
    if foreign:
        raise RuntimeError(f"PEFT put LoRA on other modules than those asked for: {foreign}.")
    return compressed.train(model.training)


def compress_state(state: State, config: Lora2Config) -> tuple[State, LoraConfig]:
    """Do the same to an adapter as it is saved, without its base model.

    Args:
        state: the tensors of `adapter_model.safetensors`; left as they are.
        config: its configuration; left as it is.

    Returns:
        The tensors and the configuration of the plain LoRA.

    Raises:
        ValueError: every matrix was pruned to rank 0.
    """
    small = factors_in(prune_state(state, copy.copy(config)))
    lora = {key: tensor for key, tensor in state.items() if ".lora2_" not in key}
    widths = {}
    for module, factors in small.items():
        b, a = plain_lora(factors, config.increment_scale)
        if len(a):
            widths[module] = len(a)
            lora[f"{PREFIX}{module}.lora_A.weight"] = a
            lora[f"{PREFIX}{module}.lora_B.weight"] = b
    if not widths:
        raise ValueError(
            "Every matrix was pruned to rank 0: no increment is left to write as a LoRA. "
            "The base model with `modules_to_save` computes the same."
        )
    return lora, _lora_config(config, widths, gone=small.keys() - widths.keys())


def plain_lora(factors: Factors, scaling: float) -> tuple[Tensor, Tensor]:
    """Multiply a chain of factors out towards its narrowest place.

    In float64, rounded once, to the factors' dtype. Of equally narrow places the innermost is
    taken.

    Args:
        factors: u₁ … u_P, λ, v₁ … v_P.
        scaling: the factor of ΔW; it goes into B.

    Returns:
        B `[d_out, ρ]` and A `[ρ, d_in]` with ΔW = B · A.
    """
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
    like = factors.values
    return b.to(like.device, like.dtype).contiguous(), a.to(like.device, like.dtype).contiguous()


def _lora_config(config: Lora2Config, widths: dict[str, int], gone: set[str]) -> LoraConfig:
    widest = max(widths.values())
    # PEFT takes names by their ends, so a cut module may end like one that is left.
    shadowed = sorted(g for g in gone if any(g.endswith(f".{name}") for name in widths))
    return LoraConfig(
        task_type=config.task_type,
        base_model_name_or_path=config.base_model_name_or_path,
        revision=config.revision,
        inference_mode=config.inference_mode,
        r=widest,
        lora_alpha=widest,
        lora_dropout=config.lora_dropout,
        target_modules=list(widths),
        exclude_modules=shadowed or None,
        modules_to_save=config.modules_to_save,
        rank_pattern=pattern_of(widths),
        alpha_pattern=pattern_of(widths),
    )


def _bare_copy(adapted: Any) -> Any:
    """Return the model without any adapter, its weights shared, its modules its own."""
    base = copy.deepcopy(adapted, {id(p): p for p in adapted.parameters()})
    for name, module in list(base.named_modules()):
        if isinstance(module, Lora2Layer):
            base.set_submodule(name, module.get_base_layer())
        elif isinstance(module, ModulesToSaveWrapper):
            base.set_submodule(name, module.original_module)
    if hasattr(base, "peft_config"):
        del base.peft_config
    return base
