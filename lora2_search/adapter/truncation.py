"""Cut increments to a budget of ranks by truncated SVD, computed from their factors.

    B = Q_b R_b    Aᵀ = Q_a R_a    R_b R_aᵀ = U Σ Vᵀ    ΔW = B A = (Q_b U) Σ (Q_a V)ᵀ

The SVD is of a [w, w] matrix, w the width of the factors: the dense ΔW is never built. Dropping
the smallest of all singular values changes the increments least, in the Frobenius norm, of all
ways to keep that many ranks (Eckart, Young).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from ..vocabulary import ALLOCATIONS
from .allocation import shares, survivors

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Truncation:
    """Increments within their budget.

    Attributes:
        pairs: B `[d_out, ρ]` and A `[ρ, d_in]` per matrix, float64 wherever something was cut.
        kept_norm: share of the squared Frobenius norm of all increments that is left, in [0, 1].
    """

    pairs: list[Pair]
    kept_norm: float


def truncate(pairs: Sequence[Pair], rank: float, allocation: str = "global") -> Truncation:
    """Keep the largest singular values of several increments B · A.

    Args:
        pairs: B `[d_out, w]` and A `[w, d_in]` per matrix, with the scale inside; a matrix from
            which nothing is cut keeps its own.
        rank: N, the mean rank kept per matrix, a fraction too.
        allocation: "global" keeps the ⌊N · n⌋ largest of all n matrices (of equal ones the
            earlier: matrix order, then rank); "per-matrix" keeps N in each, and deals what a
            fraction leaves over in matrix order.

    Raises:
        ValueError: `rank` or `allocation` is out of its range, or a factor is not finite.
    """
    check_budget(rank, allocation)
    widths = [len(a) for _, a in pairs]
    limits = widths
    if allocation == "per-matrix":
        limits = [min(width, math.ceil(rank)) for width in widths]
    budget = ranks_in_all(rank, len(widths))
    if limits == widths and budget >= sum(widths):
        return Truncation(list(pairs), 1.0)
    spectra = [_svd(b, a) for b, a in pairs]
    ranks = _kept([values for _, values, _ in spectra], limits, budget, allocation)
    cut = [
        pair if kept == width else _leading(spectrum, kept)
        for pair, spectrum, kept, width in zip(pairs, spectra, ranks, widths, strict=True)
    ]
    squares = [values.square() for _, values, _ in spectra]
    left = sum(float(part[:kept].sum()) for part, kept in zip(squares, ranks, strict=True))
    whole = sum(float(part.sum()) for part in squares)
    return Truncation(cut, left / whole if whole else 1.0)


def ranks_in_all(rank: float, matrices: int) -> int:
    """Return the budget ⌊N · n⌋, of N as it was written: 4.1 on 30 matrices is 123."""
    return int(Fraction(str(rank)) * matrices)


def check_budget(rank: Any, allocation: str) -> None:
    """Raise a ValueError where there is no such budget."""
    real = isinstance(rank, Real) and not isinstance(rank, bool)
    if not real or not 0 <= float(rank) < math.inf:
        raise ValueError(f"`rank` must be a number, at least 0, but got {rank!r}.")
    if allocation not in ALLOCATIONS:
        raise ValueError(
            f"`allocation` must be one of {', '.join(ALLOCATIONS)}, but got {allocation!r}."
        )


def _kept(
    spectra: Sequence[Tensor], limits: Sequence[int], budget: int, allocation: str
) -> list[int]:
    sizes = [len(values) for values in spectra]
    if allocation == "per-matrix":
        return shares(budget, [min(pair) for pair in zip(sizes, limits, strict=True)])
    mask = survivors(torch.cat(list(spectra)), budget)
    return [int(part.sum()) for part in mask.split(sizes)]


def _svd(b: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """SVD of B · A: `[d_out, p]`, `[p]`, `[p, d_in]`, p = min(d_out, w, d_in), float64."""
    exact = torch.float64
    b, a = b.to("cpu", exact), a.to("cpu", exact)
    if not (b.isfinite().all() and a.isfinite().all()):
        raise ValueError("The adapter holds numbers that are not finite: it cannot be cut.")
    left, left_triangle = torch.linalg.qr(b)
    right, right_triangle = torch.linalg.qr(a.mT)
    u, values, v = torch.linalg.svd(left_triangle @ right_triangle.mT, full_matrices=False)
    return left @ u, values, v @ right.mT


def _leading(spectrum: tuple[Tensor, Tensor, Tensor], kept: int) -> Pair:
    """B and A of the `kept` largest singular values, their roots on either side."""
    u, values, v = spectrum
    roots = values[:kept].sqrt()
    return u[:, :kept] * roots, roots.unsqueeze(1) * v[:kept]
