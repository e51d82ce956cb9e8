"""Which singular values live: one budget shared by all adapted matrices."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .factors import Factors
from .importance import Scoring
from .schedule import BudgetSchedule


class RankAllocator:
    """Scores, masks and remembers, one optimiser step after another.

    Between two masks a zeroed λ may grow again; after the last one it may not.

    Args:
        ranks: singular values per matrix, in order.
        scoring: ranks the singular values.
        schedule: budget and times of the masks; may be replaced when T changes.
    """

    def __init__(self, ranks: Sequence[int], scoring: Scoring, schedule: BudgetSchedule) -> None:
        self.schedule = schedule
        self._ranks = list(ranks)
        self._scoring = scoring
        self._mask = torch.ones(sum(ranks), dtype=torch.bool)
        self._kept = len(self._mask)

    def step(self, step: int, matrices: Sequence[Factors]) -> None:
        """Account for optimiser step t = 1 … T: average, mask when due, hold the last mask.

        A loop that leaves out the step of the last mask (a gradient scaler skipped it) gets that
        mask at the next step it reports.

        Raises:
            ValueError: the step lies outside 1 … T.
            RuntimeError: there are no gradients to score.
        """
        schedule = self.schedule
        if schedule.scores_at(step):
            self._scoring.update(matrices)
        fixed = step >= schedule.last_mask
        missed = fixed and self._kept != schedule.target
        if schedule.masks_at(step) or missed:
            self._kept = schedule.budget(step)
            self._mask = survivors(self._scoring.scores(), self._kept)
            self._apply(matrices)
        elif fixed:
            # The optimiser's momentum moves masked values away from 0 at every step.
            self._apply(matrices)

    def kept_ranks(self) -> list[int]:
        """Singular values that survived the latest mask, per matrix; all before the first."""
        return [int(part.sum()) for part in self._mask.cpu().split(self._ranks)]

    def state(self) -> dict[str, Tensor]:
        """Everything that decides later masks, as flat tensors of its own."""
        state = {"mask": self._mask, **self._scoring.state()}
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


def kept_in_values(values: Sequence[Tensor]) -> list[int]:
    """Kept singular values per matrix, told from λ alone: those that are not 0.

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
