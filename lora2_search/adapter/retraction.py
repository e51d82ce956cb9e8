"""Hard orthogonality: put factors back onto the orthonormal matrices after an optimiser step.

    X ← X (XᵀX)^(-1/2)        the nearest orthonormal matrix, its polar factor

on the smaller side of X (columns of a tall one, rows of a wide one).
"""  # noqa: D415 - the formula needs its conditions behind it

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from .factors import Factors


@torch.no_grad()
def retract(matrices: Sequence[Factors], outer_norm: float = 1.0) -> None:
    """Make every factor of every plane orthonormal, in place; λ stays.

    One batched eigendecomposition (k×k, float32 or float64) per shape, whatever the number of
    matrices. A direction that is 0 stays 0: it has no nearest unit vector.

    Args:
        matrices: the factors of the adapted matrices, on one device.
        outer_norm: what the outermost plane's factors are multiplied by afterwards.
    """
    by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
    for matrix in matrices:
        for factor in (*matrix.left, *matrix.right):
            if factor.numel():
                by_shape[factor.shape].append(factor)
    for factors in by_shape.values():
        torch._foreach_copy_(factors, list(polar(torch.stack(factors)).unbind()))
    if outer_norm != 1:
        outer = [side[0] for matrix in matrices for side in (matrix.left, matrix.right)]
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
