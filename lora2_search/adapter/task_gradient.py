"""The task's part of a gradient: what is left when the regularisers' part is taken away.

Backward sums both into `.grad`. So the regularisers' own gradient is taken at the weights of the
forward, and subtracted when the step is scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from .factors import Factors


def penalty_gradients(
    terms: Iterable[Tensor], matrices: Sequence[Factors]
) -> list[Tensor | None] | None:
    """Gradient of the sum of all regularisers; the graph stays for the caller's backward.

    Args:
        terms: weighted scalars, as they are added to the loss.
        matrices: the factors they were made from.

    Returns:
        One gradient for each factor (every u, λ, every v of each matrix), None for a factor that
        no term depends on; None for all where nothing can be differentiated (γ = 0, `no_grad`).
    """
    total = sum(terms, torch.zeros(()))
    if not total.requires_grad:
        return None
    factors = _factors(matrices)
    trained = [factor for factor in factors if factor.requires_grad]
    gradients = iter(torch.autograd.grad(total, trained, retain_graph=True, allow_unused=True))
    return [next(gradients) if factor.requires_grad else None for factor in factors]


@torch.no_grad()
def without_penalty(
    matrices: Sequence[Factors], penalty: Sequence[Tensor | None], scale: float | Tensor
) -> list[Factors]:
    """The same weights with `.grad - scale · penalty`; the caller's `.grad` stay as they are.

    Args:
        matrices: factors with the gradients of the total loss.
        penalty: from `penalty_gradients`.
        scale: what the gradients were multiplied with after backward (by clipping).
    """
    parts = iter(penalty)

    def task_only(weight: Tensor) -> Tensor:
        part, twin = next(parts), weight.detach()
        twin.grad = weight.grad
        if weight.grad is not None and part is not None:
            twin.grad = weight.grad - scale * part
        return twin

    return [
        Factors(
            tuple(task_only(u) for u in matrix.left),
            task_only(matrix.values),
            tuple(task_only(v) for v in matrix.right),
        )
        for matrix in matrices
    ]


def _factors(matrices: Sequence[Factors]) -> list[Tensor]:
    return [f for matrix in matrices for f in (*matrix.left, matrix.values, *matrix.right)]
