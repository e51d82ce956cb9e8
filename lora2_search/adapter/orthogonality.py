"""Planes kept orthogonal: retraction, and how far two overlap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from .factors import Factors


@torch.no_grad()
def retract(matrices: Sequence[Factors], outer_norm: float = 1.0, *, free_u1: bool = False) -> None:
    """Make every factor of every plane orthonormal, in place; λ stays.

    One batched eigendecomposition (k×k, float32 or float64) per shape, whatever the number of
    matrices. A direction that is 0 stays 0: it has no nearest unit vector.

    Args:
        matrices: the factors of the adapted matrices, on one device.
        outer_norm: what the outermost plane's factors are multiplied by afterwards.
        free_u1: leave u₁ as it is: from 0 the nearest orthonormal matrix is a jump.
    """
    by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
    for matrix in matrices:
        for factor in (*matrix.left[free_u1:], *matrix.right):
            if factor.numel():
                by_shape[factor.shape].append(factor)
    for factors in by_shape.values():
        torch._foreach_copy_(factors, list(polar(torch.stack(factors)).unbind()))
    if outer_norm != 1:
        outer = [matrix.right[0] for matrix in matrices]
        outer += [] if free_u1 else [matrix.left[0] for matrix in matrices]
        torch._foreach_mul_(outer, outer_norm)


def polar(x: Tensor) -> Tensor:
    """The polar factor of each matrix in a batch, `[b, m, n]`; half precision comes back float32.

    The eigenvalues of XᵀX lose half the digits of X, so one Newton-Schulz step follows: it squares
    the error that is left.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    if x.shape[-2] < x.shape[-1]:
        return polar(x.mT).mT
    gram = x.mT @ x  # [b, n, n]
    # `eigh` raises at NaN; a diverged matrix is to stay NaN, for the loop to find and name.
    values, vectors = torch.linalg.eigh(gram.where(gram.isfinite(), 0))  # [b, n], [b, n, n]
    floor = torch.finfo(x.dtype).eps * values[..., -1:].clamp(min=torch.finfo(x.dtype).tiny)
    x = x @ (vectors * values.maximum(floor).rsqrt().unsqueeze(-2)) @ vectors.mT  # [b, m, n]
    return 1.5 * x - 0.5 * x @ (x.mT @ x)


def overlap(matrices: Sequence[Factors]) -> Tensor:
    """Overlap of neighbouring planes, for all adapted matrices at once.

    Matrices of the same shapes are batched. Half precision is raised to float32, autocast is off.
    Flipping the signs of a column of U and of its λ leaves ΔW as it was but changes the overlap.

    Args:
        matrices: the factors of n matrices with P planes each, on one device; at least one.

    Returns:
        `[n, P-1]`, differentiable, outer pair first; each in [0, 1]. NaN where it says nothing:
        a plane of width 1 (always 1), a matrix of rank 0, or factors that are 0. Such entries
        carry no gradient. A single plane has no neighbour: `[n, 0]`.
    """
    groups: dict[tuple[torch.Size, ...], list[int]] = defaultdict(list)
    for index, matrix in enumerate(matrices):
        groups[tuple(factor.shape for factor in (*matrix.left, *matrix.right))].append(index)
    with torch.autocast(matrices[0].values.device.type, enabled=False):
        rows = [_overlaps([matrices[index] for index in group]) for group in groups.values()]
    order = torch.tensor([index for group in groups.values() for index in group])
    return torch.cat(rows)[order.argsort().to(rows[0].device)]


def mean_overlap(matrices: Sequence[Factors], weights: Tensor | None = None) -> Tensor:
    """Mean over matrices of the mean over their pairs of planes, undefined pairs left out.

    Args:
        matrices: the factors of n matrices.
        weights: `[n]`, what each matrix's mean is multiplied by; None is 1 for all.

    Returns:
        A differentiable scalar; 0 where no pair is defined.
    """
    overlaps = overlap(matrices)
    counted = overlaps.isfinite()
    pairs = counted.sum(dim=1)
    per_matrix = torch.where(counted, overlaps, 0).sum(dim=1) / pairs.clamp(min=1)  # [n]
    if weights is not None:
        per_matrix = per_matrix * weights
    return per_matrix.sum() / pairs.count_nonzero().clamp(min=1)


@torch.no_grad()
def outer_growth(matrices: Sequence[Factors], outer_norm: float = 1.0) -> Tensor:
    """How far u₁ of every matrix has grown to its norm, `[n]`: `min(1, ‖u₁‖²_F / (c² · k₁))`.

    Where k₁ exceeds d_out its rows are held at that norm, not its columns: d_out in place of k₁.

    Args:
        matrices: the factors of n matrices, on one device.
        outer_norm: c, the norm that u₁'s columns are held at.
    """
    sizes = [m.left[0].float().square().sum() / max(1, min(m.left[0].shape)) for m in matrices]
    return (torch.stack(sizes) / outer_norm**2).clamp(max=1)


def _overlaps(matrices: Sequence[Factors]) -> Tensor:
    """Overlaps of b matrices of the same shapes, `[b, P-1]`."""
    planes = len(matrices[0].left)
    left = [_batch([m.left[plane] for m in matrices]) for plane in range(planes)]
    right = [_batch([m.right[plane] for m in matrices]) for plane in range(planes)]
    gram_u, gram_v = left[0].mT @ left[0], right[0] @ right[0].mT  # [b, k₁, k₁]
    pairs = [left[0].new_empty(len(matrices), 0)]
    for u, v in zip(left[1:], right[1:], strict=True):
        pairs.append(_cos2(gram_u, u @ v, gram_v).unsqueeze(1))
        gram_u, gram_v = u.mT @ gram_u @ u, v @ gram_v @ v.mT  # [b, k_{p+1}, k_{p+1}]
    return torch.cat(pairs, dim=1)


def _batch(factors: list[Tensor]) -> Tensor:
    stacked = torch.stack(factors)
    return stacked.to(torch.promote_types(stacked.dtype, torch.float32))


def _cos2(gram_u: Tensor, middle: Tensor, gram_v: Tensor) -> Tensor:
    """cos² between `L R` and `L M R` from the Gram matrices of L and R, `[b, k, k]` to `[b]`."""
    moved = gram_u @ middle @ gram_v  # [b, k, k]
    dot = moved.diagonal(dim1=-2, dim2=-1).sum(-1)
    own = (gram_u * gram_v).sum((-2, -1))  # Gram matrices are symmetric
    inner = (moved * middle).sum((-2, -1))
    defined = (own > 0) & (inner > 0) & (middle.shape[-1] > 1)
    # Divisors are made safe first: a NaN behind `where` would still poison the gradient.
    cos2 = (dot / torch.where(defined, own, 1)) * (dot / torch.where(defined, inner, 1))
    return torch.where(defined, cos2.clamp(max=1), torch.nan)
