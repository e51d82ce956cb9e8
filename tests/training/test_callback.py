"""LoRA² trained by transformers' Trainer ends where our own loop ends."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, TrainerState, TrainingArguments

import lora2_search
from lora2_search.adapter.config import Lora2Config
from lora2_search.training.export.callback import ALLOCATOR_FILE, Lora2Callback
from lora2_search.training.loop.prepare import Prepared, prepare
from lora2_search.training.loop.trainer import optimizer_for, schedule_for
from tests.support.adapters import adapted_bert
from tests.support.adapters import tiny_bert as small_bert
from tests.training.test_run import settings

BATCH = 8


def ready(model: Path, data: Path, **change: Any) -> Prepared:
    """A run before its first step, without dropout: both loops draw from it at other moments."""
    short = {"training.epochs": 1.0, "training.batch_size": BATCH, "data.train_size": 24 * BATCH}
    short |= {"adapter.gamma": 0.3, **change}
    prepared = prepare(settings(model, data, **short))
    for module in prepared.trainer.progress.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return prepared


class Logger(TrainerCallback):
    """What a callback that comes after ours is given to log."""

    def __init__(self) -> None:
        self.logs: list[dict[str, Any]] = []

    def on_log(self, *_: Any, **kwargs: Any) -> None:
        self.logs.append(dict(kwargs["logs"]))


class InOrder(Trainer):
    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


def trainer_for(prepared: Prepared, folder: Path, **arguments: Any) -> InOrder:
    """A Trainer that sees the batches of our loop, in our loop's order."""
    ours = prepared.trainer
    batches = list(_batches(ours))
    assert {len(batch) for batch in batches} == {BATCH}
    rows = [
        {**ours.train.rows([index])[0], "labels": int(ours.train.labels[index])}
        for batch in batches
        for index in batch
    ]
    model = ours.progress.model
    optimizer = optimizer_for(model, ours.training, ["pooler", "classifier"])
    trainer = InOrder(
        model,
        TrainingArguments(
            str(folder),
            max_steps=ours.plan.total,
            per_device_train_batch_size=BATCH,
            gradient_accumulation_steps=ours.training.accumulation,
            max_grad_norm=ours.training.max_grad_norm or 0.0,
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
            **{"save_strategy": "no", "logging_steps": 1, **arguments},
        ),
        train_dataset=rows,
        data_collator=ours.kind.pad,
        optimizers=(optimizer, schedule_for(optimizer, ours.training, ours.plan.total)),
        callbacks=[Lora2Callback()],
    )
    # Left on, transformers 5.23 sums a classifier's loss over accumulated batches: it hands the
    # model the number of labels to divide by, and the model divides each batch by its own.
    trainer.model_accepts_loss_kwargs = False
    return trainer


def _batches(ours: Any) -> Any:
    for batches, _ in zip(ours._steps(0), range(ours.plan.total), strict=False):
        yield from batches


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"training.accumulation": 2},
        {"adapter.score_loss": "task", "training.max_grad_norm": None},
        {"adapter.orthogonality": "hard"},
        {"adapter.orthogonality": "none"},
        {"adapter.target_rank": None},
    ],
    ids=lambda change: "-".join(map(str, change.values())) or "default",
)
def test_a_trainer_with_the_callback_ends_as_our_own_loop(
    change: dict[str, Any], tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    ours = ready(tiny_bert, reviews_csv, **change)
    list(ours.trainer.advance(0, ours.trainer.plan.total))
    theirs = ready(tiny_bert, reviews_csv, **change)
    trainer, logger = trainer_for(theirs, tmp_path), Logger()
    trainer.add_callback(logger)
    trainer.train()
    one, other = ours.trainer.progress, theirs.trainer.progress
    assert one.adaptive.rank_pattern() == other.adaptive.rank_pattern()
    state = one.adaptive.allocator_state()
    if "mask" in state:
        assert torch.equal(state["mask"], other.adaptive.allocator_state()["mask"])
        assert 0 < state["mask"].sum() < len(state["mask"])
    expected = weights(one.model)
    for name, weight in weights(other.model).items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-6, msg=name)
    last = [entry for entry in trainer.state.log_history if "loss" in entry][-1]
    assert last["lora2/kept_rank"] == one.adaptive.kept_rank()
    terms = other.adaptive.regularization()
    assert {f"lora2/{name}" for name in terms} <= last.keys()
    (logged,) = [logs for logs in logger.logs if logs.get("loss") == last["loss"]][-1:]
    assert logged.items() <= last.items() and "lora2/kept_rank" in logged


