"""How the planes lie to each other through training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ...adapter import Factors, delta_weight, orthogonality_errors, overlap
from ..measurements import Measurements, PlanesPoint, PlanesResult, SignFlips
from .watch import Watch, evenly


class PlanesProbe:
    """Measures overlap, principal angles and orthogonality at some steps of a run, in float64."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._at = evenly(0, watch.total, watch.plan.points)
        self._points: list[PlanesPoint] = []
        self._flips: SignFlips | None = None

    def step(self, step: int) -> None:
        """Look when it is time."""
        if step not in self._at:
            return
        matrices = [in_float64(matrix) for matrix in self._watch.matrices().values()]
        self._points.append(geometry(matrices, self._watch.config.outer_norm, step))
        if step == self._watch.total:
            self._flips = sign_flips(matrices)

    def result(self) -> Measurements:
        """Return the points, and what flipping signs does at the end."""
        assert self._flips is not None
        return Measurements(planes=PlanesResult(tuple(self._points), self._flips))


def in_float64(matrix: Factors) -> Factors:
    """Return a detached copy in float64 on the CPU."""
    left, values, right = (
        [tensor.detach().double().cpu() for tensor in tensors]
        for tensors in (matrix.left, (matrix.values,), matrix.right)
    )
    return Factors(tuple(left), values[0], tuple(right))


def geometry(matrices: Sequence[Factors], outer_norm: float = 1.0, step: int = 0) -> PlanesPoint:
    """Return how the planes of some matrices lie.

    Args:
        matrices: two planes or more each, float64.
        outer_norm: what the outermost factors' columns are held at.
        step: the optimiser step.
    """
    errors = orthogonality_errors(matrices, outer_norm)
    return PlanesPoint(
        step=step,
        overlap=_mean(overlap(matrices)),
        with_increment=_mean(overlap([_increment(matrix) for matrix in matrices])),
        angle=max(
            max(
                _angle(matrix.left[0] @ matrix.left[1], matrix.left[0]),
                _angle((matrix.right[1] @ matrix.right[0]).mT, matrix.right[0].mT),
            )
            for matrix in matrices
        ),
        contrast=_contrast(matrices),
        errors={name: float(error) for name, error in errors.items()},
    )


def sign_flips(matrices: Sequence[Factors]) -> SignFlips:
    """Flip column i of the innermost U together with λᵢ, one i after another."""
    moved, changed = [], []
    for matrix in matrices:
        before, increment = float(overlap([matrix])[0, -1]), delta_weight(matrix, 1.0)
        scale = float(increment.abs().max()) or 1.0
        for index in range(len(matrix.values)):
            sign = torch.ones_like(matrix.values)
            sign[index] = -1
            left = (*matrix.left[:-1], matrix.left[-1] * sign)
            flipped = Factors(left, matrix.values * sign, matrix.right)
            moved.append(abs(float(overlap([flipped])[0, -1]) - before))
            difference = (delta_weight(flipped, 1.0) - increment).abs().max()
            changed.append(float(difference) / scale)
    defined = [value for value in moved if math.isfinite(value)]
    return SignFlips(
        increment=max(changed, default=0.0),
        mean=sum(defined) / len(defined) if defined else 0.0,
        largest=max(defined, default=0.0),
        flips=len(moved),
    )


def _increment(matrix: Factors) -> Factors:
    """Return two planes, uv and ΔW: all inner planes and λ folded into the second one."""
    left, right = matrix.left[1], matrix.right[1]
    for u, v in zip(matrix.left[2:], matrix.right[2:], strict=True):
        left, right = left @ u, v @ right
    return Factors((matrix.left[0], left * matrix.values), matrix.values, (matrix.right[0], right))


def _angle(inner: Tensor, outer: Tensor) -> float:
    """Largest principal angle in degrees by which the columns of ``inner`` leave ``outer``'s.

    From its sine, the length of what is left outside: near 0 a cosine tells nothing.
    """
    basis = torch.linalg.qr(outer).Q
    u, size, _ = torch.linalg.svd(inner, full_matrices=False)
    # A direction of no size is no part of the column space.
    u = u[:, size > size.max() * 1e-10]
    outside = u - basis @ (basis.mT @ u)
    sine = float(torch.linalg.matrix_norm(outside, ord=2)) if u.numel() else 0.0
    return math.degrees(math.asin(min(1.0, sine)))


def _contrast(matrices: Sequence[Factors]) -> float | None:
    """Mean of the largest angles between col(u) of one matrix and of the next one as tall."""
    angles = []
    last: dict[int, Tensor] = {}
    for matrix in matrices:
        u = matrix.left[0]
        if len(u) in last:
            angles.append(_angle(last[len(u)], u))
        last[len(u)] = u
    return sum(angles) / len(angles) if angles else None


def _mean(overlaps: Tensor) -> float | None:
    defined = overlaps[overlaps.isfinite()]
    return float(defined.mean()) if len(defined) else None
