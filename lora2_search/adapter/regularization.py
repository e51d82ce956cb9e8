"""How far factors are from orthonormal, for all adapted matrices at once.

    R(X) = ‖XᵀX / c² − I‖_F   frobenius, taken on the smaller side of X
    R(X)²                     squared

c is 1, but for the outermost factors under balanced scaling (`Lora2Config.outer_norm`).

Un-squared as published: its gradient keeps the same size however small the error. The squared norm
lets go as the error shrinks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from .factors import Factors


def orthogonality_loss(
    matrices: Sequence[Factors],
    gammas: Sequence[float],
    penalty: str = "frobenius",
    outer_norm: float = 1.0,
    gamma_u1: float | None = None,
) -> dict[str, Tensor]:
    """Weighted regulariser of every plane: `(1/P) · γ_p · mean over the 2n factors of R` (or R²).

    With one γ this is the published mean over all 4n factors (P = 2) and AdaLoRA's (P = 1).

    Args:
        matrices: the factors of the n adapted matrices; at least one.
        gammas: γ of every plane, outer first, length P.
        penalty: "frobenius" or "squared".
        outer_norm: c of the outermost plane.
        gamma_u1: γ of the n factors u₁, whose share then is a term of its own; None leaves it in
            the outer plane's.

    Returns:
        A scalar per plane, by `plane_names`, and "u1" where `gamma_u1` is given: half of the outer
        plane's mean, so that with γ₁ = `gamma_u1` both sum to what they are together. A term whose
        γ is 0 is not computed: a constant 0.
    """
    planes = len(gammas)

    def term(gamma: float, factors: list[Tensor], norm: float = 1.0, share: float = 1.0) -> Tensor:
        if gamma == 0:
            return factors[0].new_zeros((), dtype=torch.float32)
        return gamma * share / planes * mean_orthogonality_error(factors, penalty, norm)

    losses = {}
    for plane, name in enumerate(plane_names(planes)):
        norm = outer_norm if plane == 0 else 1.0
        if plane == 0 and gamma_u1 is not None:
            losses["u1"] = term(gamma_u1, [m.left[0] for m in matrices], norm, share=0.5)
            losses[name] = term(gammas[0], [m.right[0] for m in matrices], norm, share=0.5)
        else:
            factors = [side[plane] for m in matrices for side in (m.left, m.right)]
            losses[name] = term(gammas[plane], factors, norm)
    return losses


def orthogonality_errors(matrices: Sequence[Factors], outer_norm: float = 1.0) -> dict[str, Tensor]:
    """Mean of R over the factors of every plane, without weights, by `plane_names`.

    Args:
        matrices: the factors of the adapted matrices, on one device; at least one.
        outer_norm: c of the outermost plane.
    """
    planes = len(matrices[0].left)
    unweighted = [float(planes)] * planes  # the loss divides by P
    return orthogonality_loss(matrices, unweighted, outer_norm=outer_norm)


def plane_names(planes: int) -> list[str]:
    """Names of P planes, outer first: outer, middle (middle2, …), inner; one plane is "outer"."""
    middle = [f"middle{i}" if i > 1 else "middle" for i in range(1, planes - 1)]
    return ["outer", *middle, "inner"][:planes]


def mean_orthogonality_error(
    factors: Sequence[Tensor], penalty: str = "frobenius", norm: float = 1.0
) -> Tensor:
    """Mean of R (or R²) over matrices of any shapes: one batched product per shape.

    Half precision is raised to float32 and autocast is off: near the identity the error would be
    all rounding. At an exactly orthonormal matrix R is 0 and so is its gradient. A matrix without
    elements (rank 0) counts with R = 0.

    Args:
        factors: matrices `[m, n]` on one device; at least one.
        penalty: "frobenius" or "squared".
        norm: c, what the columns' norms should be.

    Returns:
        A differentiable scalar.
    """
    by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
    for factor in factors:
        by_shape[factor.shape].append(factor)
    with torch.autocast(factors[0].device.type, enabled=False):
        totals = [_errors(torch.stack(group), penalty, norm).sum() for group in by_shape.values()]
        return torch.stack(totals).sum() / len(factors)


def _errors(x: Tensor, penalty: str, norm: float) -> Tensor:
    """R (or R²) of each matrix in a batch, `[b, m, n]` to `[b]`."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    rows, columns = x.shape[-2:]
    gram = x.mT @ x if rows >= columns else x @ x.mT  # [b, side, side]
    identity = torch.eye(gram.shape[-1], dtype=x.dtype, device=x.device)
    error = gram / norm**2 - identity
    if penalty == "squared":
        return error.square().sum((-2, -1))
    # sqrt(sum(E²)) has a NaN gradient at E = 0; matrix_norm does not.
    return torch.linalg.matrix_norm(error)
