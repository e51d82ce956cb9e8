"""Steps with known weights and gradients, and the formulas written out one element at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lora2_search.adapter.factors import Factors

BETA1, BETA2 = 0.85, 0.7


def with_gradients(factors: list[Factors], seed: int) -> list[Factors]:
    generator = torch.Generator().manual_seed(seed)
    for matrix in factors:
        for tensor in (*matrix.left, matrix.values, *matrix.right):
            tensor.grad = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            tensor.data += tensor.grad
    return factors


def snapshot(factors: list[Factors]) -> list[Factors]:
    def copy(tensor: Tensor) -> Tensor:
        twin = tensor.detach().clone().requires_grad_()
        twin.grad = tensor.grad.clone()
        return twin

    return [
        Factors(tuple(map(copy, m.left)), copy(m.values), tuple(map(copy, m.right)))
        for m in factors
    ]


Element = Callable[[Callable[[Factors], Tensor], int, tuple[int, ...]], float]


def element_score(
    history: Sequence[Sequence[Factors]], beta1: float, beta2: float | None
) -> Element:
    """s of one element: of which factor, in which matrix, at which index."""

    def score(factor: Callable[[Factors], Tensor], m: int, index: tuple[int, ...]) -> float:
        sensitivity = uncertainty = 0.0
        for step in history:
            tensor = factor(step[m])
            now = abs(float(tensor.detach()[index]) * float(tensor.grad[index]))
            sensitivity = beta1 * sensitivity + (1 - beta1) * now
            if beta2 is not None:
                deviation = abs(now - sensitivity)
                uncertainty = beta2 * uncertainty + (1 - beta2) * deviation
        return sensitivity * (1 if beta2 is None else uncertainty)

    return score


def literal_scores(
    history: Sequence[Sequence[Factors]],
    inner: bool = True,
    outer: bool = False,
    beta1: float = BETA1,
    beta2: float | None = BETA2,
) -> Tensor:
    """METHOD.md's score of every λ after some steps, as it is written there."""
    s = element_score(history, beta1, beta2)

    def mean(factor: Callable[[Factors], Tensor], m: int, indices: list[tuple[int, int]]) -> float:
        return sum(s(factor, m, index) for index in indices) / len(indices)

    def whole(factor: Callable[[Factors], Tensor], m: int) -> float:
        rows, columns = factor(history[0][m]).shape
        return mean(factor, m, [(a, b) for a in range(rows) for b in range(columns)])

    scores = []
    for m, factors in enumerate(history[0]):
        rows, columns = factors.left[-1].shape[0], factors.right[-1].shape[1]
        for i in range(len(factors.values)):
            total = s(lambda f: f.values, m, (i,))
            if inner:
                total += mean(lambda f: f.left[-1], m, [(row, i) for row in range(rows)])
                total += mean(lambda f: f.right[-1], m, [(i, column) for column in range(columns)])
            for plane in range(len(factors.left) - 1 if outer else 0):
                total += whole(lambda f, p=plane: f.left[p], m)
                total += whole(lambda f, p=plane: f.right[p], m)
            scores.append(total)
    return torch.tensor(scores, dtype=torch.float64)
