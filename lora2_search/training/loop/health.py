"""The method's failure signatures, watched in every run; each flag names the setting to turn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import torch
from torch import Tensor

from ...store import Flag

NOISES = 2.0  # how many standard errors a score may fall where ranks were cut

DOMINATED = 0.1  # share of steps in which the regularisers may outweigh the task's loss

SPIKE = 10.0  # how many times its running median a gradient's norm may reach

MEMORY = 0.9  # share of the device's memory that a run may take

_WINDOW = 101  # norms in the running median

_FEWEST = 20  # norms before it counts


@dataclass
class HealthState:
    """What has been seen so far; it lies in the checkpoint, so all of it is plain values."""

    steps: int = 0
    dominated: int = 0
    norms: list[float] = field(default_factory=list)
    spikes: int = 0
    highest: float = 0.0
    highest_step: int = 0
    not_finite: int | None = None
    evaluated: int | None = None
    score: float = math.nan
    kept: int = 0
    drops: int = 0
    drop: dict[str, float] = field(default_factory=dict)


class Health:
    """Watches one run without waiting for the device in between.

    Every step leaves two numbers on the device; ``look``, called where the loop
    reads its losses anyway, fetches them all at once.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Tensor, Tensor | None]] = []
        self._seen = HealthState()

    def stepped(self, step: int, excess: Tensor, norm: Tensor | None) -> None:
        """Note one optimiser step.

        Args:
            step: Optimiser steps done.
            excess: Regularisers minus task loss, a scalar; the sum over accumulated batches.
            norm: Norm of the gradient before clipping, a scalar; ``None`` for a step that a
                gradient scaler skipped.
        """
        self._waiting.append((step, excess.detach(), None if norm is None else norm.detach()))

    def look(self) -> None:
        """Fetch and judge what was noted since the last look."""
        if not self._waiting:
            return
        steps, excesses, norms = zip(*self._waiting, strict=True)
        known = [norm.float() for norm in norms if norm is not None]
        values = torch.stack([*(excess.float() for excess in excesses), *known]).tolist()
        self._waiting = []
        self._seen.steps += len(steps)
        self._seen.dominated += sum(value > 0 for value in values[: len(steps)])
        taken = [step for step, norm in zip(steps, norms, strict=True) if norm is not None]
        for step, norm in zip(taken, values[len(steps) :], strict=True):
            self._judge(step, norm)

    def evaluated(self, step: int, score: float, kept: int, noise: Callable[[], float]) -> None:
        """Compare an evaluation with the one before it, where ranks were cut in between.

        Args:
            step: Optimiser steps done.
            score: Primary metric on the validation split.
            kept: Singular values alive.
            noise: Gives the standard error of ``score``; asked only where the score fell.
        """
        seen = self._seen
        fall = seen.score - score
        if seen.evaluated is not None and kept < seen.kept and fall > 0:
            error = noise()
            if fall > NOISES * error:
                seen.drops += 1
                if fall > seen.drop.get("fall", 0.0):
                    seen.drop = {"fall": fall, "noise": error, "from": seen.evaluated, "to": step}
                    seen.drop |= {"kept_before": seen.kept, "kept": kept}
        seen.evaluated, seen.score, seen.kept = step, score, kept

    def flags(self, *, clipped: bool, peak_mb: float, memory_mb: float) -> list[Flag]:
        """Return what is wrong so far, at most one flag per signature.

        Args:
            clipped: Whether gradients are clipped: decides which setting is named.
            peak_mb: Peak memory of the run in MiB.
            memory_mb: Memory of its device, or of the machine, in MiB.
        """
        found = [
            self._score_drop(),
            self._regulariser(),
            self._gradient(clipped),
            _memory(peak_mb, memory_mb),
        ]
        return [flag for flag in found if flag is not None]

    def state(self) -> HealthState:
        """Return what has been seen; nothing may be waiting for a look."""
        assert not self._waiting
        return self._seen

    def load_state(self, state: HealthState) -> None:
        """Take over what ``state`` gave."""
        self._seen = state

    def _judge(self, step: int, norm: float) -> None:
        seen = self._seen
        if not math.isfinite(norm):
            seen.not_finite = seen.not_finite or step
            return
        usual = median(seen.norms) if len(seen.norms) >= _FEWEST else 0.0
        if usual > 0 and norm > SPIKE * usual:
            seen.spikes += 1
            if norm / usual > seen.highest:
                seen.highest, seen.highest_step = norm / usual, step
        seen.norms = [*seen.norms, norm][-_WINDOW:]

    def _score_drop(self) -> Flag | None:
        if not self._seen.drops:
            return None
        worst = self._seen.drop
        detail = (
            f"the validation score fell by {worst['fall']:.4f}, more than twice its standard error "
            f"({worst['noise']:.4f}), between steps {worst['from']:.0f} and {worst['to']:.0f}, "
            f"where ranks were cut from {worst['kept_before']:.0f} to {worst['kept']:.0f}; prune "
            "later, more slowly (adapter.t_final) or less (adapter.target_rank)"
        )
        return Flag(name="score-drop", detail=detail, setting="adapter.t_init")

    def _regulariser(self) -> Flag | None:
        seen = self._seen
        if seen.dominated <= DOMINATED * seen.steps:
            return None
        detail = (
            f"the regularisers outweighed the task's loss in {seen.dominated} of {seen.steps} steps"
        )
        return Flag(name="regulariser", detail=detail, setting="adapter.gamma")

    def _gradient(self, clipped: bool) -> Flag | None:
        seen = self._seen
        parts = []
        if seen.not_finite is not None:
            parts.append(f"the gradient was not finite at step {seen.not_finite}")
        if seen.spikes:
            parts.append(
                f"its norm was above {SPIKE:.0f} times its running median in {seen.spikes} "
                f"step(s), at most {seen.highest:.1f} times (step {seen.highest_step})"
            )
        if not parts:
            return None
        setting = "training.lr" if clipped else "training.max_grad_norm"
        return Flag(name="gradient", detail="; ".join(parts), setting=setting)


def _memory(peak_mb: float, memory_mb: float) -> Flag | None:
    if peak_mb <= MEMORY * memory_mb:
        return None
    detail = f"the run took {peak_mb:,.0f} of {memory_mb:,.0f} MiB ({peak_mb / memory_mb:.0%})"
    return Flag(name="memory", detail=detail, setting="training.batch_size")
