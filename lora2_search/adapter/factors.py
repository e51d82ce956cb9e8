"""The increment ΔW of LoRA² on plain tensors: its factors, their start and their product.

    ΔW = (α / r) · u₁ u₂ … u_P · diag(λ) · v_P … v₂ v₁

`P` planes enclose each other: plane 1 (outer) touches the model's dimensions, plane P (inner) the
singular values. P = 2 is LoRA² as published, P = 1 is AdaLoRA's form. Every function here takes
any P and any widths, in any order.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Factors(NamedTuple):
    """The trained tensors of one adapted matrix, planes listed from the outer to the inner one.

    Attributes:
        left: `u₁ [d_out, k₁]`, `u₂ [k₁, k₂]`, …, `u_P [k_{P-1}, r]`.
        values: the singular values `λ [r]`.
        right: `v₁ [k₁, d_in]`, `v₂ [k₂, k₁]`, …, `v_P [r, k_{P-1}]`.
    """

    left: tuple[Tensor, ...]
    values: Tensor
    right: tuple[Tensor, ...]


def factor_shapes(
    out_features: int, in_features: int, widths: list[int], rank: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Shapes of the left and of the right factors, outer plane first.

    Args:
        out_features: d_out, rows of the frozen weight.
        in_features: d_in, columns of the frozen weight.
        widths: k₁ … k_{P-1}; empty for a single plane.
        rank: r, the number of singular values; 0 gives factors without elements.
    """
    inner = [*widths, rank]
    left = list(zip([out_features, *widths], inner, strict=True))
    right = list(zip(inner, [in_features, *widths], strict=True))
    return left, right


def through_planes(x: Tensor, factors: Factors) -> Tensor:
    """`x · (u₂ … u_P diag(λ) v_P … v₂)ᵀ`: everything between `v₁` and `u₁`.

    The planes are multiplied from the innermost outward, so no product is larger than
    `[k₁, k₁]`, whatever the number of tokens. A single plane leaves `diag(λ)` alone.

    Args:
        x: `[..., k₁]` (r in place of k₁ for a single plane), what `v₁` gave.
        factors: of one matrix.

    Returns:
        `[..., k₁]`, what `u₁` is to take.
    """
    if len(factors.left) == 1:
        return x * factors.values
    middle = (factors.left[-1] * factors.values) @ factors.right[-1]  # [k_{P-1}, k_{P-1}]
    for u, v in zip(factors.left[-2:0:-1], factors.right[-2:0:-1], strict=True):
        middle = u @ middle @ v  # [k_{p-1}, k_{p-1}]
    return functional.linear(x, middle)  # [..., k₁]


def delta_weight(factors: Factors, scaling: float) -> Tensor:
    """ΔW itself, `[d_out, d_in]`: for merging only, training never builds it.

    Half-precision factors are multiplied in float32, so that merging rounds once.
    """
    wide = torch.promote_types(factors.values.dtype, torch.float32)
    raised = Factors(
        tuple(u.to(wide) for u in factors.left),
        factors.values.to(wide),
        tuple(v.to(wide) for v in factors.right),
    )
    right = through_planes(raised.right[0].mT, raised).mT  # [k₁, d_in]
    return (raised.left[0] * scaling) @ right  # [d_out, d_in]


def initial_factor(
    shape: tuple[int, int], init: str, std: float, generator: torch.Generator
) -> Tensor:
    """Start weights of one factor, `shape`, float32 on the CPU.

    `gaussian` draws N(0, std²), the published start. `orthonormal` gives the smaller side
    orthonormal rows or columns (Haar distributed): gain 1, and the regulariser starts at 0.
    """
    rows, columns = shape
    if init == "gaussian":
        return _normal(shape, generator) * std
    q, triangle = torch.linalg.qr(_normal((max(shape), min(shape)), generator))
    # QR alone prefers some directions; the signs of the triangle's diagonal make it uniform.
    q = q * torch.where(triangle.diagonal() < 0, -1.0, 1.0)
    return q if rows >= columns else q.mT.contiguous()


def _normal(shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    # Device and dtype named outright: the caller may build its model under other defaults.
    return torch.randn(shape, generator=generator, device="cpu", dtype=torch.float32)


def named_generator(seed: int, *names: str) -> torch.Generator:
    """A CPU generator that depends on the seed and the names alone.

    Drawing more numbers for one factor shifts nothing in another, and neither the order of the
    modules nor the process matters (Python's own `hash` differs between processes).
    """
    digest = hashlib.sha256("\0".join([str(seed), *names]).encode()).digest()
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "big") >> 1)
