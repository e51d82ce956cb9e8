"""Which singular values live: one budget for all adapted matrices, shared or dealt out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .factors import Factors
from .schedule import BudgetSchedule
from .scoring.interface import Scoring, ScoringError


class RankAllocator:
    """Scores, masks and remembers, one optimiser step after another.

    Between two masks a zeroed λ may grow again; after the last one it may not.

    Args:
        ranks: singular values per matrix, in order.
        scoring: ranks the singular values.
        schedule: budget and times of the masks; see `reschedule`.
        allocation: "global" shares the budget among all matrices, "per-matrix" gives each its
            part of it (`shares`).
    """

    def __init__(
        self,
        ranks: Sequence[int],
        scoring: Scoring,
        schedule: BudgetSchedule,
        allocation: str = "global",
    ) -> None:
        self.reschedule(schedule)
        self._ranks = list(ranks)
        self._per_matrix = allocation == "per-matrix"
        self._scoring = scoring
        self._mask = torch.ones(sum(ranks), dtype=torch.bool)
        self._kept = len(self._mask)

    def reschedule(self, schedule: BudgetSchedule) -> None:
        """Take the schedule of another T; which step comes next is open again."""
        self.schedule = schedule
        self._latest = 0

    @property
    def scores_next(self) -> bool:
        """Whether the step after the latest one is scored: False for good once masks are fixed."""
        return self._latest + 1 < self.schedule.last_mask

    def step(self, step: int, matrices: Sequence[Factors]) -> None:
        """Account for optimiser step t = 1 … T: average, mask when due, hold the last mask.

        A loop that leaves out the step of the last mask (a gradient scaler skipped it) gets that
        mask at the next step it reports.

        Raises:
            ValueError: the step lies outside 1 … T.
            RuntimeError: there are no gradients to score.
            ScoringError: the scoring gives another number of scores than there are values.
        """
        schedule = self.schedule
        if schedule.scores_at(step):
            self._scoring.update(matrices)
        self._latest = step
        fixed = step >= schedule.last_mask
        missed = fixed and self._kept != schedule.target
        if schedule.masks_at(step) or missed:
            self._kept = schedule.budget(step)
            self._mask = self._survivors(self._kept)
            self._apply(matrices)
        elif fixed:
            # The optimiser's momentum moves masked values away from 0 at every step.
            self._apply(matrices)

    def kept_ranks(self) -> list[int]:
        """Singular values that survived the latest mask, per matrix; all before the first."""
        return [int(part.sum()) for part in self._mask.cpu().split(self._ranks)]

    def scores(self) -> Tensor:
        """What the next mask would choose by, `[Σr]`: matrices in order, then rank."""
        return self._scoring.scores()

    def state(self) -> dict[str, Tensor]:
        """Everything that decides later masks, as tensors of its own."""
        state = {**self._scoring.state(), "mask": self._mask}
        return {name: tensor.detach().clone() for name, tensor in state.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` gave, bit for bit.

        Raises:
            ValueError: keys are missing or unexpected, or sizes differ; nothing is changed.
        """
        mine = self.state()
        check_keys(state, expected=mine)
        for name, tensor in mine.items():
            if tensor.shape != state[name].shape:
                raise ValueError(
                    f"Allocator state {name!r} must have shape {tuple(tensor.shape)}, "
                    f"but got {tuple(state[name].shape)}."
                )
        self._mask = state["mask"].detach().clone()
        self._kept = int(self._mask.sum())
        self._scoring.load_state(state)

    def _survivors(self, budget: int) -> Tensor:
        scores = self._scoring.scores()
        if scores.shape != self._mask.shape:
            raise ScoringError(
                f"{type(self._scoring).__name__}.scores() must give one score per singular value, "
                f"shape {tuple(self._mask.shape)}, but gave {tuple(scores.shape)}."
            )
        if not self._per_matrix:
            return survivors(scores, budget)
        return survivors_within(scores, self._ranks, shares(budget, self._ranks))

    @torch.no_grad()
    def _apply(self, matrices: Sequence[Factors]) -> None:
        values = [m.values for m in matrices]
        keep = self._mask.to(values[0].device, values[0].dtype).split(self._ranks)
        torch._foreach_mul_(values, list(keep))


def survivors(scores: Tensor, budget: int) -> Tensor:
    """Mask of the `budget` highest scores, `[n]` bool.

    Exactly `budget` survive: of equal scores the earlier does (matrix order, then rank). NaN
    ranks highest. A budget of 0 keeps none, one of n or more keeps all.
    """
    order = torch.sort(scores, descending=True, stable=True).indices
    mask = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
    mask[order[:budget]] = True
    return mask


def survivors_within(scores: Tensor, ranks: Sequence[int], budgets: Sequence[int]) -> Tensor:
    """Mask of the highest scores of each matrix, `[Σr]` bool, by the rules of `survivors`.

    Args:
        scores: of all singular values, matrices in order.
        ranks: singular values per matrix.
        budgets: how many of them survive, per matrix.
    """
    rows = pad_sequence(list(scores.split(list(ranks))), batch_first=True, padding_value=-math.inf)
    order = rows.sort(dim=1, descending=True, stable=True).indices  # [n, max r]
    place = torch.empty_like(order)
    columns = torch.arange(rows.shape[1], device=scores.device)
    place.scatter_(1, order, columns.expand_as(order))

    def column(numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers, device=scores.device).unsqueeze(1)

    return (place < column(budgets))[columns < column(ranks)]


def shares(budget: int, ranks: Sequence[int]) -> list[int]:
    """Split a budget among matrices as evenly as their ranks allow, in whole numbers.

    Dealt like cards: one to each matrix in order, round after round, passing over those whose
    rank (a rank pattern's, perhaps 0) is used up. So shares of matrices with rank to spare
    differ by at most 1, the earlier has more, none shrinks when the budget grows, and they sum
    to the budget (to all ranks where that is less).
    """
    rounds = 0
    while rounds < max(ranks) and sum(min(rank, rounds + 1) for rank in ranks) <= budget:
        rounds += 1
    dealt = [min(rank, rounds) for rank in ranks]
    remaining = budget - sum(dealt)
    for index, rank in enumerate(ranks):
        if rank > rounds and remaining > 0:
            dealt[index] += 1
            remaining -= 1
    return dealt


def kept_in_values(values: Sequence[Tensor]) -> list[int]:
    """Kept singular values per matrix, read from λ alone: those that are not 0.

    All count as kept where λ tells nothing: every one is still 0 (an untrained adapter) or on
    the meta device.
    """
    if not values or values[0].is_meta:
        return [len(value) for value in values]
    kept = [int(value.detach().count_nonzero()) for value in values]
    return kept if any(kept) else [len(value) for value in values]


def check_keys(state: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Raise a ValueError that names the keys missing from and unexpected in an allocator state."""
    missing = sorted(expected.keys() - state.keys())
    unexpected = sorted(state.keys() - expected.keys())
    if missing or unexpected:
        raise ValueError(
            "Allocator state does not fit this adapter's scoring: "
            f"missing keys {missing}, unexpected keys {unexpected}."
        )
