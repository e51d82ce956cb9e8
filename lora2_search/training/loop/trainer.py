"""The training loop: batch, task loss, regularisers, backward, clip, step, allocate."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...config import TrainingConfig
from ...errors import UserError
from ...store import Point
from ..data.tokens import Encoded, train_batches
from ..kinds.kind import TaskKind
from ..seeds import named_seed
from .checkpoint import Progress
from .health import Health
from .plan import Plan
from .processes import average, check_same, part_of


class Diverged(UserError):
    """The loss or a gradient is no longer finite."""


def optimizer_for(
    model: nn.Module, training: TrainingConfig, heads: list[str], loraplus_lr_ratio: float = 1.0
) -> torch.optim.AdamW:
    """Return AdamW with two learning rates, adapter and head.

    A LoRA's B learns ``loraplus_lr_ratio`` times as fast as its A, in the groups of PEFT's
    ``create_loraplus_optimizer``, which knows no rate for the head.

    Biases are not decayed, nor are singular values: they tell what is pruned, and from
    ``init: lora`` they start at 1.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            head = any(part in heads for part in name.split("."))
            lr = training.head_lr if head and training.head_lr else training.lr
            lr *= loraplus_lr_ratio if "lora_B" in name else 1.0
            plain = name.endswith("bias") or "lora2_lambda" in name
            decay = 0.0 if plain else training.weight_decay
            groups.setdefault((lr, decay), []).append(parameter)
    parameters = [{"params": p, "lr": lr, "weight_decay": wd} for (lr, wd), p in groups.items()]
    # Nothing is trained: an optimiser with nothing to do, for a loop that takes no step.
    parameters = parameters or [{"params": [], "lr": training.lr, "weight_decay": 0.0}]
    return torch.optim.AdamW(parameters, fused=True)


