"""Inactive hyperparameters, and the canonical form of a run: which arms are one run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..peft_settings import PeftSettings
from ..run import RunConfig
from ..schema import NOT_LORA2, AdapterConfig, AfterConfig, TrainingConfig
from ..settings import USED, dotted
from ..yaml import Data
from .terms import BASE

_SCHEDULE = ("target_rank", "t_init", "t_final", "delta_t")

_PRUNING = (*_SCHEDULE, "scoring", "score_loss", "allocation", "budget", "beta1", "beta2")

# Of `training`, what a run looks at that trains nothing.
_EVALUATING = ("mixed_precision", "eval_batch_size", "score_test", "device")

_SOFT = ("gamma", "gamma_u1", "gamma_cross", "penalty")

# What a scoring leaves aside.
_NO_AVERAGES = ("beta1", "beta2", "score_loss")

_UNSCORED = {"random": _NO_AVERAGES, "magnitude": _NO_AVERAGES, "sensitivity": ("beta2",)}


def canonical_settings(config: RunConfig) -> Data:
    """Return the settings of ``config`` with those that it never looks at at their defaults.

    Full and head-only training have no adapter, head-only one learning rate; LoRA and its
    variants have neither planes nor budget, AdaLoRA has one plane; without a target below ``r``, or
    with ``scoring: none``, nothing is pruned; random scoring averages nothing; only soft
    orthogonality is weighed, and with every weight at 0 there is none; with one plane there is no
    outer one to score or to overlap; only a Gaussian start has a spread; one γ is a list of equal
    ones, and u₁ has its plane's where it has none of its own; without a rank to cut to, ranks are
    not shared out. Only method peft reads the section of that name.
    """
    data = config.model_dump(mode="python")
    data["adapter"] = _lora2(config) if config.method == "lora2" else _other(config)
    data["training"] = _training(config)
    if config.method != "peft":
        data["peft"] = PeftSettings().model_dump()
    if config.after.svd_rank is None:
        data["after"] = AfterConfig().model_dump()
    return data


def _other(config: RunConfig) -> Data:
    adapter, default = config.adapter.model_dump(), AdapterConfig().model_dump()
    used = {name: adapter[name] for name in USED[config.method]}
    # AdaLoRA asks of it alone whether γ counts.
    if used.pop("orthogonality", "soft") != "soft":
        used["gamma"] = 0.0
    return {**default, **used}


def _lora2(config: RunConfig) -> Data:
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


def _weighed(adapter: Data, planes: int) -> bool:
    """Whether soft orthogonality puts a term in the loss."""
    gamma = adapter["gamma"]
    cross = planes > 1 and adapter["gamma_cross"] > 0
    weights = gamma if isinstance(gamma, list) else [gamma]
    return cross or any(weights) or bool(adapter["gamma_u1"])


def _training(config: RunConfig) -> Data:
    training, default = config.training.model_dump(), TrainingConfig().model_dump()
    training["head_lr"] = training["head_lr"] or training["lr"]
    if config.method == "head-only":
        training["lr"] = default["lr"]
    if config.method == "no-training":
        # Nothing of it is looked at but what an evaluation takes.
        return {**default, **{name: training[name] for name in _EVALUATING}}
    if training["steps"] is not None:
        training["epochs"] = default["epochs"]
    return training


_PRUNING_SETTINGS = {"adapter.scoring", "adapter.t_init", "adapter.t_final", "adapter.delta_t"}


def canonical_key(config: RunConfig) -> str:
    """Return a text that two runs share if, and only if, nothing that decides them differs."""
    return repr(sorted(canonical_settings(config).items()))


def why_equal(twin: str, changed: Iterable[str], config: RunConfig) -> str:
    """Say that a run equals ``twin`` by construction, and why.

    Args:
        twin: The arm that is the same run; ``base`` where the change makes no difference.
        changed: The settings that were meant to make a difference.
        config: The run.
    """
    changed = list(changed)
    message = f"equals {twin} by construction"
    adapter = config.adapter
    if not changed:
        return f"{message}: it changes nothing"
    if _PRUNING_SETTINGS & set(changed) and config.method == "lora2" and not config.prunes:
        if adapter.scoring == "none":
            return f"{message}: nothing is pruned with adapter.scoring: none"
        return (
            f"{message}: nothing is pruned while adapter.target_rank is unset or equals adapter.r "
            f"({adapter.r}); set adapter.target_rank below it"
        )
    if adapter.planes == 1 and {"adapter.scoring", "adapter.gamma_cross"} & set(changed):
        return (
            f"{message}: with one plane there is no outer plane to score and none to overlap, so "
            "full scoring is reduced scoring and adapter.gamma_cross has no effect"
        )
    if twin != BASE:
        return f"{message}: both run with the same settings; leave one out"
    return f"{message}: no run uses what it changes ({', '.join(changed)})"


Difference = dict[str, tuple[Any, Any]]


def difference(before: RunConfig, after: RunConfig) -> Difference:
    """Return every setting that differs, dotted, with its value before and after.

    Of the resolved configurations, so defaults that a setting brings along are in it.
    """
    old, new = (dotted(config.model_dump(mode="json")) for config in (before, after))
    keys = dict.fromkeys([*old, *new])  # those of `peft` are what is written there
    return {key: (old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)}
