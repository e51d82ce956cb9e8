from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import get_peft_model

from lora2_search.adapter.config import Lora2Config
from lora2_search.config.schema import TrainingConfig
from lora2_search.training.data.tokens import Encoded
from lora2_search.training.kinds.labelled import Labelled, task_loss
from lora2_search.training.loop.checkpoint import Progress
from lora2_search.training.loop.plan import plan
from lora2_search.training.loop.trainer import Trainer, optimizer_for, schedule_for
from lora2_search.training.models.methods import Fixed
from lora2_search.training.seeds import named_seed


@given(
    examples=st.integers(1, 5000),
    batch=st.integers(1, 64),
    accumulation=st.integers(1, 8),
    evaluations=st.integers(1, 30),
    steps=st.one_of(st.none(), st.integers(1, 500)),
    epochs=st.floats(0.01, 5),
)
def test_a_plan_ends_on_its_last_step_and_never_evaluates_twice_at_one(
    examples: int, batch: int, accumulation: int, evaluations: int, steps: int | None, epochs: float
) -> None:
    made = plan(
        TrainingConfig(
            epochs=epochs,
            steps=steps,
            batch_size=batch,
            accumulation=accumulation,
            evaluations=evaluations,
        ),
        examples,
    )
    assert made.total == (steps or made.total) >= 1
    assert made.stops[-1] == made.total
    assert list(made.stops) == sorted(set(made.stops)) and made.stops[0] >= 1
    assert len(made.stops) == min(evaluations, made.total)


def test_singular_values_do_not_decay() -> None:
    model = get_peft_model(
        torch.nn.Sequential(torch.nn.Linear(4, 4)), Lora2Config(target_modules=["0"], init="lora")
    )
    groups = optimizer_for(model, TrainingConfig(weight_decay=0.3), []).param_groups
    values = [p for name, p in model.named_parameters() if "lora2_lambda" in name]
    decays = {
        group["weight_decay"] for group in groups if any(p is values[0] for p in group["params"])
    }
    assert len(values) == 1 and decays == {0.0}
    assert {group["weight_decay"] for group in groups} == {0.0, 0.3}


def test_adapter_and_head_have_their_own_learning_rates_and_biases_do_not_decay() -> None:
    model = torch.nn.ModuleDict(
        {"body": torch.nn.Linear(2, 2), "classifier": torch.nn.Linear(2, 2)}
    )
    training = TrainingConfig(lr=0.1, head_lr=0.2, weight_decay=0.3)
    groups = optimizer_for(model, training, ["classifier"]).param_groups
    found = {(g["lr"], g["weight_decay"], len(g["params"])) for g in groups}
    assert found == {(0.1, 0.3, 1), (0.1, 0.0, 1), (0.2, 0.3, 1), (0.2, 0.0, 1)}


def test_the_task_loss_is_cross_entropy_or_mean_squared_error() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    expected = -(torch.log_softmax(logits, 1)[0, 0] + torch.log_softmax(logits, 1)[1, 0]) / 2
    assert torch.isclose(task_loss(logits, torch.zeros(2), "classification"), expected)
    assert task_loss(torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 1.0]), "regression") == 2.5


def test_named_seeds_are_stable_over_processes_and_versions() -> None:
    assert named_seed(0, "order", 1) == 4489457307835839548
    names = [("order", 0), ("order", 1), ("head", "x"), ("dropout",)]
    assert len({named_seed(seed, *n) for seed in (0, 1) for n in names}) == 8


class _Overflowing:
    """An accelerator whose gradient scaler skips every step, as fp16's first ones often are."""

    device = torch.device("cpu")
    optimizer_step_was_skipped = True
    process_index, num_processes = 0, 1

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()

    def clip_grad_norm_(self, parameters: object, largest: float) -> torch.Tensor:
        return torch.tensor(float("inf"))


class _Model(torch.nn.Linear):
    def forward(self, input_ids: torch.Tensor) -> SimpleNamespace:  # type: ignore[override]
        return SimpleNamespace(logits=super().forward(input_ids))


def test_a_step_skipped_for_overflow_is_no_divergence_and_moves_no_schedule() -> None:
    model, training = _Model(2, 2), TrainingConfig(steps=2, batch_size=2)
    optimizer = optimizer_for(model, training, [])
    scheduler = schedule_for(optimizer, training, 2)
    trainer = Trainer(
        accelerator=_Overflowing(),
        progress=Progress(model, Fixed(), optimizer, scheduler),
        train=Encoded({"input_ids": [[1, 2], [3, 4]]}, np.zeros(2), np.full(2, 2)),
        training=training,
        kind=Labelled(
            "classification",
            lambda rows: {"input_ids": torch.tensor([r["input_ids"] for r in rows]).float()},
        ),
        seed=0,
        plan=plan(training, 2),
    )
    points = list(trainer.advance(0, 2))
    assert len(points) == 2 and "train/grad_norm" not in points[0].metrics
    assert scheduler.last_epoch == 0
