"""Attach what is trained: an adapter (LoRA² or one of PEFT's), the whole model, or its head."""

from __future__ import annotations

import warnings
from typing import Any, Literal, Protocol, TypedDict, cast

import torch
from peft import AdaLoraConfig, LoraConfig, PeftConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from ...adapter import Lora2Config, initial_factor, named_generator
from ...config import RunConfig, default_targets
from ...errors import ConfigError, Problem
from ..seeds import named_seed
from .adalora import AdaLora, adalora_schedule
from .any_peft import any_peft_config
from .attached import attached_problems
from .load import Base, fresh_copy


class Adaptive(Protocol):
    """What the loop calls on every method; see ``lora2_search.adapter.Lora2Model``."""

    def set_total_steps(self, total_steps: int) -> None:
        """Take T, the number of optimiser steps."""

    def regularization(self) -> dict[str, Tensor]:
        """Return the weighted terms that are added to the task loss, by name."""

    def update_and_allocate(self, step: int, grad_scale: float | Tensor = 1.0) -> None:
        """Score and mask after optimiser step ``step``, 1 .. T.

        ``grad_scale`` is what clipping multiplied the gradients with.
        """

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

    def update_and_allocate(self, step: int, grad_scale: float | Tensor = 1.0) -> None:
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


class Allocating(Fixed):
    """A method that gives its tuner a step of its own after each of the optimiser's."""

    def __init__(self, tuner: Any) -> None:
        self._tuner = tuner

    def update_and_allocate(self, step: int, grad_scale: float | Tensor = 1.0) -> None:
        """Do what the tuner does after optimiser step ``step``, 1 .. T."""
        self._tuner.update_and_allocate(step)


def attach(base: Base, config: RunConfig, total_steps: int) -> tuple[nn.Module, Adaptive]:
    """Return a model whose trained weights are ready, and what adapts its ranks.

    The pooler and the classifier are trained by every method, so that no weight which the
    model's files did not hold stays frozen at random.

    Args:
        base: The pretrained model; its weights are shared by all methods but ``full``.
        config: The run.
        total_steps: T, which AdaLoRA must know when it is made.

    Raises:
        ConfigError: The adapter's settings do not fit the model.
    """
    heads = base.heads
    if config.method == "no-training":
        return fresh_copy(base, [], config.seed).requires_grad_(False), Fixed()
    if config.method == "full":
        # Weights of its own for every part: all other runs of this process share the base.
        return fresh_copy(base, _parts(base), config.seed).requires_grad_(True), Fixed()
    rewrites = config.method in _REWRITING
    model = fresh_copy(base, _parts(base) if rewrites else heads, config.seed)
    weights = dict(model.named_parameters())
    if config.method == "head-only":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(any(part in heads for part in name.split(".")))
        return model, Fixed()
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        # peft 0.21 asks transformers 5.23 for a deprecated name.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`")
        # PEFT's own methods draw their start from the global generator.
        torch.manual_seed(named_seed(config.seed, "factors"))
        try:
            adapted, adaptive = _adapted(model, _peft_config(base, config, total_steps))
        except (ValueError, TypeError) as error:
            section = "peft" if config.method == "peft" else "adapter"
            raise ConfigError([Problem(section, str(error))]) from error
    if problems := attached_problems(config, adapted):
        raise ConfigError(problems)
    if rewrites:
        _share_untouched(base, weights)
    if config.starts_as_lora and config.adapter.init_lora_weights == "orthonormal":
        _start_orthonormal(adapted, named_seed(config.seed, "factors"))
    return adapted, adaptive


# Methods with which PEFT may write into the weights that it adapts.
_REWRITING = ("pissa", "peft")


def _parts(base: Base) -> list[str]:
    return [name for name, _ in base.model.named_children()]


def _share_untouched(base: Base, weights: dict[str, nn.Parameter]) -> None:
    """Take the memory of frozen weights that PEFT left as they were from the base again."""
    for name, original in base.model.named_parameters():
        own = weights[name]
        if not own.requires_grad and torch.equal(own, original):
            own.data = original.data


@torch.no_grad()
def _start_orthonormal(model: nn.Module, seed: int) -> None:
    """Give every A [r, d_in] of a LoRA orthonormal rows; B stays 0."""
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            for linear in layer.lora_A.values():
                rows, columns = linear.weight.shape
                generator = named_generator(seed, name, "A")
                linear.weight.copy_(initial_factor((rows, columns), "orthonormal", 0.0, generator))


def _adapted(model: Any, peft_config: PeftConfig) -> tuple[nn.Module, Adaptive]:
    peft_model = get_peft_model(model, peft_config)
    if isinstance(peft_config, Lora2Config):
        return peft_model, cast(Adaptive, peft_model.base_model)
    if isinstance(peft_config, AdaLoraConfig):
        return peft_model, AdaLora(peft_model.base_model)
    if hasattr(peft_model.base_model, "update_and_allocate"):
        return peft_model, Allocating(peft_model.base_model)
    return peft_model, Fixed()


# Those of our names that are PEFT's own; from the others it begins at its default.
_PEFT_INITS: dict[str, Literal["gaussian", "orthogonal"]] = {
    "gaussian": "gaussian",
    "orthogonal": "orthogonal",
}


class _Shared(TypedDict):
    """What LoRA, its variants and AdaLoRA call as LoRA² does."""

    task_type: str
    modules_to_save: list[str] | None
    target_modules: list[str] | str
    lora_alpha: float
    lora_dropout: float
    exclude_modules: list[str] | str | None
    layers_to_transform: list[int] | int | None
    layers_pattern: list[str] | str | None


def _peft_config(base: Base, config: RunConfig, total_steps: int) -> PeftConfig:
    adapter, heads = config.adapter, base.heads
    if config.method == "peft":
        return any_peft_config(
            config.peft, base.model_type, heads, total_steps, is_language=base.is_language
        )
    task_type = "CAUSAL_LM" if base.is_language else "SEQ_CLS"
    # PEFT knows which layers of a language model are linear, whatever its type.
    defaults = "all-linear" if base.is_language else None
    targets = adapter.target_modules or defaults or default_targets(base.model_type)
    if config.method == "lora2":
        settings = adapter.lora2_settings() | {"target_modules": targets}
        seed = named_seed(config.seed, "factors")
        saved = heads or None
        return Lora2Config(task_type=task_type, modules_to_save=saved, seed=seed, **settings)
    shared = _Shared(
        task_type=task_type,
        modules_to_save=heads or None,
        target_modules=targets,
        lora_alpha=adapter.lora_alpha,
        lora_dropout=adapter.lora_dropout,
        exclude_modules=adapter.exclude_modules,
        layers_to_transform=adapter.layers_to_transform,
        layers_pattern=adapter.layers_pattern,
    )
    if config.method == "adalora":
        return AdaLoraConfig(
            init_r=adapter.r,
            target_r=adapter.target_rank,
            orth_reg_weight=adapter.gamma if adapter.orthogonality == "soft" else 0.0,
            beta1=adapter.beta1,
            beta2=adapter.beta2,
            **adalora_schedule(adapter, total_steps),
            **shared,
        )
    return LoraConfig(
        r=adapter.r,
        rank_pattern=adapter.rank_pattern or {},
        use_dora=config.method == "dora",
        use_rslora=config.method == "rslora",
        init_lora_weights="pissa"
        if config.method == "pissa"
        else _PEFT_INITS.get(adapter.init_lora_weights, True),
        **shared,
    )
