"""Increments cut to a rank by truncated SVD, from their factors."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, fields
from fractions import Fraction
from numbers import Real
from typing import Any, NamedTuple

import torch
from peft import AdaLoraConfig, LoraConfig, PeftConfig
from peft.utils.other import get_pattern_key
from torch import Tensor

from ..config import ALLOCATIONS
from .allocation import shares, survivors
from .config import Lora2Config
from .factors import Factors
from .pruning import State, alive, factors_in, prune_state, strip_pruned

_KEY = re.compile(r"(?:base_model\.model\.)?(.+)\.(lora_[A-Za-z_]+)(?:\.weight)?")

# Starts that leave the base model's weights as they are.
_ADDITIVE_STARTS = (True, False, "gaussian", "eva", "orthogonal")

# Starts that PEFT can undo when it saves.
_CONVERTIBLE_STARTS = ("pissa", "olora", "corda", "lora_ga")

# What may have any value: it decides shapes, scales or training, or only where the adapter goes.
_FREE = {
    *("task_type", "peft_type", "auto_mapping", "peft_version", "base_model_name_or_path"),
    *("revision", "inference_mode", "r", "lora_alpha", "lora_dropout", "use_rslora"),
    *("rank_pattern", "alpha_pattern", "target_modules", "exclude_modules", "modules_to_save"),
    *("layers_to_transform", "layers_pattern", "fan_in_fan_out", "init_lora_weights"),
    *("loftq_config", "eva_config", "corda_config", "lora_ga_config", "runtime_config"),
    *("megatron_core", "qalora_group_size"),
}

_REASONS = {
    "use_dora": "DoRA also rescales the rows of the weight",
    "lora_bias": "it adds a bias",
    "bias": "it trains the biases of the base model",
    "trainable_token_indices": "it trains rows of the embeddings",
    "layer_replication": "it repeats layers of the base model",
    "target_parameters": "it adapts parameters outside of linear layers",
}


class Increment(NamedTuple):
    """What an adapter adds to one frozen weight: ΔW = scale · (product of the factors).

    Attributes:
        factors: those of LoRA²; of one plane for AdaLoRA and LoRA, whose λ is 1.
        scale: the factor of ΔW.
    """

    factors: Factors
    scale: float


def increments_in(state: State, config: PeftConfig) -> dict[str, Increment]:
    """Return what an adapter as it is saved adds, by module name; zeroed ranks are cut.

    Args:
        state: the tensors of `adapter_model.safetensors`; left as they are.
        config: its configuration; left as it is.

    Raises:
        ValueError: the adapter is more than low-rank increments of linear layers on the untouched
            base model, or tensors and configuration do not fit each other.
    """
    if isinstance(config, Lora2Config):
        small = factors_in(prune_state(state, copy.copy(config)))
        return {name: Increment(matrix, config.increment_scale) for name, matrix in small.items()}
    _refuse_uncuttable(config)
    assert isinstance(config, LoraConfig)
    parts = _parts(state)
    if isinstance(config, AdaLoraConfig):
        return _of_adalora(parts, config)
    return {
        name: Increment(
            Factors((tensors["B"],), tensors["A"].new_ones(len(tensors["A"])), (tensors["A"],)),
            _lora_scale(name, len(tensors["A"]), config),
        )
        for name, tensors in parts.items()
    }


def beside(state: State) -> State:
    """Return the tensors that are saved beside the increments: `modules_to_save`."""
    return {key: tensor for key, tensor in state.items() if not re.search(r"\.lora2?_", key)}


def scale_in(layer: Any, adapter_name: str) -> float:
    """Return the scale that a LoRA or AdaLoRA layer of PEFT multiplies with right now."""
    scale = float(layer.scaling[adapter_name])
    ranks = getattr(layer, "ranknum", None)
    return scale if ranks is None else scale / _adalora_divisor(float(ranks[adapter_name]))


def _adalora_divisor(rank: float) -> float:
    return rank + 1e-5  # as PEFT has it


def _of_adalora(parts: dict[str, dict[str, Tensor]], config: AdaLoraConfig) -> dict[str, Increment]:
    matrices = [Factors((p["B"],), p["E"].view(-1), (p["A"],)) for p in parts.values()]
    increments = {}
    for name, matrix, keep in zip(parts, matrices, alive(matrices), strict=True):
        # PEFT divides by the rank of the start, whatever is left of it.
        alpha = config.lora_alpha if config.lora_alpha > 0 else len(matrix.values)
        scale = alpha / _adalora_divisor(config.init_r)
        increments[name] = Increment(strip_pruned(matrix, keep), scale)
    return increments


def _lora_scale(name: str, width: int, config: LoraConfig) -> float:
    ranks, alphas = config.rank_pattern or {}, config.alpha_pattern or {}
    rank = ranks.get(get_pattern_key(list(ranks), name), config.r)
    if rank != width:
        raise ValueError(
            f"The adapter's tensors do not fit its configuration: {name} is of rank {width}, but "
            f"`r` and `rank_pattern` say {rank}."
        )
    alpha = alphas.get(get_pattern_key(list(alphas), name), config.lora_alpha)
    return float(alpha / (math.sqrt(rank) if config.use_rslora else rank))


def _parts(state: State) -> dict[str, dict[str, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        if ".lora_" not in key:
            continue
        match = _KEY.fullmatch(key)
        part = match[2].removeprefix("lora_") if match else ""
        if match is None or part not in ("A", "B", "E") or tensor.ndim != 2:
            raise ValueError(
                f"{key} belongs to no linear layer: embeddings, convolutions and other layers "
                "cannot be cut. Leave them out of `target_modules`, or merge the adapter."
            )
        parts.setdefault(match[1], {})[part] = tensor
    if not parts or any({"A", "B"} - tensors.keys() for tensors in parts.values()):
        raise ValueError("The adapter's tensors hold no complete LoRA: there is nothing to cut.")
    return parts


def why_uncuttable(config: PeftConfig) -> str | None:
    """Say why an adapter of this configuration cannot be cut to a rank; ``None`` where it can.

    Only low-rank increments on the untouched base model can be.
    """
    if isinstance(config, Lora2Config):
        return None
    if not isinstance(config, LoraConfig):
        kind = getattr(config.peft_type, "value", config.peft_type)
        return f"This is a {kind} adapter, but only LoRA², LoRA and AdaLoRA can be cut to a rank."
    if _changes_the_base(config):
        return (
            f"Its start (`init_lora_weights: {config.init_lora_weights}`) may have changed the "
            "weights of the base model, which the adapter alone does not show."
        )
    return _more_than_added(config)


def _changes_the_base(config: LoraConfig) -> bool:
    return config.init_lora_weights not in _ADDITIVE_STARTS


def _refuse_uncuttable(config: PeftConfig) -> None:
    if (reason := why_uncuttable(config)) is None:
        return
    if not isinstance(config, LoraConfig):
        raise ValueError(reason)
    start = config.init_lora_weights
    if _changes_the_base(config):
        convertible = str(start).lower().startswith(_CONVERTIBLE_STARTS)
        remedy = (
            "Convert it to the untouched base model first: `save_pretrained(folder, "
            "path_initial_model_for_weight_conversion=...)` of PEFT writes a LoRA of twice the rank"
            if convertible
            else "Merge it with `merge_and_unload()` and keep the whole model"
        )
        raise ValueError(f"{reason} {remedy}.")
    raise ValueError(
        f"{reason} Merge the adapter with `merge_and_unload()` and keep the whole model."
    )


def _more_than_added(config: LoraConfig) -> str | None:
    own = {field.name for field in fields(AdaLoraConfig)} - {f.name for f in fields(LoraConfig)}
    for field in fields(config):
        if field.name in _FREE | own or getattr(config, field.name) == _default(field):
            continue
        reason = _REASONS.get(field.name, "that is more than B · A, added to a frozen weight")
        return f"`{field.name}: {getattr(config, field.name)}` cannot be cut to a rank: {reason}."
    return None


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Truncation:
    """Increments within their budget.

    Attributes:
        pairs: B `[d_out, ρ]` and A `[ρ, d_in]` per matrix, float64 wherever something was cut.
        kept_norm: share of the squared Frobenius norm of all increments that is left, in [0, 1].
    """

    pairs: list[Pair]
    kept_norm: float


def truncate(pairs: Sequence[Pair], rank: float, allocation: str = "global") -> Truncation:
    """Keep the largest singular values of several increments B · A.

    Args:
        pairs: B `[d_out, w]` and A `[w, d_in]` per matrix, with the scale inside; a matrix from
            which nothing is cut keeps its own.
        rank: N, the mean rank kept per matrix, a fraction too.
        allocation: "global" keeps the ⌊N · n⌋ largest of all n matrices (of equal ones the
            earlier: matrix order, then rank); "per-matrix" keeps N in each, and deals what a
            fraction leaves over in matrix order.

    Raises:
        ValueError: `rank` or `allocation` is out of its range, or a factor is not finite.
    """
    check_budget(rank, allocation)
    widths = [len(a) for _, a in pairs]
    limits = widths
    if allocation == "per-matrix":
        limits = [min(width, math.ceil(rank)) for width in widths]
    budget = ranks_in_all(rank, len(widths))
    if limits == widths and budget >= sum(widths):
        return Truncation(list(pairs), 1.0)
    spectra = [_svd(b, a) for b, a in pairs]
    ranks = _kept([values for _, values, _ in spectra], limits, budget, allocation)
    cut = [
        pair if kept == width else _leading(spectrum, kept)
        for pair, spectrum, kept, width in zip(pairs, spectra, ranks, widths, strict=True)
    ]
    squares = [values.square() for _, values, _ in spectra]
    remaining = sum(float(part[:kept].sum()) for part, kept in zip(squares, ranks, strict=True))
    total = sum(float(part.sum()) for part in squares)
    return Truncation(cut, remaining / total if total else 1.0)


def ranks_in_all(rank: float, matrices: int) -> int:
    """Return the budget ⌊N · n⌋, of N as it was written: 4.1 on 30 matrices is 123."""
    return int(Fraction(str(rank)) * matrices)


def check_budget(rank: Any, allocation: str) -> None:
    """Raise a ValueError where there is no such budget."""
    real = isinstance(rank, Real) and not isinstance(rank, bool)
    if not real or not 0 <= float(rank) < math.inf:
        raise ValueError(f"`rank` must be a number, at least 0, but got {rank!r}.")
    if allocation not in ALLOCATIONS:
        raise ValueError(
            f"`allocation` must be one of {', '.join(ALLOCATIONS)}, but got {allocation!r}."
        )


def _kept(
    spectra: Sequence[Tensor], limits: Sequence[int], budget: int, allocation: str
) -> list[int]:
    sizes = [len(values) for values in spectra]
    if allocation == "per-matrix":
        return shares(budget, [min(pair) for pair in zip(sizes, limits, strict=True)])
    mask = survivors(torch.cat(list(spectra)), budget)
    return [int(part.sum()) for part in mask.split(sizes)]


def _svd(b: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """SVD of B · A: `[d_out, p]`, `[p]`, `[p, d_in]`, p = min(d_out, w, d_in), float64."""
    exact = torch.float64
    b, a = b.to("cpu", exact), a.to("cpu", exact)
    if not (b.isfinite().all() and a.isfinite().all()):
        raise ValueError("The adapter holds numbers that are not finite: it cannot be cut.")
    left, left_triangle = torch.linalg.qr(b)
    right, right_triangle = torch.linalg.qr(a.mT)
    u, values, v = torch.linalg.svd(left_triangle @ right_triangle.mT, full_matrices=False)
    return left @ u, values, v @ right.mT


def _leading(spectrum: tuple[Tensor, Tensor, Tensor], kept: int) -> Pair:
    """B and A of the `kept` largest singular values, their roots on either side."""
    u, values, v = spectrum
    roots = values[:kept].sqrt()
    return u[:, :kept] * roots, roots.unsqueeze(1) * v[:kept]