def test_a_trainer_resumed_equals_one_that_never_stopped(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    saving = {"save_strategy": "steps", "save_steps": 10}
    whole = ready(tiny_bert, reviews_csv)
    trainer_for(whole, tmp_path / "whole", **saving).train()
    checkpoint = tmp_path / "whole" / "checkpoint-10"
    assert (checkpoint / ALLOCATOR_FILE).is_file()

    again = ready(tiny_bert, reviews_csv)
    resumed = trainer_for(again, tmp_path / "elsewhere", **saving)
    with pytest.raises(FileNotFoundError, match="resume_from"):
        resumed.train(resume_from_checkpoint=str(checkpoint))

    again = ready(tiny_bert, reviews_csv)
    resumed = trainer_for(again, tmp_path / "whole", **saving)
    resumed.train(resume_from_checkpoint=str(checkpoint))
    one, other = whole.trainer.progress, again.trainer.progress
    for name, tensor in one.adaptive.allocator_state().items():
        assert torch.equal(tensor, other.adaptive.allocator_state()[name]), name
    expected = weights(one.model)
    assert all(torch.equal(w, expected[name]) for name, w in weights(other.model).items())


def begun(model: PeftModel, tmp_path: Path, **arguments: Any) -> tuple[Lora2Callback, list[Any]]:
    args = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", **arguments)
    state = TrainerState(max_steps=10, global_step=0)
    callback, positional = Lora2Callback(), [args, state, None]
    callback.on_train_begin(*positional, model=model)
    return callback, positional


def test_the_gradient_scaler_finds_the_regularisers_scaled_as_the_task(tmp_path: Path) -> None:
    model = adapted_bert(k=4, r=4, gamma=0.3)
    factors = [p for name, p in model.named_parameters() if "lora2_u" in name]
    total = sum(model.base_model.regularization().values())
    expected = torch.autograd.grad(total, factors)
    callback, positional = begun(model, tmp_path)
    for scale in (None, 1024.0):
        scaler = torch.amp.GradScaler("cpu", init_scale=scale) if scale else None
        callback.on_step_begin(*positional, optimizer=SimpleNamespace(scaler=scaler))
        for factor, gradient in zip(factors, expected, strict=True):
            torch.testing.assert_close(factor.grad, (scale or 1.0) * gradient)
        model.zero_grad()


def test_a_step_that_the_scaler_skipped_is_not_scored(tmp_path: Path) -> None:
    model = adapted_bert(k=4, r=4, target_rank=2, init="orthonormal")
    callback, positional = begun(model, tmp_path)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
    for factors in (p for n, p in model.named_parameters() if "lambda" in n):
        factors.data.fill_(1.0)
    for skipped, moved in ((True, False), (False, True)):
        optimizer = SimpleNamespace(step_was_skipped=skipped)
        callback.on_optimizer_step(*positional, optimizer=optimizer)
        state = model.base_model.allocator_state()
        assert bool(state["sensitivity"].any()) == moved


@pytest.mark.parametrize(
    ("config", "arguments", "says"),
    [
        ({"target_rank": 2, "t_init": 5, "t_final": 5}, {}, "t_init"),
        ({"target_rank": 2, "score_loss": "task"}, {}, "max_grad_norm=1.0"),
        ({}, {"fsdp": "full_shard"}, "FSDP"),
    ],
)
def test_what_cannot_be_trained_right_is_refused_at_the_beginning(
    config: dict[str, Any], arguments: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=says):
        begun(adapted_bert(k=4, r=4, **config), tmp_path, **arguments)


def test_a_model_without_a_tuner_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="get_peft_model"):
        begun(get_peft_model(small_bert(), LoraConfig(target_modules=["query"])), tmp_path)
    injected = small_bert()
    injected.add_adapter(Lora2Config(k=2, r=2, target_modules=["query"]))
    with pytest.raises(ValueError, match="add_adapter"):
        begun(injected, tmp_path)


def test_the_callback_is_found_under_the_packages_name() -> None:
    assert lora2_search.Lora2Callback is Lora2Callback
