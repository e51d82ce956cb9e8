"""Checkpoints: safetensors and JSON, written whole or not at all, exact to the bit."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import UserError
from ...store import CHECKPOINT_FOLDER, CHECKPOINT_STATE, Damaged, Point
from ..models.methods import Adaptive
from .health import HealthState

_KEEP = 2


@dataclass
class Progress:
    """Everything that decides how a run continues.

    Attributes:
        model: Trained weights live here (read and written in place).
        adaptive: Importance averages and mask live here.
        optimizer: Moments and step counts.
        scheduler: Learning-rate schedule.
        scaler: Gradient scaler of mixed precision, or ``None``.
    """

    model: nn.Module
    adaptive: Adaptive
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    scaler: Any = None


@dataclass(frozen=True)
class Kept:
    """What a checkpoint keeps beside ``Progress``.

    Attributes:
        step: Optimiser steps done; with the run's seed it gives the position in the data.
        history: Metrics by step, in order.
        timings: Seconds, as in the record.
        health: What has been seen of the run's health.
        code_hash: Of the code that wrote it; ``None`` in older checkpoints.
    """

    step: int
    history: list[Point]
    timings: dict[str, float]
    health: HealthState
    code_hash: str | None


def save_checkpoint(folder: Path, progress: Progress, kept: Kept) -> None:
    """Write a checkpoint under ``folder/checkpoint`` and drop all but the last two.

    Args:
        folder: The run's folder.
        progress: What is saved.
        kept: What is kept beside it.
    """
    from safetensors.torch import save_file

    root = folder / CHECKPOINT_FOLDER
    temporary = root / f".{kept.step}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    # Not with parents: a home that vanished must not come to life under its mount point.
    root.mkdir(exist_ok=True)
    temporary.mkdir()
    save_file(_tensors(progress), temporary / "state.safetensors")
    plain = {
        "step": kept.step,
        "scheduler": progress.scheduler.state_dict(),
        "scaler": progress.scaler.state_dict() if progress.scaler else None,
        "history": [point.model_dump() for point in kept.history],
        "timings": kept.timings,
        "health": asdict(kept.health),
        "code_hash": kept.code_hash,
    }
    (temporary / CHECKPOINT_STATE).write_text(json.dumps(plain), encoding="utf-8")
    target = root / f"{kept.step:08d}"
    shutil.rmtree(target, ignore_errors=True)
    os.replace(temporary, target)
    for old in _steps(root)[:-_KEEP]:
        shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(folder: Path, progress: Progress) -> Kept | None:
    """Put the latest checkpoint of a run back into ``progress``.

    Returns:
        What was kept beside it; ``None`` where there is no checkpoint.

    Raises:
        UserError: The checkpoint cannot be read, or is of another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found = _steps(folder / CHECKPOINT_FOLDER)
    if not found:
        return None
    try:
        tensors = load_file(found[-1] / "state.safetensors")
        plain = json.loads((found[-1] / CHECKPOINT_STATE).read_text(encoding="utf-8"))
        kept = _kept(plain)
        _restore(tensors, progress)
        _restore_schedule(plain["scheduler"], plain["scaler"], progress)
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError) as error:
        raise UserError(
            f"the checkpoint {found[-1]} cannot be loaded: {error}; "
            "delete it to resume from the one before, or its parent folder to start over"
        ) from None
    return kept


def has_checkpoint(folder: Path) -> bool:
    """Return whether a run has a checkpoint to resume from, damaged or not."""
    return bool(_steps(folder / CHECKPOINT_FOLDER))


def remove_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a run that is complete."""
    shutil.rmtree(folder / CHECKPOINT_FOLDER, ignore_errors=True)


def _steps(root: Path) -> list[Path]:
    if root.exists() and not root.is_dir():
        raise Damaged(root, "it is not a folder", "delete it to start the run over")
    return sorted(root.glob("[0-9]*"))


def _kept(plain: Mapping[str, Any]) -> Kept:
    if lost := [key for key in ("step", "history", "timings", "health") if key not in plain]:
        raise ValueError(f"{CHECKPOINT_STATE} holds no {lost[0]}")
    return Kept(
        step=plain["step"],
        history=[Point.model_validate(point) for point in plain["history"]],
        timings=plain["timings"],
        health=HealthState(**plain["health"]),
        code_hash=plain.get("code_hash"),
    )


def _restore_schedule(schedule: dict[str, Any], scaler: Any, progress: Progress) -> None:
    progress.scheduler.load_state_dict(schedule)
    # A schedule hands the next step its rate when it steps, not when it is loaded.
    rates = progress.scheduler.get_last_lr()
    for group, rate in zip(progress.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    if progress.scaler and scaler:
        progress.scaler.load_state_dict(scaler)


def _tensors(progress: Progress) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {"rng.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["rng.cuda"] = torch.cuda.get_rng_state()
    for name, parameter in _trained(progress.model):
        tensors[f"model.{name}"] = parameter.detach()
        for key, value in progress.optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{name}/{key}"] = torch.as_tensor(value)
    for name, value in progress.adaptive.allocator_state().items():
        tensors[f"allocator.{name}"] = value
    # clone: safetensors refuses tensors that share storage
    return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}


def _restore(tensors: dict[str, Tensor], progress: Progress) -> None:
    moments: dict[str, dict[str, Tensor]] = {}
    for full, value in _section(tensors, "optimizer.").items():
        name, _, key = full.rpartition("/")
        moments.setdefault(name, {})[key] = value
    weights = _section(tensors, "model.")
    with torch.no_grad():
        for name, parameter in _trained(progress.model):
            parameter.copy_(weights[name])
            if name in moments:
                progress.optimizer.state[parameter] = {
                    key: _laid_out_like(parameter, value) for key, value in moments[name].items()
                }
    progress.adaptive.load_allocator_state(_section(tensors, "allocator."))
    torch.set_rng_state(tensors["rng.cpu"])
    if torch.cuda.is_available() and "rng.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["rng.cuda"])


def _laid_out_like(parameter: nn.Parameter, value: Tensor) -> Tensor:
    """Return ``value`` on the weight's device, with its strides: fused kernels rely on them."""
    if value.shape != parameter.shape:
        return value.to(parameter.device)
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _section(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _trained(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]
