"""Scores against the truth: what the loss does when each singular value is zeroed in turn."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..training.seeds import named_seed
from .shadows import Shadows
from .watch import Watch, evenly
from .zeroing import Batch, Zeroing


class TruthProbe:
    """At some steps, keeps every scoring's scores beside ΔL of every λᵢ := 0.

    Beside an unpruned run: where λᵢ is 0 already its ΔL is 0 and says nothing. The sentences are
    a seeded part of the validation split, the same at every step; their two halves are kept
    apart, so that how far the truth repeats itself is known too.
    """

    def __init__(self, watch: Watch, shadows: Shadows) -> None:
        self._watch, self._shadows = watch, shadows
        self._schedule = watch.schedule()
        last = self._schedule.last_mask
        middle = (self._schedule.t_init + last) // 2
        self._at = evenly(middle, last - 1, watch.plan.truth_points)
        self._points: list[dict[str, Any]] = []
        batches, self._first = self._batches()
        kind = watch.prepared.trainer.kind
        self._zeroing = Zeroing(watch.model, watch.matrices(), batches, kind)

    def step(self, step: int) -> None:
        """Show the step to the scorings; measure when it is time."""
        if step == 0 or not self._schedule.scores_at(step):
            return
        self._shadows.update(step)
        if step in self._at:
            self._points.append(self._measured(step))

    def result(self) -> dict[str, Any]:
        """Return per step: ΔL by singular value and by half, scores, seconds."""
        return {"points": self._points, "sentences": len(self._first)}

    def _measured(self, step: int) -> dict[str, Any]:
        begun = time.perf_counter()
        changes = self._zeroing.changes()  # [Σr, sentences]
        halves = changes[:, self._first], changes[:, ~self._first]
        return {
            "step": step,
            "change": changes.mean(dim=1).tolist(),
            "halves": [part.mean(dim=1).tolist() for part in halves],
            "scores": {name: score.tolist() for name, score in self._shadows.scores().items()},
            "seconds": time.perf_counter() - begun,
        }

    def _batches(self) -> tuple[list[Batch], Tensor]:
        """Return the sentences, shorter and longer apart, and which are of the first half."""
        prepared = self._watch.prepared
        trainer, split = prepared.trainer, prepared.encoded["validation"]
        order = np.random.default_rng(named_seed(self._watch.seed, "truth")).permutation(len(split))
        drawn = order[: self._watch.plan.truth_sentences]
        first = set(drawn[: len(drawn) // 2].tolist())
        rows = drawn[np.argsort(split.lengths[drawn], kind="stable")].tolist()
        device = trainer.accelerator.device
        batches = []
        # Two forwards: a batch is as long as its longest sentence.
        for part in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            inputs = {n: v.to(device) for n, v in trainer.collate(split.rows(part)).items()}
            batches.append(Batch(inputs, torch.tensor(split.labels[part], dtype=torch.float64)))
        return batches, torch.tensor([row in first for row in rows])
