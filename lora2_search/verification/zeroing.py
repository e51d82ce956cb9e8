"""The truth that scores guess at: how much the loss grows when one singular value is set to 0."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..adapter.factors import Factors
from ..training.tasks import Kind

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
