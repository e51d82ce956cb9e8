"""A look at an adapter's planes and ranks, for the charts of a run."""

from __future__ import annotations

import math
from statistics import median

import torch
from torch import Tensor

from ...adapter import Factors, Lora2Model, orthogonality_errors, overlap
from ..models.methods import Adaptive


def diagnose(adaptive: Adaptive) -> dict[str, float]:
    """Return what can be said of planes and ranks now; it changes nothing.

    Returns:
        ``geometry/outer``, ``geometry/inner`` ...: mean orthogonality error of a plane's factors,
            whatever their weight in the loss (LoRA² only).
        ``geometry/overlap``: mean overlap of neighbouring planes, undefined ones left out (LoRA²
            with two planes or more).
        ``rank/lowest``, ``rank/median``, ``rank/highest``: kept rank over the adapted matrices.
        ``rank/importance_entropy``: of the scores that choose the ranks, see ``entropy``.
        What is not defined is left out: nothing at all for a method without ranks.
    """
    found: dict[str, float] = {}
    ranks = list(adaptive.rank_pattern().values())
    if ranks:
        found["rank/lowest"] = float(min(ranks))
        found["rank/median"] = float(median(ranks))
        found["rank/highest"] = float(max(ranks))
    if isinstance(adaptive, Lora2Model):
        found |= geometry(adaptive.matrices(), adaptive.outer_norm)
        scores = adaptive.importance()
        if scores is not None:
            found["rank/importance_entropy"] = entropy(scores)
    return {name: value for name, value in found.items() if math.isfinite(value)}


@torch.no_grad()
def geometry(matrices: list[Factors], outer_norm: float = 1.0) -> dict[str, float]:
    """Return orthogonality error by plane and the overlap of neighbouring planes; see `diagnose`.

    Args:
        matrices: The factors of the adapted matrices, on one device; at least one.
        outer_norm: The norm at which the outermost factors' columns are held.
    """
    errors = orthogonality_errors(matrices, outer_norm)
    values = {f"geometry/{name}": error for name, error in errors.items()}
    if len(errors) > 1:
        values["geometry/overlap"] = overlap(matrices).nanmean()
    # One wait for the device, not one per value.
    return dict(zip(values, torch.stack(list(values.values())).tolist(), strict=True))


def entropy(scores: Tensor) -> float:
    """Return the entropy of scores as shares of their sum, over that of equal shares.

        - Σ pᵢ log pᵢ / log n      pᵢ = sᵢ / Σ s

    Args:
        scores: ``[n]``.

    Returns:
        1 where all scores are equal, 0 where one holds everything; NaN where it is not defined:
        fewer than two scores, a negative or infinite one, or only zeros (no step was scored yet).
    """
    if len(scores) < 2:
        return math.nan
    scores = scores.detach().double()
    shares = torch.where(scores >= 0, scores, math.nan) / scores.sum()
    return float(-torch.xlogy(shares, shares).sum() / math.log(len(scores)))
