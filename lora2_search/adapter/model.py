"""The PEFT tuner of LoRA²."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils.error import NoMatchingPeftModuleError
from peft.utils.other import get_pattern_key
from torch import Tensor, nn

from ..config import TARGETS
from .allocation import RankAllocator, check_keys, kept_in_values
from .base_layers import check_adaptable, nearest_modules
from .config import Lora2Config
from .factors import Factors
from .layer import Linear, Lora2Layer
from .orthogonality import mean_overlap, outer_growth, retract
from .regularization import orthogonality_loss
from .schedule import schedule_for
from .scoring.interface import Scoring, ScoringContext
from .scoring.registry import new_scoring
from .task_gradient import penalty_gradients, without_penalty


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
        self._applied = True  # warned once
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


class Lora2Model(WatchedTuner):
    """A model whose linear layers carry LoRA² increments; `get_peft_model(...).base_model`.

    Beyond PEFT's interface, for the one active adapter, in the order of a training loop:

        model.base_model.set_total_steps(T)                              # once
        loss = task_loss + sum(model.base_model.regularization().values())
        ...                                                              # backward, clip, step
        model.base_model.update_and_allocate(step)                       # step = 1 … T
        optimizer.zero_grad()
    """

    prefix = "lora2_"
    tuner_layer_cls = Lora2Layer
    target_module_mapping = TARGETS

    # Looking the layers up anew would cost a walk over all modules at every step.
    _layers: dict[str, list[tuple[str, Lora2Layer]]] | None = None
    _factors: dict[str, list[Factors]] | None = None
    _allocators: dict[str, RankAllocator] | None = None
    # The regularisers' gradient at the weights of the latest forward (`score_loss: task`).
    _penalties: dict[str, list[Tensor | None]] | None = None

    def set_total_steps(self, total_steps: int) -> None:
        """Tell the budget schedule how many optimiser steps the run has.

        May be called again (the run got longer or shorter): averages and mask stay.

        Raises:
            ValueError: `t_init` + `t_final` leave no step to prune in.
            ScoringError: the scoring that an installed package brings cannot be made.
        """
        name, config = self._active()
        ranks = [len(matrix.values) for matrix in self.matrices()]
        schedule = schedule_for(config, ranks, total_steps)
        if not config.prunes:
            return
        self._allocators = self._allocators or {}
        if name in self._allocators:
            self._allocators[name].reschedule(schedule)
        else:
            self._allocators[name] = RankAllocator(
                ranks, self._scoring(config), schedule, config.allocation
            )

    def regularization(self) -> dict[str, Tensor]:
        """The weighted regularisers, by name: add the sum to the task's loss.

            outer, …, inner    (1/P) · γ_p · mean over all factors X of plane p of ‖XᵀX/c² − I‖_F
            cross              γ_cross · mean over all matrices of the neighbouring planes' overlap

        From `init: lora` each overlap is weighed by min(1, ‖u₁‖²_F / (c² · k₁)), through which no
        gradient goes: that of the overlap itself grows as 1/‖u₁‖ towards u₁ = 0.

        Returns:
            "outer" and "inner" (more names with more planes, see `plane_names`): scalars that
            carry gradients, or a constant 0 where γ is 0 or orthogonality is not soft. "u1", the
            part of u₁ in "outer", stands apart where it has a weight of its own and from
            `init: lora`. "cross" only where orthogonality is soft and `gamma_cross` is not 0.
        """
        config, matrices = self._active()[1], self.matrices()
        terms = orthogonality_loss(
            matrices, config.gammas, config.penalty, config.outer_norm, config.gamma_of_u1
        )
        if config.orthogonality == "soft" and config.gamma_cross:
            grown = outer_growth(matrices, config.outer_norm) if config.init == "lora" else None
            terms["cross"] = config.gamma_cross * mean_overlap(matrices, grown)
        self._keep_penalty(terms)
        return terms

    def update_and_allocate(self, step: int, grad_scale: float | Tensor = 1.0) -> None:
        """Score the step just taken and mask singular values when the schedule says so.

        Call it after `optimizer.step()` and before `zero_grad()`, on synchronised, unscaled
        gradients; leave it out when the optimiser's step was skipped. Under hard orthogonality it
        first retracts all factors (from `init: lora` all but u₁), pruning or not; else, without
        pruning, it does nothing.

        Args:
            step: optimiser steps so far, 1 … T.
            grad_scale: what clipping multiplied the gradients with; only `score_loss: task`
                needs it.

        Raises:
            RuntimeError: T is not known yet, or there are no gradients.
            ValueError: the step lies outside 1 … T.
            ScoringError: the scoring gives another number of scores than there are values.
        """
        config = self._active()[1]
        if config.orthogonality == "hard":
            retract(self.matrices(), config.outer_norm, free_u1=config.init == "lora")
        if config.prunes:
            self._allocator().step(step, self._scored(grad_scale))
            self._budget_is_applied()

    def matrices(self) -> list[Factors]:
        """The factors of every adapted matrix, as they are (not copied), in the model's order."""
        name, _ = self._active()
        layers = [layer for _, layer in self._adapted()]
        self._factors = self._factors or {}
        known = self._factors.get(name)
        # Looking all factors up costs more than scoring them. They are replaced together, if at
        # all (assigned from a state dict, cut, started again), so λ tells for all.
        if known is None or any(
            layer.lora2_lambda[name] is not factors.values
            for layer, factors in zip(layers, known, strict=True)
        ):
            known = self._factors[name] = [layer.factors(name) for layer in layers]
        return known

    @property
    def outer_norm(self) -> float:
        """Norm that the outermost factors' columns are held at, see `Lora2Config.outer_norm`."""
        return self._active()[1].outer_norm

    def rank_pattern(self) -> dict[str, int]:
        """Kept singular values by module name.

        Taken from the latest mask, or from λ itself where this process has not pruned (a loaded
        adapter): zeros are cut, unless all are 0.
        """
        name, _ = self._active()
        if self._allocators and name in self._allocators:
            kept = self._allocators[name].kept_ranks()
        else:
            kept = kept_in_values([matrix.values for matrix in self.matrices()])
        return dict(zip([module for module, _ in self._adapted()], kept, strict=True))

    def importance(self) -> Tensor | None:
        """What the next mask would choose by, `[Σr]`; None where nothing is ever pruned.

        Raises:
            RuntimeError: T is not known yet.
        """
        return self._allocator().scores() if self._active()[1].prunes else None

    def kept_rank(self) -> int:
        """Kept singular values over all matrices."""
        return sum(self.rank_pattern().values())

    def budget(self, step: int) -> int:
        """Singular values allowed at a step, over all matrices; all of them without pruning.

        Raises:
            RuntimeError: T is not known yet.
            ValueError: the step lies outside 1 … T.
        """
        if not self._active()[1].prunes:
            return sum(len(matrix.values) for matrix in self.matrices())
        return self._allocator().schedule.budget(step)

    def allocator_state(self) -> dict[str, Tensor]:
        """Everything that decides later masks, as flat tensors; empty without pruning.

        "mask" and what the scoring keeps: "sensitivity" and "uncertainty", "priority", ….

        Raises:
            RuntimeError: T is not known yet.
        """
        return self._allocator().state() if self._active()[1].prunes else {}

    def load_allocator_state(self, state: dict[str, Tensor]) -> None:
        """Take over `allocator_state()`; the run goes on as if it had never stopped.

        Raises:
            RuntimeError: T is not known yet.
            ValueError: keys are missing or unexpected, or sizes differ.
        """
        if self._active()[1].prunes:
            self._allocator().load_state(state)
            self._budget_is_applied()
        else:
            check_keys(state, expected={})

    def delete_adapter(self, adapter_name: str) -> None:
        """Delete an adapter together with its averages and mask."""
        super().delete_adapter(adapter_name)
        by_adapter = (self._layers, self._factors, self._allocators, self._penalties, self._watches)
        for store in by_adapter:
            if store:
                store.pop(adapter_name, None)

    def inject_adapter(self, model: nn.Module, *args: Any, **kwargs: Any) -> None:
        """Put an adapter's layers in, as PEFT does; where none matches, name the nearest modules.

        Raises:
            ValueError: nothing matches, or all is excluded.
        """
        try:
            super().inject_adapter(model, *args, **kwargs)
        except NoMatchingPeftModuleError as error:
            if "All modules were excluded" in str(error):
                raise
            targets = self.peft_config[args[0] if args else kwargs["adapter_name"]].target_modules
            nearest = nearest_modules(model, targets)
            raise NoMatchingPeftModuleError(f"{error} {nearest}") from None

    def _create_and_replace(
        self,
        config: Lora2Config,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
    ) -> None:
        pattern = config.rank_pattern or {}
        rank = pattern.get(get_pattern_key(pattern.keys(), current_key), config.r)
        if isinstance(target, Lora2Layer):
            target.update_layer(adapter_name, config, rank, current_key)
            return
        base_layer = target.get_base_layer() if isinstance(target, BaseTunerLayer) else target
        check_adaptable(base_layer, current_key)
        layer = Linear(target, adapter_name, config, rank, current_key)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)

    def _replace_module(
        self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module
    ) -> None:
        if isinstance(new_module, BaseTunerLayer):
            super()._replace_module(parent, child_name, new_module, child)
        else:
            # Unloading. PEFT's own would copy `child.weight`, which a whole module that was
            # trained beside the adapter (a pooler) does not have.
            setattr(parent, child_name, new_module)

    def _active(self) -> tuple[str, Lora2Config]:
        if len(self.active_adapters) != 1:
            raise ValueError(
                "LoRA² regularises and prunes one adapter at a time, but the active adapters are "
                f"{self.active_adapters}."
            )
        name = self.active_adapters[0]
        return name, self.peft_config[name]

    def _adapted(self) -> list[tuple[str, Lora2Layer]]:
        name, _ = self._active()
        self._layers = self._layers or {}
        if name not in self._layers:
            self._layers[name] = [
                (module_name, module)
                for module_name, module in self.model.named_modules()
                if isinstance(module, Lora2Layer) and name in module.lora2_lambda
            ]
        return self._layers[name]

    def _keep_penalty(self, terms: dict[str, Tensor]) -> None:
        """Remember what the regularisers add to the gradients, where the score leaves it out.

        Batches that one step accumulates share their weights, so the latest stands for all.
        """
        name, config = self._active()
        if not config.prunes or config.score_loss != "task":
            return
        allocator = (self._allocators or {}).get(name)
        if allocator is not None and not allocator.scores_next:
            return
        penalty = penalty_gradients(terms.values(), self.matrices())
        if penalty is not None:
            self._penalties = {**(self._penalties or {}), name: penalty}

    def _scored(self, grad_scale: float | Tensor) -> list[Factors]:
        """The factors with the gradients that count for the score."""
        penalty = (self._penalties or {}).pop(self._active()[0], None)
        if penalty is None:
            return self.matrices()
        return without_penalty(self.matrices(), penalty, grad_scale)

    def _allocator(self) -> RankAllocator:
        name, _ = self._active()
        if not self._allocators or name not in self._allocators:
            raise RuntimeError(
                "The budget schedule needs the number of optimiser steps: "
                "call `set_total_steps(T)` first."
            )
        return self._allocators[name]

    def _scoring(self, config: Lora2Config) -> Scoring:
        names = [module_name for module_name, _ in self._adapted()]
        return new_scoring(config.scoring, ScoringContext(self.matrices(), names, config))
