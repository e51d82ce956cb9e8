"""Other people's loops give the masks of the plain one: accumulation, scaling, skipped steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor

from tests.support.adapters import adapted_bert, factors_of, labels, optimizer_of, tokens

STEPS = 12
PRUNED: dict[str, Any] = {"k": 4, "r": 5, "target_rank": 2, "t_init": 2, "t_final": 3, "delta_t": 1}


def pruned_bert(**settings: Any) -> PeftModel:
    model = adapted_bert(**{**PRUNED, **settings})
    model.base_model.set_total_steps(STEPS)
    return model


def loss_of(model: PeftModel, ids: Tensor, targets: Tensor) -> Tensor:
    return model(ids, labels=targets).loss + sum(model.base_model.regularization().values())


def masks(model: PeftModel) -> list[list[bool]]:
    return [factors.values.ne(0).tolist() for factors in factors_of(model)]


def plain(model: PeftModel, skipped: int | None = None) -> list[list[list[bool]]]:
    """One batch of 8 a step; `skipped` takes no step at all and does not count."""
    optimizer, seen, done = optimizer_of(model), [], 0
    for batch in range(1, STEPS + 1 + (skipped is not None)):
        if batch == skipped:
            continue
        done += 1
        loss_of(model, tokens(8, seed=batch), labels(8)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        model.base_model.update_and_allocate(done)
        seen.append(masks(model))
        optimizer.zero_grad()
    return seen


@pytest.mark.parametrize("score_loss", ["total", "task"])
def test_accumulated_batches_give_the_masks_of_one_large_batch(score_loss: str) -> None:
    expected = plain(pruned_bert(score_loss=score_loss).double())
    model = pruned_bert(score_loss=score_loss).double()
    optimizer = optimizer_of(model)
    for step in range(1, STEPS + 1):
        for ids, targets in zip(tokens(8, seed=step).split(2), labels(8).split(2), strict=True):
            (loss_of(model, ids, targets) / 4).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        model.base_model.update_and_allocate(step)
        assert masks(model) == expected[step - 1]
        optimizer.zero_grad()


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("clips", [False, True])
def test_a_gradient_scaler_and_a_step_that_it_skips_change_no_mask(
    fused: bool, clips: bool
) -> None:
    """A power of two scales without rounding, so weights and masks are equal to the bit."""
    overflows = 5

    def trained(scale: float, overflow: bool) -> tuple[list[list[list[bool]]], PeftModel]:
        model = pruned_bert()
        parameters = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=2e-2, fused=fused)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1000)
        seen, done = [], 0
        for batch in range(1, STEPS + 2):
            if batch == overflows and not overflow:
                continue
            scaler.scale(loss_of(model, tokens(8, seed=batch), labels(8))).backward()
            if batch == overflows:
                parameters[0].grad[0] = float("inf")
            if clips:
                scaler.unscale_(optimizer)
                torch.nn.utils.clip_grad_norm_(parameters, 0.5)
            before = scaler.get_scale()
            scaler.step(optimizer)
            scaler.update()
            if scaler.get_scale() >= before:
                done += 1
                model.base_model.update_and_allocate(done)
                seen.append(masks(model))
            optimizer.zero_grad()
        return seen, model

    expected, reference = trained(1.0, overflow=False)
    found, model = trained(2.0**12, overflow=True)
    assert found == expected and len(found) == STEPS
    for name, tensor in reference.base_model.allocator_state().items():
        assert torch.equal(tensor, model.base_model.allocator_state()[name])
    mine, theirs = model.state_dict(), reference.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("score_loss", ["total", "task"])
def test_autocast_scores_in_float32_and_ends_on_target(score_loss: str) -> None:
    model = pruned_bert(score_loss=score_loss)
    optimizer = optimizer_of(model)
    for step in range(1, STEPS + 1):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(model, tokens(8, seed=step), labels(8))
        loss.backward()
        optimizer.step()
        model.base_model.update_and_allocate(step)
        optimizer.zero_grad()
    assert model.base_model.kept_rank() == 24
    assert model.base_model.allocator_state()["sensitivity"].dtype == torch.float32
