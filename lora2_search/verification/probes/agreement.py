"""How far scorings rank alike, and would keep the same singular values, through training."""

from __future__ import annotations

import time
from statistics import median

import torch
from scipy.stats import kendalltau
from torch import Tensor

from ...adapter import count_parameters, shares, survivors, survivors_within
from ..measurements import AgreementPoint, AgreementResult, Measurements, Pair, Within
from .shadows import Shadows
from .watch import Watch, evenly


class AgreementProbe:
    """Compares every scoring with full and with reduced scoring, at some steps of a run.

    Kendall's τ over all singular values; the share of the budget that both masks keep; inside
    each matrix, how many pairs stand in another order under full than under reduced scoring.
    """

    def __init__(self, watch: Watch, shadows: Shadows) -> None:
        self._watch, self._shadows = watch, shadows
        self._schedule = watch.schedule()
        self._ranks = [len(matrix.values) for matrix in watch.matrices().values()]
        last = self._schedule.last_mask
        # Averages stop before the last mask, which is drawn from the scores of the step before.
        self._at = evenly(min(self._schedule.t_init + 1, last - 1), last - 1, watch.plan.points)
        self._points: list[AgreementPoint] = []
        self._between: list[float] = []
        self._clock: float | None = None

    def step(self, step: int) -> None:
        """Show the step to the scorings; compare them when it is time."""
        if step == 0 or not self._schedule.scores_at(step):
            return
        if self._clock is not None:
            self._between.append(time.perf_counter() - self._clock)
        self._shadows.update(step)
        if step in self._at:
            self._points.append(self._compared(step))
        self._clock = time.perf_counter()

    def result(self) -> Measurements:
        """Return the points, what an update costs, and how many parameters it reads."""
        counts = count_parameters(self._watch.model)
        found = AgreementResult(
            points=tuple(self._points),
            microseconds=self._shadows.microseconds(),
            averaged=self._shadows.averaged(),
            step_microseconds=1e6 * median(self._between) if self._between else None,
            scored_full=counts["scored_full"],
            scored_reduced=counts["scored_reduced"],
        )
        return Measurements(agreement=found)

    def _compared(self, step: int) -> AgreementPoint:
        scores = {name: score.cpu() for name, score in self._shadows.scores().items()}
        budget = self._schedule.budget(step + 1)
        masks = {name: survivors(score, budget) for name, score in scores.items()}

        def beside(reference: str) -> dict[str, Pair]:
            return {
                name: Pair(
                    _tau(scores[name], scores[reference]), shared(masks[name], masks[reference])
                )
                for name in scores
                if name != reference
            }

        within = self._within(scores["full"], scores["reduced"], budget)
        return AgreementPoint(step, budget, beside("full"), beside("reduced"), within)

    def _within(self, full: Tensor, reduced: Tensor, budget: int) -> Within:
        """Compare full and reduced scoring inside every matrix."""
        counted = [
            swapped(*pair)
            for pair in zip(full.split(self._ranks), reduced.split(self._ranks), strict=True)
        ]
        offsets = (full.double() - reduced.double()).split(self._ranks)
        dealt = shares(budget, self._ranks)
        kept = [survivors_within(score, self._ranks, dealt) for score in (full, reduced)]
        means = torch.stack([offset.mean() for offset in offsets if len(offset)])
        spread = max(float(o.max() - o.min()) for o in offsets if len(o))
        return Within(
            pairs=sum(pairs for pairs, _ in counted),
            swapped=sum(number for _, number in counted),
            kept=shared(*kept),
            offset_spread_within=spread,
            offset_sd_across=float(means.std()) if len(means) > 1 else 0.0,
            offset_median=float(means.median()),
            reduced_sd=float(reduced.double().std()),
        )


def shared(one: Tensor, other: Tensor) -> float:
    """Return the share of what one mask keeps that the other keeps too; 1 where it keeps none.

    Args:
        one: ``[n]`` bool.
        other: ``[n]`` bool, as many kept.
    """
    kept = int(one.sum())
    return int((one & other).sum()) / kept if kept else 1.0


def swapped(one: Tensor, other: Tensor) -> tuple[int, int]:
    """Count the pairs of one matrix, and those that two scores put in opposite order.

    A pair that either score ties is in no order and is not swapped.
    """
    upper = torch.triu_indices(len(one), len(one), offset=1)
    first = torch.sign(one[upper[0]] - one[upper[1]])
    second = torch.sign(other[upper[0]] - other[upper[1]])
    return upper.shape[1], int((first * second < 0).sum())


def _tau(one: Tensor, other: Tensor) -> float | None:
    tau = float(kendalltau(one.double().numpy(), other.double().numpy()).statistic)
    return None if tau != tau else tau
