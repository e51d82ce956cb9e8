"""Which settings of a run can decide its result: two runs that share them are one run."""

from __future__ import annotations

from typing import Any

from ..config import AdapterConfig, RunConfig, TrainingConfig

_PRUNING = ("target_rank", "scoring", "t_init", "t_final", "delta_t", "beta1", "beta2")
_LORA = ("r", "lora_alpha", "lora_dropout", "target_modules")


def decisive(config: RunConfig) -> dict[str, Any]:
    """Return the settings of ``config`` with those that it never looks at at their defaults.

    Head-only training has no adapter and one learning rate; LoRA has neither planes nor budget;
    without a target below ``r``, or with ``scoring: none``, nothing is pruned; random scoring
    averages nothing; an orthonormal start has no spread; one γ is a list of two equal ones.
    """
    data = config.model_dump(mode="python")
    data["adapter"] = _adapter(config)
    data["training"] = _training(config)
    return data


def _adapter(config: RunConfig) -> dict[str, Any]:
    adapter, default = config.adapter.model_dump(), AdapterConfig().model_dump()
    if config.method == "head-only":
        return default
    if config.method == "lora":
        return {**default, **{name: adapter[name] for name in _LORA}}
    unused: tuple[str, ...] = ()
    if not config.adapter.prunes:
        unused += _PRUNING
    elif adapter["scoring"] == "random":
        unused += ("beta1", "beta2")
    if adapter["init"] == "orthonormal":
        unused += ("init_std",)
    if not isinstance(adapter["gamma"], list):
        adapter["gamma"] = [adapter["gamma"]] * 2
    return {**adapter, **{name: default[name] for name in unused}}


def _training(config: RunConfig) -> dict[str, Any]:
    training, default = config.training.model_dump(), TrainingConfig().model_dump()
    training["head_lr"] = training["head_lr"] or training["lr"]
    if config.method == "head-only":
        training["lr"] = default["lr"]
    if training["steps"] is not None:
        training["epochs"] = default["epochs"]
    return training
