"""How much each singular value matters: what decides which of them are pruned.

A scoring sees the factors once per optimiser step (`update`) and gives one score per singular
value when a mask is due (`scores`), all matrices in order. Its `state` decides the future, so it
is saved and loaded with a checkpoint.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Protocol

import torch
from torch import Tensor

from .factors import Factors, named_generator


class Scoring(Protocol):
    """Ranks singular values; `RankAllocator` keeps those with the highest scores."""

    def update(self, matrices: Sequence[Factors]) -> None:
        """Take in one optimiser step: the weights after it, with their gradients."""

    def scores(self) -> Tensor:
        """One score per singular value, `[Σr]`: matrices in order, then rank."""

    def state(self) -> dict[str, Tensor]:
        """The flat tensors that decide all later scores."""

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` gave."""


class ReducedScoring:
    """The paper's score, from λ and the innermost plane alone:

        s(λᵢ) + mean s(U[:, i]) + mean s(V[i, :])        s = Ī · Ū

    with, element by element and from 0,

        I = |w · ∂L/∂w|    Ī ← β₁ Ī + (1−β₁) I    Ū ← β₂ Ū + (1−β₂) |I − Ī|

    All scored weights lie in one flat vector (every λ, then every U, then every V), so a step
    costs a handful of kernels however many matrices there are.

    Args:
        matrices: the factors to score, in order; only their shapes are used here.
        beta1: decay of the averaged sensitivity Ī.
        beta2: decay of the averaged uncertainty Ū.
    """  # noqa: D415 - the formula ends the sentence

    def __init__(self, matrices: Sequence[Factors], beta1: float, beta2: float) -> None:
        self._beta1, self._beta2 = beta1, beta2
        self._sides = (
            [m.left[-1].shape for m in matrices],
            [m.right[-1].shape for m in matrices],
        )
        weights = _flat(_scored(matrices))
        self._sensitivity = torch.zeros_like(weights)
        self._uncertainty = torch.zeros_like(weights)

    def update(self, matrices: Sequence[Factors]) -> None:
        """Average one step's sensitivity.

        A weight without a gradient (its module took no part in the step) counts as 0.

        Raises:
            RuntimeError: no weight has a gradient.
        """
        scored = _scored(matrices)
        if all(weight.grad is None for weight in scored):
            raise RuntimeError(
                "No gradient to score: call `update_and_allocate(step)` after "
                "`optimizer.step()` and before `optimizer.zero_grad()`."
            )
        gradients = [torch.zeros_like(w) if w.grad is None else w.grad for w in scored]
        importance = _flat(scored).mul_(_flat(gradients)).abs_()
        # The model may have moved to another device since the averages were made.
        self._sensitivity = self._sensitivity.to(importance.device)
        self._uncertainty = self._uncertainty.to(importance.device)
        self._sensitivity.mul_(self._beta1).add_(importance, alpha=1 - self._beta1)
        deviation = importance.sub_(self._sensitivity).abs_()
        self._uncertainty.mul_(self._beta2).add_(deviation, alpha=1 - self._beta2)

    def scores(self) -> Tensor:
        """The reduced score of every singular value, `[Σr]`."""
        left, right = self._sides
        sizes = [sum(shape.numel() for shape in side) for side in self._sides]
        score = self._sensitivity * self._uncertainty
        values, u, v = score.split([len(score) - sum(sizes), *sizes])
        return values + _means(u, left, over=0) + _means(v, right, over=1)

    def state(self) -> dict[str, Tensor]:
        """Both averages, flat."""
        return {"sensitivity": self._sensitivity, "uncertainty": self._uncertainty}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over both averages."""
        self._sensitivity.copy_(state["sensitivity"])
        self._uncertainty.copy_(state["uncertainty"])


class RandomScoring:
    """A fixed random priority per singular value: the control for "does the ranking matter?".

    Drawn once, so that the masks of a schedule are nested and a run differs from an importance
    run in nothing but the ranking. Each matrix has its own named generator.

    Args:
        names: names of the adapted matrices, in order.
        ranks: their numbers of singular values.
        seed: the adapter's seed.
    """

    def __init__(self, names: Iterable[str], ranks: Iterable[int], seed: int) -> None:
        draws = [
            torch.rand(rank, generator=named_generator(seed, name, "priority"))
            for name, rank in zip(names, ranks, strict=True)
        ]
        self._priority = torch.cat(draws)

    def update(self, matrices: Sequence[Factors]) -> None:
        """Nothing to learn from a step."""

    def scores(self) -> Tensor:
        """The priorities, `[Σr]`."""
        return self._priority

    def state(self) -> dict[str, Tensor]:
        """The priorities."""
        return {"priority": self._priority}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over the priorities."""
        self._priority.copy_(state["priority"])


def _scored(matrices: Sequence[Factors]) -> list[Tensor]:
    return [
        *(m.values for m in matrices),
        *(m.left[-1] for m in matrices),
        *(m.right[-1] for m in matrices),
    ]


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
    return flat.to(torch.promote_types(flat.dtype, torch.float32))


def _means(flat: Tensor, shapes: Sequence[torch.Size], over: int) -> Tensor:
    """Mean over one dimension of consecutive matrices, concatenated; one mean per run of shapes."""
    means, start = [], 0
    for shape, run in groupby(shapes):
        count = len(list(run))
        stop = start + count * shape.numel()
        means.append(flat[start:stop].view(count, *shape).mean(dim=over + 1).reshape(-1))
        start = stop
    return torch.cat(means)
