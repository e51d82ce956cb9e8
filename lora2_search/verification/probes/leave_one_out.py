"""The loss without each value, as the truth that scores are held against."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...adapter import Factors
from ...config import Kind
from ...training import named_seed
from ..measurements import Measurements, TruthPoint, TruthResult
from .shadows import Shadows
from .watch import Watch, evenly

_BLOCK = re.compile(r"^(.+?)\.(\d+)\.")


@dataclass(frozen=True)
class Batch:
    """Sentences whose loss is measured, on the model's device.

    Attributes:
        inputs: What the model takes, by name.
        labels: ``[b]`` class numbers or values, floating point.
    """

    inputs: dict[str, Tensor]
    labels: Tensor


class Zeroing:
    """Measures ΔL of λᵢ := 0, all other weights kept, for every singular value in turn.

    Blocks before the one that holds λᵢ give what they gave before, so their outputs are kept and
    not computed again: on average that halves the work and changes no number.

    Args:
        model: The model, whose modules are named as in ``matrices`` below PEFT's wrapper.
        matrices: Factors by module name.
        batches: The sentences.
        kind: Classes or numbers.
    """

    def __init__(
        self, model: nn.Module, matrices: dict[str, Factors], batches: Sequence[Batch], kind: Kind
    ) -> None:
        self._model, self._matrices, self._batches, self._kind = model, matrices, batches, kind
        self._blocks = _blocks(model, list(matrices))

    @torch.no_grad()
    def changes(self) -> Tensor:
        """Return each sentence's ``loss(λᵢ = 0) − loss``, ``[Σr, sentences]`` float64 on the CPU.

        The model is left as it was, bit for bit, also in its mode; dropout is off meanwhile.
        """
        training = self._model.training
        self._model.eval()
        try:
            return torch.cat([self._changes(batch) for batch in self._batches], dim=1)
        finally:
            self._model.train(training)

    def _changes(self, batch: Batch) -> Tensor:
        with self._recorded() as outputs:
            before = self._losses(batch)
        rows = []
        for module, matrix in self._matrices.items():
            with self._replayed(module, outputs):
                for index in range(len(matrix.values)):
                    kept = matrix.values[index].clone()
                    matrix.values[index] = 0
                    rows.append(self._losses(batch) - before)
                    matrix.values[index] = kept
        return torch.stack(rows)

    def _losses(self, batch: Batch) -> Tensor:
        logits = self._model(**batch.inputs).logits.double().cpu()
        labels = batch.labels.double().cpu()
        if self._kind == "regression":
            return (logits.squeeze(-1) - labels) ** 2
        return F.cross_entropy(logits, labels.long(), reduction="none")

    @contextmanager
    def _recorded(self) -> Iterator[list[Any]]:
        outputs: list[Any] = []
        hooks = [
            block.register_forward_hook(lambda module, inputs, output: outputs.append(output))
            for block in self._blocks
        ]
        try:
            yield outputs
        finally:
            for hook in hooks:
                hook.remove()

    @contextmanager
    def _replayed(self, module: str, outputs: Sequence[Any]) -> Iterator[None]:
        """Let the blocks before the one that holds ``module`` give what they gave before."""
        # A block that a forward calls twice (ALBERT's) cannot be told from its outputs.
        if not isinstance(self._blocks, nn.ModuleList) or len(outputs) != len(self._blocks):
            yield
            return
        match = _BLOCK.match(module)
        assert match is not None
        originals = list(self._blocks[: int(match[2])])
        for index in range(len(originals)):
            self._blocks[index] = _Replay(outputs[index])
        try:
            yield
        finally:
            for index, block in enumerate(originals):
                self._blocks[index] = block


class _Replay(nn.Module):
    """Gives what it was made with, whatever it is given."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self._output = output

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._output


def _blocks(model: nn.Module, names: Sequence[str]) -> nn.ModuleList | tuple[()]:
    """Return the one list of blocks that holds all adapted modules; nothing where there is none."""
    matches = [_BLOCK.match(name) for name in names]
    if not all(matches) or len({match[1] for match in matches if match}) != 1:
        return ()
    ending = f".{matches[0][1]}" if matches[0] else ""
    found = [m for name, m in model.named_modules() if f".{name}".endswith(ending)]
    lists = [module for module in found if isinstance(module, nn.ModuleList)]
    return lists[0] if len(lists) == 1 else ()


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
        self._points: list[TruthPoint] = []
        batches, self._first = self._batches()
        kind = watch.prepared.trainer.kind.name
        self._zeroing = Zeroing(watch.model, watch.matrices(), batches, kind)

    def step(self, step: int) -> None:
        """Show the step to the scorings; measure when it is time."""
        if step == 0 or not self._schedule.scores_at(step):
            return
        self._shadows.update(step)
        if step in self._at:
            self._points.append(self._measured(step))

    def result(self) -> Measurements:
        """Return per step: ΔL by singular value and by half, scores, seconds."""
        return Measurements(truth=TruthResult(tuple(self._points), len(self._first)))

    def _measured(self, step: int) -> TruthPoint:
        begun = time.perf_counter()
        changes = self._zeroing.changes()  # [Σr, sentences]
        return TruthPoint(
            step=step,
            change=_means(changes),
            halves=(_means(changes[:, self._first]), _means(changes[:, ~self._first])),
            scores={name: tuple(s.tolist()) for name, s in self._shadows.scores().items()},
            seconds=time.perf_counter() - begun,
        )

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
            inputs = trainer.kind.collate(split, part).to(device).inputs
            batches.append(Batch(inputs, torch.tensor(split.labels[part], dtype=torch.float64)))
        return batches, torch.tensor([row in first for row in rows])


def _means(changes: Tensor) -> tuple[float, ...]:
    return tuple(changes.mean(dim=1).tolist())
