"""Scores by averaged sensitivity: the paper's, AdaLoRA's, and the cheap one from λ alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from ..factors import Factors
from .averages import Averages


class ImportanceScoring:
    """The score of singular value i, summed from the parts that are asked for:

        s(λᵢ)                                     always
        + mean s(U[:, i]) + mean s(V[i, :])       inner: the innermost plane U, V
        + Σ_p (mean s(u_p) + mean s(v_p))         outer: every other plane, the same for all i

    with, element by element and from 0,

        I = |w · ∂L/∂w|    Ī ← β₁ Ī + (1−β₁) I    Ū ← β₂ Ū + (1−β₂) |I − Ī|    s = Ī · Ū

    The paper's reduced score is λ and inner; the full one, AdaLoRA's rule, adds outer; with one
    plane they are the same. λ alone repeats what the inner plane says: ΔW is linear in λᵢ, in
    U[:, i] and in V[i, :], and depends on them by their product alone, so for the task's loss

        λᵢ ∂L/∂λᵢ = Σ_j U_ji ∂L/∂U_ji = Σ_j V_ij ∂L/∂V_ij     (exactly, all at one point)

    All scored weights lie in one flat vector (every λ, then plane by plane every u, then every
    v), so a step costs a handful of kernels however many matrices there are.

    Args:
        matrices: the factors to score, in order; only their shapes are used here.
        beta1: decay of the averaged sensitivity Ī.
        beta2: decay of the averaged uncertainty Ū; None leaves Ū out: s = Ī.
        inner: score the innermost plane.
        outer: score all other planes.
    """  # noqa: D415 - the formula ends the sentence

    def __init__(
        self,
        matrices: Sequence[Factors],
        beta1: float,
        beta2: float | None,
        inner: bool = True,
        outer: bool = False,
    ) -> None:
        innermost = len(matrices[0].left) - 1
        self._innermost = innermost
        self._planes = [p for p in range(innermost + 1) if (inner if p == innermost else outer)]
        self._ranks = [len(matrix.values) for matrix in matrices]
        parts = self._parts(matrices)
        self._runs = [_runs(part) for part in parts]
        self._sizes = [sum(tensor.numel() for tensor in part) for part in parts]
        # Tensors whose rows are equally long are joined as they are, others one by one.
        self._aligned = [len({tensor.shape[1:] for tensor in part}) == 1 for part in parts]
        weights = self._flat(parts)
        self._averages = Averages(torch.zeros_like(weights), beta1, beta2)

    @torch.no_grad()
    def update(self, matrices: Sequence[Factors]) -> None:
        """Average one step's sensitivity.

        A weight without a gradient (its module took no part in the step) counts as 0.

        Raises:
            RuntimeError: no weight has a gradient.
        """
        weights = self._parts(matrices)
        gradients = _gradients(weights)
        self._averages.update(self._flat(weights).mul_(self._flat(gradients)).abs_())

    def scores(self) -> Tensor:
        """The score of every singular value, `[Σr]`."""
        total, *parts = self._averages.score().split(self._sizes)
        for index, part in enumerate(parts):
            plane, side = self._planes[index // 2], index % 2
            runs = self._runs[index + 1]
            if plane == self._innermost:
                total = total + _means(part, runs, over=(side + 1,))
            else:
                means = _means(part, runs, over=(1, 2))  # [n]
                ranks = torch.tensor(self._ranks, device=means.device)
                total = total + means.repeat_interleave(ranks)
        return total

    def state(self) -> dict[str, Tensor]:
        """The averages, flat: "sensitivity" and, unless left out, "uncertainty"."""
        return self._averages.state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over the averages."""
        self._averages.load_state(state)

    def _parts(self, matrices: Sequence[Factors]) -> list[list[Tensor]]:
        """What is scored: every λ, then of each scored plane every u and every v."""
        parts = [[matrix.values for matrix in matrices]]
        for plane in self._planes:
            parts.append([matrix.left[plane] for matrix in matrices])
            parts.append([matrix.right[plane] for matrix in matrices])
        return parts

    @torch.no_grad()
    def _flat(self, parts: Sequence[Sequence[Tensor]]) -> Tensor:
        """One new vector of all elements, in at least float32."""
        joined = [
            torch.cat(list(part)).view(-1) if aligned else torch.cat([t.reshape(-1) for t in part])
            for part, aligned in zip(parts, self._aligned, strict=True)
        ]
        flat = torch.cat(joined) if len(joined) > 1 else joined[0]
        return flat.to(torch.promote_types(flat.dtype, torch.float32))


def _gradients(weights: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """The weights' gradients, zeros for a missing one."""
    gradients = [[weight.grad for weight in part] for part in weights]
    if all(gradient is None for part in gradients for gradient in part):
        raise RuntimeError(
            "No gradient to score: call `update_and_allocate(step)` after "
            "`optimizer.step()` and before `optimizer.zero_grad()`."
        )
    return [
        [torch.zeros_like(w) if g is None else g for g, w in zip(*part, strict=True)]
        for part in zip(gradients, weights, strict=True)
    ]


def _runs(tensors: Sequence[Tensor]) -> list[tuple[int, ...]]:
    """Runs of equal shapes, each as its length and the shape."""
    shapes = groupby(tuple(tensor.shape) for tensor in tensors)
    return [(len(list(run)), *shape) for shape, run in shapes]


def _means(flat: Tensor, runs: Sequence[tuple[int, ...]], over: tuple[int, ...]) -> Tensor:
    """Means within consecutive matrices, concatenated; one kernel per run of equal shapes.

    Args:
        flat: the elements of all matrices, one after another.
        runs: their shapes, from `_runs`.
        over: dimensions to average, where 0 counts the matrices of a run.
    """
    parts = flat.split([math.prod(run) for run in runs])
    means = [part.view(run).mean(dim=over).view(-1) for part, run in zip(parts, runs, strict=True)]
    return means[0] if len(means) == 1 else torch.cat(means)
