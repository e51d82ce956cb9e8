"""LoRA² in somebody else's loop: a callback for Trainer, TRL and sentence-transformers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ...adapter import Lora2Model

ALLOCATOR_FILE = "lora2_allocator.safetensors"


class Lora2Callback(TrainerCallback):
    """Regularises and prunes a LoRA² adapter while transformers' ``Trainer`` trains it.

    ::

        model = get_peft_model(base, Lora2Config(k=8, r=8, target_rank=4))
        trainer = Trainer(model, arguments, train_dataset=data, callbacks=[Lora2Callback()])
        trainer.train()

    It works with every subclass of ``Trainer`` (TRL's ``SFTTrainer``, also
    ``SentenceTransformerTrainer`` with ``get_peft_model`` around the transformer inside) because it
    never looks at the loss:

    * Before the first forward of each optimiser step the gradients of the regularisers are put
      where backward adds the task's. So each step has them once however many batches it
      accumulates, and clipping and the gradient scaler see the sum, as if the terms had been in
      the loss. The loss that is logged stays the task's own; the terms (``lora2/outer`` and so on)
      and ``lora2/kept_rank`` stand beside it in ``state.log_history``, on the terminal, and in
      the logs of every callback that comes after this one. Trainer puts those of ``report_to``
      before it; move one behind it with
      ``trainer.add_callback(trainer.pop_callback(MLflowCallback))``.
    * After the optimiser's step and before the gradients are cleared the importance is averaged
      and singular values are masked; a step that the gradient scaler skipped is left out.
    * Into every checkpoint it writes ``lora2_allocator.safetensors``, and restores it on resuming.

    In a loop of your own, where ``lora2`` is ``get_peft_model(...).base_model``, three lines do::

        lora2.set_total_steps(T)
        for step, batch in enumerate(batches, start=1):
            loss = task_loss(model, batch) + sum(lora2.regularization().values())
            loss.backward()
            optimizer.step()
            lora2.update_and_allocate(step)
            optimizer.zero_grad()

    Args:
        resume_from: The checkpoint folder that ``trainer.train`` is told to resume from, where that
            is not the one of the same step in ``output_dir``.

    Raises:
        ValueError: At the beginning of the training, when the model has no LoRA² adapter, the
            schedule does not fit the number of steps, or the trainer shards gradients (DeepSpeed,
            FSDP), which then cannot be added to; or ``score_loss: task`` meets clipping, whose
            factor a callback is not told.
        FileNotFoundError: The checkpoint was written without this callback.
    """

    def __init__(self, resume_from: str | Path | None = None) -> None:
        self._resume_from = resume_from
        self._terms: dict[str, Tensor] = {}

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Tell the schedule its number of steps; when resuming, restore averages and masks."""
        self._lora2 = _tuner_in(kwargs["model"])
        self._check(args)
        self._lora2.set_total_steps(state.max_steps)
        if state.global_step:
            self._load(Path(self._resume_from or _checkpoint(args, state)))

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Put the regularisers' gradients where backward will add the task's."""
        terms = self._lora2.regularization()
        self._terms = {name: term.detach() for name, term in terms.items()}
        total = torch.stack(list(terms.values())).sum()
        if total.requires_grad:
            scaler = getattr(kwargs["optimizer"], "scaler", None)
            # The task's gradients come scaled, and the scaler will divide the sum of both.
            (scaler.scale(total) if scaler else total).backward()

    def on_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Score the step just taken, and mask when that is due."""
        if not getattr(kwargs["optimizer"], "step_was_skipped", False):
            # The trainer counts the step only afterwards.
            self._lora2.update_and_allocate(state.global_step + 1)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Add the regularisers and the kept rank to what the trainer logs of the training."""
        logs: dict[str, float] = kwargs["logs"]
        if "loss" in logs:
            noted = {f"lora2/{name}": float(term) for name, term in self._terms.items()}
            noted["lora2/kept_rank"] = self._lora2.kept_rank()
            for entry in (state.log_history[-1], logs):
                entry.update(noted)

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Write averages and mask into the checkpoint that was just made."""
        tensors = self._lora2.allocator_state()
        if tensors and state.is_world_process_zero:
            plain = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
            save_file(plain, _checkpoint(args, state) / ALLOCATOR_FILE)

    def _check(self, args: TrainingArguments) -> None:
        if args.deepspeed or args.fsdp:
            raise ValueError(
                "Lora2Callback adds to the gradients, which DeepSpeed and FSDP shard: "
                "train without them, or in a loop of your own."
            )
        (config,) = (self._lora2.peft_config[name] for name in self._lora2.active_adapters)
        if config.init == "lora" and args.weight_decay:
            warnings.warn(
                f"Trainer decays every weight of the adapter, and weight_decay={args.weight_decay} "
                "pulls the singular values, which `init='lora'` starts at 1, towards 0: set it to "
                "0, or give Trainer an optimizer that leaves names with `lora2_lambda` out.",
                stacklevel=2,
            )
        if config.prunes and config.score_loss == "task" and args.max_grad_norm:
            raise ValueError(
                "`score_loss='task'` needs to know what clipping did, which Trainer does not "
                f"tell callbacks, but got max_grad_norm={args.max_grad_norm}: set it to 0, or "
                "score the total loss."
            )

    def _load(self, checkpoint: Path) -> None:
        if not self._lora2.allocator_state():
            return
        path = checkpoint / ALLOCATOR_FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing, so the masks cannot be restored: the checkpoint was "
                "written without Lora2Callback, or it is elsewhere (then pass "
                "Lora2Callback(resume_from=FOLDER))."
            )
        self._lora2.load_allocator_state(load_file(path))


def _tuner_in(model: nn.Module) -> Lora2Model:
    tuner = next((module for module in model.modules() if isinstance(module, Lora2Model)), None)
    if tuner is None:
        raise ValueError(
            f"Lora2Callback needs a model made by `get_peft_model(base, Lora2Config(...))`, but "
            f"{type(model).__name__} holds none (`add_adapter` of transformers keeps no tuner)."
        )
    return tuner


def _checkpoint(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