def schedule_for(
    optimizer: torch.optim.Optimizer, training: TrainingConfig, total: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the learning-rate schedule over ``total`` steps, warm-up first."""
    from transformers import get_scheduler

    warmup = training.warmup
    steps = warmup if isinstance(warmup, int) else round(warmup * total)
    name = "constant_with_warmup" if training.lr_schedule == "constant" else training.lr_schedule
    return get_scheduler(name, optimizer, num_warmup_steps=steps, num_training_steps=total)


@dataclass
class Trainer:
    """Takes optimiser steps; what it holds beside ``progress`` and ``health`` decides nothing.

    Attributes:
        accelerator: Accelerate's, prepared with model and optimiser.
        progress: Model, method, optimiser, schedule.
        train: The tokenised training split.
        training: Settings of the loop.
        kind: Collates a batch and gives its loss.
        seed: The run's seed, for the order of the data.
        plan: Steps and evaluations.
        health: Watches the losses and gradients.
    """

    accelerator: Any
    progress: Progress
    train: Encoded
    training: TrainingConfig
    kind: TaskKind
    seed: int
    plan: Plan
    health: Health = field(default_factory=Health)
    _sums: dict[str, Tensor] = field(default_factory=dict)

    def advance(self, done: int, stop: int) -> Iterator[Point]:
        """Take the steps ``done + 1`` .. ``stop`` and yield a point every few of them.

        Raises:
            Diverged: The loss or a gradient is no longer finite.
        """
        step = done
        for batches in self._steps(done):
            if step == stop:
                return
            step += 1
            self._step(batches, step)
            if step % self.plan.log_every == 0 or step == stop:
                yield self._point(step)

    def _steps(self, done: int) -> Iterator[list[list[int]]]:
        """Yield, for each step from ``done`` on, the batches that it accumulates."""
        size, accumulation = self.training.batch_size, self.training.accumulation
        epoch, skip = divmod(done, self.plan.per_epoch)
        while True:
            batches = train_batches(self.train.lengths, size, self.seed, epoch)
            for at in range(skip * accumulation, len(batches), accumulation):
                yield batches[at : at + accumulation]
            epoch, skip = epoch + 1, 0

    def tokens(self, steps: int) -> tuple[int, int]:
        """Return how many tokens the first steps read, and how many positions with padding."""
        tokens = positions = 0
        count = self.accelerator.num_processes
        for batches, _ in zip(self._steps(0), range(steps), strict=False):
            parts = [rows[rank::count] for rows in batches for rank in range(count)]
            lengths = [self.train.lengths[rows] for rows in parts if rows]
            tokens += sum(int(some.sum()) for some in lengths)
            positions += sum(int(some.max()) * len(some) for some in lengths)
        return tokens, positions

    def _step(self, batches: list[list[int]], step: int) -> None:
        model, optimizer = self.progress.model, self.progress.optimizer
        model.train()
        self._seed_dropout(step)
        # An epoch's last step may accumulate fewer batches: the mean is over those it has.
        self.accelerator.gradient_accumulation_steps = len(batches)
        excess = torch.zeros((), device=self.accelerator.device)  # regularisers minus task loss
        shares = self.kind.shares(self.train, batches)
        for index, rows in enumerate(batches):
            self.accelerator.sync_gradients = index == len(batches) - 1
            own, weight = self._own(rows)
            batch = self.kind.collate(self.train, own).to(self.accelerator.device)
            loss = self.kind.loss(model, batch) * weight
            if shares is not None:
                loss = loss * shares[index]
            terms = self.progress.adaptive.regularization()
            total = torch.stack([loss, *terms.values()]).sum()
            self.accelerator.backward(total)
            # R(u₁) begins at its largest value from `init: lora`: no sign of too strong a weight.
            excess = excess + (total - 2 * loss - terms.get("u1", 0)).detach()
            self._note({"train/loss": loss, **{f"train/{n}": t for n, t in terms.items()}})
        average(self.accelerator, [*self._gradients(), excess])
        norm = self._clip()
        optimizer.step()
        # The scaler of fp16 finds its scale by steps whose gradients overflow, and skips them.
        skipped = self.accelerator.optimizer_step_was_skipped
        self.health.stepped(step, excess, None if skipped else norm)
        if not skipped:
            self._note({"train/grad_norm": norm})
            # After the step, or Adam's momentum would revive a masked value; before the
            # gradients are cleared, because importance is weight times gradient.
            self.progress.adaptive.update_and_allocate(step, self._clipped_by(norm))
            self.progress.scheduler.step()
        optimizer.zero_grad()

    def check_same(self, step: int) -> None:
        """Make sure that the processes of this run start from the same step and weights.

        Raises:
            RuntimeError: They do not.
        """
        trained = [p for p in self.progress.model.parameters() if p.requires_grad]
        check_same(self.accelerator, "weights or steps", [torch.tensor([step]), *trained])

    def _meet(self, step: int) -> None:
        """Average what was noted over the processes, and compare their masks."""
        average(self.accelerator, self._sums.values())
        state = self.progress.adaptive.allocator_state()
        masks = [tensor for name, tensor in state.items() if name.startswith("mask")]
        check_same(self.accelerator, f"masks at step {step}", masks)

    def _own(self, rows: list[int]) -> tuple[list[int], float]:
        """Return this process's examples of a batch, and what their loss counts for."""
        rank, count = self.accelerator.process_index, self.accelerator.num_processes
        return (rows, 1.0) if count == 1 else part_of(self.kind, self.train, rows, rank, count)

    def _seed_dropout(self, step: int) -> None:
        """Let each of several processes draw its own, whatever was drawn before a resume."""
        if self.accelerator.num_processes > 1:
            rank = self.accelerator.process_index
            torch.manual_seed(named_seed(self.seed, "dropout", rank, step))

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self.progress.optimizer.param_groups for p in group["params"]]

    def _gradients(self) -> list[Tensor]:
        return [p.grad for p in self._parameters() if p.grad is not None]

    def _clip(self) -> Tensor:
        """Clip the gradients, where that is asked for, and return their norm before it."""
        parameters = self._parameters()
        if self.training.max_grad_norm is not None:
            norm = self.accelerator.clip_grad_norm_(parameters, self.training.max_grad_norm)
            return torch.as_tensor(norm)
        self.accelerator.unscale_gradients()
        return torch.nn.utils.get_total_norm(self._gradients())

    def _clipped_by(self, norm: Tensor) -> float | Tensor:
        """Return what clipping multiplied gradients with whose norm was ``norm``."""
        largest = self.training.max_grad_norm
        # As torch's clip_grad_norm_ has it.
        return 1.0 if largest is None else (largest / (norm + 1e-6)).clamp(max=1.0)

    def _note(self, values: Mapping[str, Tensor | float]) -> None:
        for name, value in values.items():
            value = torch.as_tensor(value).detach()
            pair = torch.stack([value, torch.ones_like(value)])
            self._sums[name] = self._sums[name] + pair if name in self._sums else pair

    def _point(self, step: int) -> Point:
        self.health.look()
        if self.accelerator.num_processes > 1:
            self._meet(step)
        means: dict[str, float] = {
            name: (pair[0] / pair[1]).item() for name, pair in self._sums.items()
        }
        self._sums = {}
        bad = [name for name, value in means.items() if not math.isfinite(value)]
        if bad:
            raise Diverged(
                f"{bad[0]} is no longer finite at step {step} of {self.plan.total}; "
                "lower training.lr or adapter.gamma, or set training.max_grad_norm"
            )
        means["train/lr"] = float(self.progress.scheduler.get_last_lr()[0])
        kept = self.progress.adaptive.kept_rank()
        if kept or self.progress.adaptive.rank_pattern():
            means["rank/kept"] = float(kept)
        return Point(step=step, time_ms=now_ms(), metrics=means)


def named_dropout(seed: int) -> None:
    """Seed the generator that dropout draws from, by the run's seed and this one purpose."""
    torch.manual_seed(named_seed(seed, "dropout"))


def now_ms() -> int:
    """Return Unix time in milliseconds."""
    return int(time.time() * 1000)
