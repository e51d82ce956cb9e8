"""Notice an adapter that is trained while nobody applies its rank budget."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTuner
from torch import Tensor, nn


class BudgetWatch:
    """Remembers whether an adapter was trained, and whether its budget was applied.

    Args:
        values: Its singular values as training begins, `[r]` a matrix.
    """

    def __init__(self, values: Sequence[Tensor]) -> None:
        self._start = _copied(values)
        self._applied = False

    def applied(self) -> None:
        """Note a step of the budget, or that an earlier process made some."""
        self._applied = True

    def warn(self, values: Sequence[Tensor], target_rank: float) -> None:
        """Warn, once, where the values were trained and the budget was never applied.

        Args:
            values: The singular values now.
            target_rank: Mean rank that was to be left.
        """
        if self._applied or all(map(torch.equal, self._start, _copied(values))):
            return
        self._applied = True  # said once
        kept = sum(int(item.count_nonzero()) for item in values)
        warnings.warn(
            f"This LoRA² adapter was trained, but its rank budget was never applied: it keeps "
            f"{kept} singular values in {len(values)} matrices, not {target_rank} in each. Give "
            "Trainer `callbacks=[Lora2Callback()]`, or call `set_total_steps(T)` before a loop of "
            "your own and `update_and_allocate(step)` in it.",
            stacklevel=3,
        )


class WatchedTuner(BaseTuner):
    """A tuner that warns at the end of a training in which its rank budget was never applied.

    Nobody says when training begins and ends: training mode tells the one, evaluation mode,
    saving and merging the other.
    """

    _watches: dict[str, BudgetWatch] | None = None

    def train(self, mode: bool = True) -> WatchedTuner:
        """Set the mode."""
        if mode:
            self._watch()
        else:
            self._warn_of_ranks()
        super().train(mode)
        return self

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the weights, as `nn.Module` does."""
        self._warn_of_ranks()
        return super().state_dict(*args, **kwargs)

    def merge_and_unload(self, *args: Any, **kwargs: Any) -> nn.Module:
        """Merge, as PEFT does."""
        self._warn_of_ranks()
        return super().merge_and_unload(*args, **kwargs)

    def _budget_is_applied(self) -> None:
        if (watch := self._watch()) is not None:
            watch.applied()

    def _watch(self) -> BudgetWatch | None:
        """Return the watch of the active adapter, ``None`` where nothing is to be pruned."""
        if len(self.active_adapters) != 1:
            return None
        (name,) = self.active_adapters
        if not self.peft_config[name].prunes:
            return None
        self._watches = {} if self._watches is None else self._watches
        if name not in self._watches:
            values = self._values()
            if any(item.is_meta for item in values):
                return None  # a shape without weights
            self._watches[name] = BudgetWatch(values)
        return self._watches[name]

    def _warn_of_ranks(self) -> None:
        if self._watches and (watch := self._watch()) is not None:
            (name,) = self.active_adapters
            watch.warn(self._values(), self.peft_config[name].target_rank)

    def _values(self) -> list[Tensor]:
        return [matrix.values for matrix in self.matrices()]


def _copied(values: Sequence[Tensor]) -> list[Tensor]:
    return [item.detach().cpu().clone() for item in values]
