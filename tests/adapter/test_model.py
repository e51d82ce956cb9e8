"""Training with the tuner: start, regularisers, pruning, resuming."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from lora2_search.adapter.config import Lora2Config
from lora2_search.config.vocabulary import SCORE_LOSSES, SCORINGS
from tests.support.adapters import (
    BERT_TARGETS,
    adapted_bert,
    factors_of,
    labels,
    layers_of,
    optimizer_of,
    run,
    scramble,
    tiny_bert,
    tokens,
    train,
)

SCORED = [name for name in SCORINGS if name != "none"]
PRUNED = {"k": 4, "r": 5, "target_rank": 2, "t_init": 2, "t_final": 4, "delta_t": 1}


@pytest.mark.parametrize("init", ["gaussian", "orthonormal"])
@pytest.mark.parametrize(("k", "r"), [(1, 1), (8, 8), (3, 9), ([6, 2], 3), ([], 2)])
def test_an_untrained_adapter_gives_the_pretrained_logits_exactly(
    k: Any, r: int, init: str
) -> None:
    expected = tiny_bert()(tokens()).logits
    model = adapted_bert(k=k, r=r, init=init)
    assert torch.equal(model(tokens()).logits, expected)
    scramble(model)
    assert not torch.equal(model(tokens()).logits, expected)


def test_every_default_target_is_adapted() -> None:
    assert len(layers_of(adapted_bert(layers=2))) == 12


def test_the_start_of_a_factor_ignores_everything_but_its_name_and_the_seed() -> None:
    torch.manual_seed(5)
    alone = adapted_bert(target_modules=["layer.1.output.dense"], r=3)
    torch.manual_seed(6)
    among_others = adapted_bert(target_modules=BERT_TARGETS, r=3)
    seeded = adapted_bert(target_modules=BERT_TARGETS, r=3, seed=1)

    def outer(model: nn.Module) -> torch.Tensor:
        name = "base_model.model.bert.encoder.layer.1.output.dense"
        return model.get_submodule(name).factors("default").left[0]

    assert torch.equal(outer(alone), outer(among_others))
    assert not torch.equal(outer(alone), outer(seeded))
    first, second = (f.left[0] for f in factors_of(among_others)[:2])
    assert not torch.equal(first, second)


def test_regularisation_is_weighted_named_and_differentiable() -> None:
    model = adapted_bert(gamma=[0.4, 0.2], init="orthonormal")
    assert sum(model.base_model.regularization().values()).item() < 1e-5
    scramble(model)
    losses = model.base_model.regularization()
    assert list(losses) == ["outer", "inner"]
    sum(losses.values()).backward()
    for factors in factors_of(model):
        assert all((f.grad != 0).any() for f in (*factors.left, *factors.right))
        assert factors.values.grad is None
    model.peft_config["default"].gamma = [0.8, 0.2]
    doubled = model.base_model.regularization()
    torch.testing.assert_close(doubled["outer"], 2 * losses["outer"])
    torch.testing.assert_close(doubled["inner"], losses["inner"])


@pytest.mark.parametrize("scoring", SCORED)
@pytest.mark.parametrize(
    ("budget", "allocation", "delta_t"),
    [("cubic", "global", 1), ("linear", "global", 3), ("constant", "per-matrix", 3)],
)
def test_training_ends_with_exactly_the_target_rank(
    scoring: str, budget: str, allocation: str, delta_t: int
) -> None:
    varied = {"scoring": scoring, "budget": budget, "allocation": allocation, "delta_t": delta_t}
    model = adapted_bert(**{**PRUNED, **varied})
    model.base_model.set_total_steps(12)
    for step in train(model, optimizer_of(model), 1, 12):
        alive = sum(int(f.values.count_nonzero()) for f in factors_of(model))
        masked = step >= 8 or (step > 2 and step % delta_t == 0)
        assert alive == (model.base_model.budget(step) if masked else 60)
    assert model.base_model.kept_rank() == alive == 2 * 12
    pattern = model.base_model.rank_pattern()
    assert list(pattern.values()) == [int(f.values.count_nonzero()) for f in factors_of(model)]
    assert allocation == "global" or set(pattern.values()) == {2}
    assert set(pattern) == {
        name
        for name, module in model.base_model.model.named_modules()
        if module in layers_of(model)
    }


def test_importance_size_and_chance_keep_different_values() -> None:
    patterns = []
    for scoring in ("reduced", "values", "magnitude", "random"):
        model = adapted_bert(**{**PRUNED, "scoring": scoring})
        model.base_model.set_total_steps(12)
        run(model, optimizer_of(model), 1, 12)
        patterns.append([f.values.ne(0).tolist() for f in factors_of(model)])
    assert all(a != b for i, a in enumerate(patterns) for b in patterns[:i])


@pytest.mark.parametrize(
    "settings", [{}, {"target_rank": 5}, {"target_rank": 2, "scoring": "none"}]
)
def test_without_pruning_everything_is_kept_and_t_need_not_be_known(
    settings: dict[str, Any],
) -> None:
    model = adapted_bert(k=4, r=5, **settings)
    run(model, optimizer_of(model), 1, 3)
    assert all(f.values.all() for f in factors_of(model))
    assert model.base_model.kept_rank() == model.base_model.budget(3) == 60
    assert model.base_model.allocator_state() == {}
    with pytest.raises(ValueError, match="unexpected keys"):
        model.base_model.load_allocator_state({"mask": torch.ones(1)})


def test_pruning_asks_for_the_number_of_steps() -> None:
    model = adapted_bert(**PRUNED)
    for call in (
        lambda: model.base_model.update_and_allocate(1),
        lambda: model.base_model.budget(1),
        lambda: model.base_model.allocator_state(),
    ):
        with pytest.raises(RuntimeError, match="set_total_steps"):
            call()
    with pytest.raises(ValueError, match="t_init=2, t_final=4, total steps=6"):
        model.base_model.set_total_steps(6)


def test_a_rank_pattern_sets_ranks_by_module_and_counts_into_the_budget() -> None:
    model = adapted_bert(
        **{**PRUNED, "rank_pattern": {"layer.0.attention.self.query": 0, "value": 1}}
    )
    ranks = model.base_model.rank_pattern()
    assert ranks["bert.encoder.layer.0.attention.self.query"] == 0
    assert ranks["bert.encoder.layer.1.attention.self.query"] == 5
    assert [rank for name, rank in ranks.items() if name.endswith("value")] == [1, 1]
    assert {layer.scaling["default"] for layer in layers_of(model)} == {16 / 5}
    model.base_model.set_total_steps(12)
    assert model.base_model.budget(1) == 9 * 5 + 2
    run(model, optimizer_of(model), 1, 12)
    assert model.base_model.kept_rank() == 24


def test_a_start_below_the_target_is_never_pruned() -> None:
    model = adapted_bert(**{**PRUNED, "rank_pattern": {"dense": 1, "query|key|value": 2}})
    model.base_model.set_total_steps(12)
    assert {model.base_model.budget(step) for step in range(1, 13)} == {18}
    run(model, optimizer_of(model), 1, 12)
    assert model.base_model.kept_rank() == 18


def test_autocast_rounds_the_increment_but_not_the_regulariser() -> None:
    model = adapted_bert(k=3, r=4)
    scramble(model)
    logits, losses = model(tokens()).logits, model.base_model.regularization()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(model(tokens()).logits.float(), logits, rtol=0.05, atol=0.05)
        for name, loss in model.base_model.regularization().items():
            assert torch.equal(loss, losses[name])


@pytest.mark.parametrize("score_loss", SCORE_LOSSES)
@pytest.mark.parametrize("scoring", SCORED)
@pytest.mark.parametrize("stop", [1, 6, 9])
def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(
    scoring: str, stop: int, score_loss: str
) -> None:
    settings = {**PRUNED, "scoring": scoring, "score_loss": score_loss}
    whole = adapted_bert(**settings)
    whole.base_model.set_total_steps(12)
    optimizer = optimizer_of(whole)
    run(whole, optimizer, 1, stop)
    weights = copy.deepcopy(whole.state_dict())
    moments = copy.deepcopy(optimizer.state_dict())
    allocator = save(whole.base_model.allocator_state())
    run(whole, optimizer, stop + 1, 12)

    resumed = adapted_bert(**settings)
    resumed.base_model.set_total_steps(12)
    resumed.load_state_dict(weights)
    resumed.base_model.load_allocator_state(load(allocator))
    assert resumed.base_model.allocator_state().keys() == load(allocator).keys()
    optimizer = optimizer_of(resumed)
    optimizer.load_state_dict(moments)
    run(resumed, optimizer, stop + 1, 12)
    ours, theirs = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert whole.base_model.rank_pattern() == resumed.base_model.rank_pattern()
    for name, tensor in whole.base_model.allocator_state().items():
        assert torch.equal(tensor, resumed.base_model.allocator_state()[name])


def test_a_longer_run_keeps_averages_and_mask() -> None:
    model = adapted_bert(**PRUNED)
    model.base_model.set_total_steps(12)
    run(model, optimizer_of(model), 1, 6)
    before = model.base_model.allocator_state()
    model.base_model.set_total_steps(100)
    assert model.base_model.budget(6) > sum(before["mask"])
    after = model.base_model.allocator_state()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_fraction_of_a_rank_is_counted_as_it_is_written() -> None:
    model = adapted_bert(layers=5, **{**PRUNED, "target_rank": 4.1})
    model.base_model.set_total_steps(12)
    assert 4.1 * 30 < 123 and model.base_model.budget(12) == 123


def test_factors_that_were_replaced_are_the_ones_that_are_scored() -> None:
    model = adapted_bert(**PRUNED)
    model.base_model.set_total_steps(12)
    optimizer = optimizer_of(model)
    run(model, optimizer, 1, 2)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(weights, assign=True)
    run(model, optimizer_of(model), 3, 12)
    assert sum(int(f.values.count_nonzero()) for f in factors_of(model)) == 24


def test_two_active_adapters_cannot_be_regularised_together() -> None:
    model = adapted_bert(k=2, r=2)
    model.add_adapter("other", Lora2Config(k=2, r=2))
    model.base_model.set_adapter(["default", "other"])
    with pytest.raises(ValueError, match="one adapter at a time"):
        model.base_model.regularization()


def test_gradient_checkpointing_changes_no_gradient() -> None:
    gradients = []
    for checkpointing in (False, True):
        model = adapted_bert(k=3, r=4).train()
        scramble(model)
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model(tokens(), labels=labels()).loss.backward()
        gradients.append([f.left[1].grad for f in factors_of(model)])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)
