"""LoRA² as PEFT's tuner: puts the layers in, regularises them, shares out the rank."""

import torch
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils.other import get_pattern_key
from torch import Tensor, nn

from ..model_types import TARGETS
from .allocation import RankAllocator, check_keys, kept_in_values
from .config import Lora2Config
from .factors import Factors
from .importance import RandomScoring, ReducedScoring, Scoring
from .layer import Linear, Lora2Layer
from .regularization import orthogonality_loss
from .schedule import BudgetSchedule, as_steps


class Lora2Model(BaseTuner):
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
    _allocators: dict[str, RankAllocator] | None = None

    def set_total_steps(self, total_steps: int) -> None:
        """Tell the budget schedule how many optimiser steps the run has.

        May be called again (the run got longer or shorter): averages and mask stay.

        Raises:
            ValueError: `t_init` + `t_final` leave no step to prune in.
        """
        name, config = self._active()
        schedule = self._schedule(config, total_steps)
        if not config.prunes:
            return
        self._allocators = self._allocators or {}
        if name in self._allocators:
            self._allocators[name].schedule = schedule
        else:
            ranks = [len(matrix.values) for matrix in self._matrices()]
            self._allocators[name] = RankAllocator(ranks, self._scoring(config), schedule)

    def regularization(self) -> dict[str, Tensor]:
        """The weighted orthogonality loss of each plane: add the sum to the task's loss.

            (1/P) · γ_p · mean over all factors X of plane p of ‖XᵀX − I‖_F

        Returns:
            "outer" and "inner" (more names with more planes, see `plane_names`): scalars that
            carry gradients, or a constant 0 where γ is 0.
        """
        return orthogonality_loss(self._matrices(), self._active()[1].gammas)

    def update_and_allocate(self, step: int) -> None:
        """Score the step just taken and mask singular values when the schedule says so.

        Call it after `optimizer.step()` and before `zero_grad()`, on synchronised, unscaled
        gradients; leave it out when the optimiser's step was skipped. Without pruning it does
        nothing.

        Args:
            step: optimiser steps so far, 1 … T.

        Raises:
            RuntimeError: T is not known yet, or there are no gradients.
            ValueError: the step lies outside 1 … T.
        """
        if self._active()[1].prunes:
            self._allocator().step(step, self._matrices())

    def rank_pattern(self) -> dict[str, int]:
        """Kept singular values by module name.

        Told by the latest mask, or by λ itself where this process has not pruned (a loaded
        adapter): zeros are cut, unless all are still 0.
        """
        name, _ = self._active()
        if self._allocators and name in self._allocators:
            kept = self._allocators[name].kept_ranks()
        else:
            kept = kept_in_values([matrix.values for matrix in self._matrices()])
        return dict(zip([module for module, _ in self._adapted()], kept, strict=True))

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
            return sum(len(matrix.values) for matrix in self._matrices())
        return self._allocator().schedule.budget(step)

    def allocator_state(self) -> dict[str, Tensor]:
        """Everything that decides later masks, as flat tensors; empty without pruning.

        "mask" and, by scoring, "sensitivity" and "uncertainty" or "priority".

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
        else:
            check_keys(state, expected={})

    def delete_adapter(self, adapter_name: str) -> None:
        """Delete an adapter together with its averages and mask."""
        super().delete_adapter(adapter_name)
        for kept in (self._layers, self._allocators):
            if kept:
                kept.pop(adapter_name, None)

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
        _check_linear(base_layer, current_key)
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

    def _matrices(self) -> list[Factors]:
        name, _ = self._active()
        return [layer.factors(name) for _, layer in self._adapted()]

    def _allocator(self) -> RankAllocator:
        name, _ = self._active()
        if not self._allocators or name not in self._allocators:
            raise RuntimeError(
                "The budget schedule needs the number of optimiser steps: "
                "call `set_total_steps(T)` first."
            )
        return self._allocators[name]

    def _schedule(self, config: Lora2Config, total_steps: int) -> BudgetSchedule:
        ranks = [len(matrix.values) for matrix in self._matrices()]
        target = sum(ranks) if config.target_rank is None else int(config.target_rank * len(ranks))
        return BudgetSchedule(
            full=sum(ranks),
            # A rank pattern may start below the target.
            target=min(target, sum(ranks)),
            total_steps=total_steps,
            t_init=as_steps(config.t_init, total_steps),
            t_final=as_steps(config.t_final, total_steps),
            delta_t=max(1, as_steps(config.delta_t, total_steps)),
        )

    def _scoring(self, config: Lora2Config) -> Scoring:
        matrices = self._matrices()
        if config.scoring == "random":
            names = [module_name for module_name, _ in self._adapted()]
            return RandomScoring(names, [len(m.values) for m in matrices], config.seed)
        return ReducedScoring(matrices, config.beta1, config.beta2)


def _check_linear(module: nn.Module, name: str) -> None:
    # MultiheadAttention reads the weight of its output projection and never calls it.
    unreachable = isinstance(module, torch.nn.modules.linear.NonDynamicallyQuantizableLinear)
    if not isinstance(module, nn.Linear) or unreachable:
        raise TypeError(
            f"LoRA² adapts torch.nn.Linear layers only, but target module {name!r} is a "
            f"{type(module).__name__}."
        )
