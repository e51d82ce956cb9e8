"""Notice an adapter that is trained while nobody applies its rank budget."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTuner
from torch import nn


class BudgetWatch:
    """Remembers whether an adapter was trained, and whether its budget was applied."""

    def __init__(self) -> None:
        self._trained = self._applied = False

    def trained(self) -> None:
        """Note a forward of training."""
        self._trained = True

    def applied(self) -> None:
        """Note a step of the budget, or that an earlier process made some."""
        self._applied = True

    def warn(self, rank: int, target_rank: float) -> None:
        """Warn, once, where training came to its end and the budget was never applied.

        Args:
            rank: Singular values that all matrices keep.
            target_rank: Mean rank that was to be left.
        """
        if not self._trained or self._applied:
            return
        self._applied = True  # said once
        warnings.warn(
            f"This LoRA² adapter was trained, but its rank budget was never applied: it keeps all "
            f"{rank} singular values, not {target_rank} a matrix. Give Trainer "
            "`callbacks=[Lora2Callback()]`, or call `set_total_steps(T)` before a loop of your "
            "own and `update_and_allocate(step)` in it.",
            stacklevel=3,
        )


class WatchedTuner(BaseTuner):
    """A tuner that warns at the end of a training in which its rank budget was never applied.

    Nobody says that training ends: evaluation mode, saving and merging tell.
    """

    _watches: dict[str, BudgetWatch] | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model, and note whether that is training."""
        if self.training and torch.is_grad_enabled():
            for watch in self._watched().values():
                watch.trained()
        return super().forward(*args, **kwargs)

    def train(self, mode: bool = True) -> WatchedTuner:
        """Set the mode; evaluation may be the end of the training."""
        if not mode:
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
        for watch in self._watched().values():
            watch.applied()

    def _watched(self) -> dict[str, BudgetWatch]:
        """Return the watches of the active adapters that are to be pruned."""
        self._watches = {} if self._watches is None else self._watches
        names = [name for name in self.active_adapters if self.peft_config[name].prunes]
        return {name: self._watches.setdefault(name, BudgetWatch()) for name in names}

    def _warn_of_ranks(self) -> None:
        if not self._watches or len(self.active_adapters) != 1:
            return
        for name, watch in self._watched().items():
            watch.warn(self.kept_rank(), self.peft_config[name].target_rank)
