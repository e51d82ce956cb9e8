"""AdaLoRA as a baseline: PEFT's own, with its state in our checkpoints."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...adapter import as_steps, mean_orthogonality_error
from ...config import AdapterConfig

_AVERAGES = {"sensitivity": "exp_avg_ipt", "uncertainty": "exp_avg_unc"}


def adalora_schedule(adapter: AdapterConfig, total_steps: int) -> dict[str, int]:
    """Return AdaLoRA's names for the budget schedule of ``adapter`` over ``total_steps``."""
    return {
        "total_step": total_steps,
        "tinit": as_steps(adapter.t_init, total_steps),
        "tfinal": as_steps(adapter.t_final, total_steps),
        "deltaT": max(1, as_steps(adapter.delta_t, total_steps)),
    }


class AdaLora:
    """What the loop calls on PEFT's AdaLoRA; see ``lora2_search.training.models.methods.Adaptive``.

    PEFT adds its regulariser inside ``forward`` and only where labels are given, in evaluation too.
    The loop gives no labels: the task loss comes from the logits, and the regulariser from here.

    Args:
        tuner: PEFT's ``AdaLoraModel``; its scales are frozen, which PEFT forgets where the base
            model is not float32.
    """

    def __init__(self, tuner: Any) -> None:
        self._tuner = tuner
        self._config = tuner.peft_config[tuner.trainable_adapter_name]
        for name, parameter in tuner.model.named_parameters():
            if "ranknum" in name:
                parameter.requires_grad_(False)
        # Walking over all weights of the model at every step would cost more than the norms.
        self._factors = [
            parameter
            for name, parameter in tuner.model.named_parameters()
            if "lora_A" in name or "lora_B" in name
        ]

    def set_total_steps(self, total_steps: int) -> None:
        """Check that PEFT's schedule was made for this number of steps.

        Raises:
            ValueError: It is for another number of steps.
        """
        if total_steps != self._config.total_step:
            raise ValueError(
                f"AdaLoRA was made for {self._config.total_step} steps, but got {total_steps}"
            )

    def regularization(self) -> dict[str, Tensor]:
        """Return PEFT's ``orth_reg_weight`` times the mean of ‖XᵀX − I‖_F over all A and B.

        Taken on the smaller side of each, which is r, as in PEFT, unless r exceeds a layer's width.
        """
        return {"outer": self._config.orth_reg_weight * mean_orthogonality_error(self._factors)}

    def update_and_allocate(self, step: int, grad_scale: float | Tensor = 1.0) -> None:
        """Score and mask after optimiser step ``step``, 1 .. T, as PEFT does."""
        self._tuner.update_and_allocate(step)

    def kept_rank(self) -> int:
        """Return the number of singular values still alive."""
        return sum(self.rank_pattern().values())

    def rank_pattern(self) -> dict[str, int]:
        """Return the kept rank by adapted module: of the latest mask, all before the first."""
        masks = self._config.rank_pattern or {}
        kept = {_module(name): sum(mask) for name, mask in masks.items()}
        return kept or {_module(name): len(values) for name, values in self._values()}

    def allocator_state(self) -> dict[str, Tensor]:
        """Return PEFT's averages and masks, which its own checkpoints leave out."""
        allocator = self._tuner.rankallocator
        state = {
            f"{ours}.{name}": average
            for ours, theirs in _AVERAGES.items()
            for name, average in getattr(allocator, theirs).items()
        }
        masks = (self._config.rank_pattern or {}).items()
        return state | {f"mask.{name}": torch.tensor(mask) for name, mask in masks}

    def load_allocator_state(self, state: dict[str, Tensor]) -> None:
        """Take that state back."""
        allocator = self._tuner.rankallocator
        devices = {name: p.device for name, p in self._tuner.model.named_parameters()}
        allocator.reset_ipt()
        for full, tensor in state.items():
            kind, _, name = full.partition(".")
            if kind != "mask":
                getattr(allocator, _AVERAGES[kind])[name] = tensor.to(devices[name])
                # PEFT starts the averages anew for a name that it has not seen.
                allocator.ipt[name] = torch.zeros_like(tensor, device=devices[name])
        masks = {
            full.partition(".")[2]: tensor.tolist()
            for full, tensor in state.items()
            if full.startswith("mask.")
        }
        # In the model's order, as PEFT writes it: safetensors sorts its names.
        self._config.rank_pattern = {
            name: masks[name] for name, _ in self._values() if name in masks
        } or None

    def _values(self) -> list[tuple[str, Tensor]]:
        return [(n, p) for n, p in self._tuner.model.named_parameters() if "lora_E" in n]


def _module(name: str) -> str:
    return name.partition(".lora_E")[0]
