"""`score_loss: task` against a run that takes the task's gradient in a backward of its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor

from lora2_search.adapter import model as tuner
from lora2_search.adapter.factors import Factors
from lora2_search.adapter.scoring.importance import ImportanceScoring
from tests.support.adapters import adapted_bert, factors_of, labels, optimizer_of, scramble, tokens

STEPS, LARGEST = 8, 0.05
SETTINGS: dict[str, Any] = {
    "k": 4,
    "r": 5,
    "gamma": [3.0, 2.0],
    "target_rank": 2,
    "t_init": 1,
    "t_final": 2,
    "delta_t": 1,
}


def double_bert(**settings: Any) -> PeftModel:
    model = adapted_bert(**{**SETTINGS, **settings}).double()
    scramble(model)
    model.base_model.set_total_steps(STEPS)
    return model


def task_loss(model: PeftModel, step: int, batch: int = 0) -> Tensor:
    return model(tokens(seed=10 * step + batch), labels=labels()).loss


def trained(model: PeftModel) -> list[Tensor]:
    return [p for p in model.parameters() if p.requires_grad]


def with_gradients(model: PeftModel, gradients: dict[int, Tensor]) -> list[Factors]:
    """The model's weights beside gradients that were taken elsewhere."""

    def twin(weight: Tensor) -> Tensor:
        copy = weight.detach().clone()
        copy.grad = gradients[id(weight)]
        return copy

    return [
        Factors(tuple(map(twin, m.left)), twin(m.values), tuple(map(twin, m.right)))
        for m in factors_of(model)
    ]


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize(
    "settings", [{}, {"k": []}, {"gamma": [3.0, 0.0]}, {"penalty": "squared", "gamma_cross": 0.5}]
)
def test_the_task_score_is_that_of_a_backward_without_the_regularisers(
    settings: dict[str, Any], clip: bool, accumulate: int
) -> None:
    if settings.get("k") == []:
        settings = {**settings, "gamma": 3.0}
    model = double_bert(**settings, score_loss="task")
    optimizer = optimizer_of(model)
    oracle = ImportanceScoring(factors_of(model), 0.85, 0.85)
    for step in range(1, STEPS + 1):
        task = sum(task_loss(model, step, b) for b in range(accumulate)) / accumulate
        by_hand = torch.autograd.grad(task, trained(model), allow_unused=True)
        for batch in range(accumulate):
            terms = model.base_model.regularization()
            total = task_loss(model, step, batch) + sum(terms.values())
            (total / accumulate).backward()
        scale: float | Tensor = 1.0
        if clip:
            norm = torch.nn.utils.clip_grad_norm_(trained(model), LARGEST)
            scale = LARGEST / (norm + 1e-6)
            assert scale < 1
        optimizer.step()
        gradients = {
            id(p): g * scale for p, g in zip(trained(model), by_hand, strict=True) if g is not None
        }
        if step < STEPS - 2:
            oracle.update(with_gradients(model, gradients))
        before = [p.grad.clone() for p in trained(model)]
        model.base_model.update_and_allocate(step, scale)
        assert all(torch.equal(a, p.grad) for a, p in zip(before, trained(model), strict=True))
        optimizer.zero_grad()
        for name, expected in oracle.state().items():
            state = model.base_model.allocator_state()[name]
            torch.testing.assert_close(state, expected, rtol=1e-7, atol=1e-14)


def test_task_and_total_scores_choose_different_values_and_no_regulariser_means_no_difference() -> (
    None
):
    def averages(score_loss: str, gamma: float) -> Tensor:
        model = double_bert(score_loss=score_loss, gamma=gamma)
        optimizer = optimizer_of(model)
        for step in (1, 2):
            loss = task_loss(model, step) + sum(model.base_model.regularization().values())
            loss.backward()
            optimizer.step()
            model.base_model.update_and_allocate(step)
            optimizer.zero_grad()
        return model.base_model.allocator_state()["sensitivity"]

    assert not torch.allclose(averages("task", 1.0), averages("total", 1.0), rtol=0.1)
    assert torch.equal(averages("task", 0.0), averages("total", 0.0))


def test_looking_at_the_regularisers_in_an_evaluation_leaves_the_step_alone() -> None:
    states = []
    for looks in (False, True):
        model = double_bert(score_loss="task")
        (task_loss(model, 1) + sum(model.base_model.regularization().values())).backward()
        if looks:
            with torch.no_grad():
                model.base_model.regularization()
        model.base_model.update_and_allocate(1)
        states.append(model.base_model.allocator_state()["sensitivity"])
    assert torch.equal(*states)


def test_a_loss_without_regularisers_is_scored_as_it_is() -> None:
    states = []
    for score_loss in ("task", "total"):
        model = double_bert(score_loss=score_loss)
        task_loss(model, 1).backward()
        model.base_model.update_and_allocate(1)
        states.append(model.base_model.allocator_state()["sensitivity"])
    assert torch.equal(*states)


def test_the_regularisers_are_differentiated_as_often_as_steps_are_scored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[int] = []
    ours = tuner.penalty_gradients
    monkeypatch.setattr(tuner, "penalty_gradients", lambda *a: taken.append(step) or ours(*a))
    model = double_bert(score_loss="task")
    optimizer = optimizer_of(model)
    for _ in range(2):
        model.base_model.set_total_steps(STEPS)  # a second run begins with step 1 again
        for step in range(1, STEPS + 1):
            (task_loss(model, step) + sum(model.base_model.regularization().values())).backward()
            optimizer.step()
            model.base_model.update_and_allocate(step)
            optimizer.zero_grad()
    last_mask = STEPS - SETTINGS["t_final"]
    assert taken == 2 * list(range(1, last_mask))
