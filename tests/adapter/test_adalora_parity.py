"""With one plane LoRA² is AdaLoRA: PEFT's own, step by step."""

from __future__ import annotations

import pytest
import torch
from peft import AdaLoraConfig, PeftModel, get_peft_model
from peft.tuners.adalora import AdaLoraLayer
from torch import Tensor

from tests.support.adapters import (
    BERT_TARGETS,
    adapted_bert,
    labels,
    optimizer_of,
    tiny_bert,
    tokens,
)

STEPS, ALPHA, RANK, GAMMA = 50, 16, 6, 0.5


def adalora() -> PeftModel:
    config = AdaLoraConfig(
        task_type="SEQ_CLS",
        target_modules=BERT_TARGETS,
        modules_to_save=["pooler", "classifier"],
        init_r=RANK,
        target_r=2,
        lora_alpha=ALPHA,
        tinit=5,
        tfinal=15,
        deltaT=3,
        total_step=STEPS,
        orth_reg_weight=GAMMA,
    )
    model = get_peft_model(tiny_bert(), config).double().eval()
    for name, parameter in model.named_parameters():
        # On a base that is not float32 PEFT trains its own scale.
        if "ranknum" in name:
            parameter.requires_grad_(False)
    return model


def one_plane() -> PeftModel:
    model = adapted_bert(
        task_type="SEQ_CLS",
        target_modules=BERT_TARGETS,
        k=[],
        r=RANK,
        # PEFT divides by r + 1e-5.
        lora_alpha=ALPHA * RANK / (RANK + 1e-5),
        gamma=GAMMA,
        scoring="full",
        target_rank=2,
        t_init=5,
        t_final=15,
        delta_t=3,
    ).double()
    model.base_model.set_total_steps(STEPS)
    return model


def layers_by_name(theirs: PeftModel) -> dict[str, AdaLoraLayer]:
    modules = theirs.base_model.model.named_modules()
    return {name: module for name, module in modules if isinstance(module, AdaLoraLayer)}


@torch.no_grad()
def copy_start(theirs: PeftModel, ours: PeftModel) -> None:
    for name, layer in layers_by_name(theirs).items():
        factors = ours.base_model.model.get_submodule(name).factors("default")
        factors.left[0].copy_(layer.lora_B["default"])
        factors.values.copy_(layer.lora_E["default"].view(-1))
        factors.right[0].copy_(layer.lora_A["default"])
    heads = {n: p for n, p in theirs.named_parameters() if "modules_to_save" in n}
    assert heads
    for name, parameter in ours.named_parameters():
        if name in heads:
            parameter.copy_(heads[name])


def their_scores(theirs: PeftModel) -> Tensor:
    allocator, scores = theirs.base_model.rankallocator, []
    for name in layers_by_name(theirs):
        a, e, b = (allocator._element_score(f"{name}.lora_{factor}.default") for factor in "AEB")
        scores.append(e.view(-1) + a.mean(dim=1) + b.mean(dim=0))
    return torch.cat(scores)


def step_of(model: PeftModel, optimizer: torch.optim.Optimizer, step: int, penalty: bool) -> Tensor:
    output = model(tokens(seed=step), labels=labels())
    loss = output.loss
    if penalty:  # PEFT's AdaLoRA adds its own inside forward
        loss = loss + sum(model.base_model.regularization().values())
    loss.backward()
    optimizer.step()
    model.base_model.update_and_allocate(step)
    optimizer.zero_grad()
    return torch.cat([output.logits.detach().view(-1), loss.detach().view(1)])


@pytest.mark.filterwarnings("ignore")
def test_one_plane_equals_pefts_adalora_for_fifty_steps() -> None:
    theirs, ours = adalora(), one_plane()
    copy_start(theirs, ours)
    optimizers = optimizer_of(theirs), optimizer_of(ours)
    budgets = set()
    for step in range(1, STEPS + 1):
        expected = step_of(theirs, optimizers[0], step, penalty=False)
        found = step_of(ours, optimizers[1], step, penalty=True)
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)
        if step < STEPS - 15:
            scores = ours.base_model.importance()
            torch.testing.assert_close(scores, their_scores(theirs), rtol=1e-6, atol=0)
        kept = 0
        for name, layer in layers_by_name(theirs).items():
            values = ours.base_model.model.get_submodule(name).factors("default").values
            assert torch.equal(values != 0, layer.lora_E["default"].view(-1) != 0)
            kept += int(values.count_nonzero())
        budgets.add(kept)
    assert kept == 2 * 12 and len(budgets) > 6
