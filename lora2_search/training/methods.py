"""Attach what is trained: LoRA², LoRA, or the head alone."""

from __future__ import annotations

import warnings
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from ..adapter import Lora2Config, default_targets
from ..config import AdapterConfig, RunConfig
from .models import Base, fresh_copy
from .seeds import named_seed


class Adaptive(Protocol):
    """What the loop calls on every method; see ``lora2_search.adapter.Lora2Model``."""

    def set_total_steps(self, total_steps: int) -> None:
        """Take T, the number of optimiser steps."""

    def regularization(self) -> dict[str, Tensor]:
        """Return the weighted terms that are added to the task loss, by name."""

    def update_and_allocate(self, step: int) -> None:
        """Score and mask after optimiser step ``step``, 1 .. T."""

    def kept_rank(self) -> int:
        """Return the number of singular values still alive."""

    def rank_pattern(self) -> dict[str, int]:
        """Return the kept rank by adapted module."""

    def allocator_state(self) -> dict[str, Tensor]:
        """Return the state that decides later masks."""

    def load_allocator_state(self, state: dict[str, Tensor]) -> None:
        """Take that state back."""


class Fixed:
    """A method whose shape never changes: nothing to regularise, score or mask."""

    def set_total_steps(self, total_steps: int) -> None:
        """Do nothing."""

    def regularization(self) -> dict[str, Tensor]:
        """Return no term."""
        return {}

    def update_and_allocate(self, step: int) -> None:
        """Do nothing."""

    def kept_rank(self) -> int:
        """Return 0: there are no singular values."""
        return 0

    def rank_pattern(self) -> dict[str, int]:
        """Return no pattern."""
        return {}

    def allocator_state(self) -> dict[str, Tensor]:
        """Return no state."""
        return {}

    def load_allocator_state(self, state: dict[str, Tensor]) -> None:
        """Take no state."""


def attach(base: Base, config: RunConfig) -> tuple[nn.Module, Adaptive]:
    """Return a model whose trained weights are ready, and what adapts its ranks.

    The pooler and the classifier are trained by every method, so that no weight which the
    model's files did not hold stays frozen at random.

    Raises:
        ValueError: The adapter's settings do not fit the model.
    """
    heads = base.heads
    model = fresh_copy(base, heads, config.seed)
    if config.method == "head-only":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(any(part in heads for part in name.split(".")))
        return model, Fixed()
    with warnings.catch_warnings():
        # peft 0.21 asks transformers 5.23 for a name that is on its way out.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`")
        return _ATTACH[config.method](model, base, config, heads)


def _lora2(
    model: Any, base: Base, config: RunConfig, heads: list[str]
) -> tuple[nn.Module, Adaptive]:
    from peft import get_peft_model

    adapter = config.adapter
    peft_config = Lora2Config(
        task_type="SEQ_CLS",
        k=adapter.k,
        r=adapter.r,
        lora_alpha=adapter.lora_alpha,
        lora_dropout=adapter.lora_dropout,
        target_modules=_targets(adapter, base),
        modules_to_save=heads,
        gamma=adapter.gamma,
        init=adapter.init,
        init_std=adapter.init_std,
        seed=named_seed(config.seed, "factors"),
        scoring=adapter.scoring,
        target_rank=adapter.target_rank,
        t_init=adapter.t_init,
        t_final=adapter.t_final,
        delta_t=adapter.delta_t,
        beta1=adapter.beta1,
        beta2=adapter.beta2,
    )
    peft_model = get_peft_model(model, peft_config)
    return peft_model, cast(Adaptive, peft_model.base_model)


def _lora(
    model: Any, base: Base, config: RunConfig, heads: list[str]
) -> tuple[nn.Module, Adaptive]:
    from peft import LoraConfig, get_peft_model

    peft_config = LoraConfig(
        task_type="SEQ_CLS",
        r=config.adapter.r,
        lora_alpha=config.adapter.lora_alpha,
        lora_dropout=config.adapter.lora_dropout,
        target_modules=_targets(config.adapter, base),
        modules_to_save=heads,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(named_seed(config.seed, "factors"))
        return get_peft_model(model, peft_config), Fixed()


def _targets(adapter: AdapterConfig, base: Base) -> list[str] | str:
    return adapter.target_modules or default_targets(base.model_type)


_ATTACH = {"lora2": _lora2, "lora": _lora}
