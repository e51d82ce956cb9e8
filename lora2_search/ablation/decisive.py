"""Which settings of a run can decide its result: two runs that share them are one run."""

from __future__ import annotations

from typing import Any

from ..config import AdapterConfig, AfterConfig, RunConfig, TrainingConfig
from ..used import NOT_LORA2, USED

_SCHEDULE = ("target_rank", "t_init", "t_final", "delta_t")
_PRUNING = (*_SCHEDULE, "scoring", "score_loss", "allocation", "budget", "beta1", "beta2")
_SOFT = ("gamma", "gamma_u1", "gamma_cross", "penalty")
# What a scoring leaves aside.
_NO_AVERAGES = ("beta1", "beta2", "score_loss")
_UNSCORED = {"random": _NO_AVERAGES, "magnitude": _NO_AVERAGES, "sensitivity": ("beta2",)}


def decisive(config: RunConfig) -> dict[str, Any]:
    """Return the settings of ``config`` with those that it never looks at at their defaults.

    Full and head-only training have no adapter, head-only one learning rate; LoRA and DoRA have
    neither planes nor budget, AdaLoRA has one plane; without a target below ``r``, or with
    ``scoring: none``, nothing is pruned; random scoring averages nothing; only soft orthogonality
    is weighed, and with every weight at 0 there is none; with one plane there is no outer one to
    score or to overlap; only a Gaussian start has a spread; one γ is a list of equal ones, and u₁
    has its plane's where it has none of its own; without a rank to cut to, ranks are not shared
    out.
    """
    data = config.model_dump(mode="python")
    data["adapter"] = _lora2(config) if config.method == "lora2" else _other(config)
    data["training"] = _training(config)
    if config.after.svd_rank is None:
        data["after"] = AfterConfig().model_dump()
    return data


def _other(config: RunConfig) -> dict[str, Any]:
    adapter, default = config.adapter.model_dump(), AdapterConfig().model_dump()
    used = {name: adapter[name] for name in USED[config.method]}
    # AdaLoRA asks of it alone whether γ counts.
    if used.pop("orthogonality", "soft") != "soft":
        used["gamma"] = 0.0
    return {**default, **used}


def _lora2(config: RunConfig) -> dict[str, Any]:
    adapter, default = config.adapter.model_dump(), AdapterConfig().model_dump()
    unused: tuple[str, ...] = NOT_LORA2 + (() if config.prunes else _PRUNING)
    unused += _UNSCORED.get(adapter["scoring"], ())
    if adapter["init"] != "gaussian":
        unused += ("init_std",)
    if config.adapter.planes == 1:
        unused += ("gamma_cross",)  # no plane has a neighbour
        if adapter["scoring"] == "full":
            adapter["scoring"] = "reduced"  # no outer plane is left to score
    if adapter["orthogonality"] == "soft" and not _weighed(adapter, config.adapter.planes):
        adapter["orthogonality"] = "none"
    if adapter["orthogonality"] != "soft":
        unused += (*_SOFT, "score_loss")
    adapter |= {name: default[name] for name in unused}
    if not isinstance(adapter["k"], list):
        adapter["k"] = [adapter["k"]]
    if not isinstance(adapter["gamma"], list):
        adapter["gamma"] = [adapter["gamma"]] * config.adapter.planes
    if adapter["gamma_u1"] is None:
        adapter["gamma_u1"] = adapter["gamma"][0]
    return adapter


def _weighed(adapter: dict[str, Any], planes: int) -> bool:
    """Whether soft orthogonality puts a term in the loss."""
    gamma = adapter["gamma"]
    cross = planes > 1 and adapter["gamma_cross"] > 0
    weights = gamma if isinstance(gamma, list) else [gamma]
    return cross or any(weights) or bool(adapter["gamma_u1"])


def _training(config: RunConfig) -> dict[str, Any]:
    training, default = config.training.model_dump(), TrainingConfig().model_dump()
    training["head_lr"] = training["head_lr"] or training["lr"]
    if config.method == "head-only":
        training["lr"] = default["lr"]
    if training["steps"] is not None:
        training["epochs"] = default["epochs"]
    return training
