"""Several adapters in one model: switching, disabling, deleting, copying."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import get_model_status, get_peft_model

from lora2_search.adapter.config import Lora2Config
from tests.support.adapters import (
    adapted_bert,
    layers_of,
    optimizer_of,
    run,
    scramble,
    tiny_bert,
    tokens,
)


def test_disabling_gives_the_base_model_exactly() -> None:
    model = adapted_bert(k=4, r=5)
    scramble(model)
    adapted = model(tokens()).logits
    with model.disable_adapter():
        assert torch.equal(model(tokens()).logits, tiny_bert()(tokens()).logits)
    assert torch.equal(model(tokens()).logits, adapted)


def test_adapters_live_side_by_side_and_are_deleted_one_by_one() -> None:
    model = adapted_bert(k=4, r=5, target_rank=2)
    model.base_model.set_total_steps(10)
    scramble(model)
    first = model(tokens()).logits
    model.add_adapter("other", Lora2Config(k=[3, 2], r=2, target_modules=["query"]))
    assert torch.equal(model(tokens()).logits, first)
    model.set_adapter("other")
    assert torch.equal(model(tokens()).logits, tiny_bert()(tokens()).logits)
    assert model.base_model.rank_pattern().keys() == {
        f"bert.encoder.layer.{i}.attention.self.query" for i in range(2)
    }
    assert list(model.base_model.regularization()) == ["outer", "middle", "inner"]
    model.set_adapter("default")
    assert torch.equal(model(tokens()).logits, first)
    model.delete_adapter("default")
    model.set_adapter("other")
    assert model.base_model.kept_rank() == 4
    assert all("default" not in layer.lora2_lambda for layer in layers_of(model))


def test_a_deleted_name_starts_afresh() -> None:
    model = adapted_bert(k=2, r=4, target_rank=1, t_init=0, t_final=1, target_modules=["query"])
    model.base_model.set_total_steps(3)
    run(model, optimizer_of(model), 1, 3)
    assert model.base_model.kept_rank() == 2
    model.add_adapter("other", Lora2Config(k=2, r=2))
    model.delete_adapter("default")
    model.add_adapter("default", Lora2Config(k=2, r=3, target_rank=1, target_modules=["key"]))
    model.set_adapter("default")
    assert set(model.base_model.rank_pattern().values()) == {3}
    assert all(name.endswith("key") for name in model.base_model.rank_pattern())
    with pytest.raises(RuntimeError, match="set_total_steps"):
        model.base_model.allocator_state()


def test_only_the_active_adapter_and_the_head_are_trainable() -> None:
    model = adapted_bert(k=4, r=5)
    model.add_adapter("other", Lora2Config(k=2, r=2))
    trainable = [n for n, p in model.named_parameters() if p.requires_grad]
    assert all(".default." in n or n.endswith("lora2_lambda.default") for n in trainable)
    assert {n.split(".")[2] for n in trainable} == {"bert", "classifier"}


def test_status_and_trainable_parameters_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    model = adapted_bert(k=4, r=5, modules_to_save=None)
    model.print_trainable_parameters()
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert f"trainable params: {trainable:,}" in capsys.readouterr().out
    status = get_model_status(model)
    assert status.peft_types == {"default": "LORA2"}
    assert (status.num_adapter_layers, status.enabled) == (12, True)


def test_a_deep_copy_trains_on_its_own() -> None:
    model = adapted_bert(k=4, r=5, target_rank=2, t_init=1, t_final=2)
    model.base_model.set_total_steps(6)
    twin = copy.deepcopy(model)
    before = copy.deepcopy(model.state_dict())
    run(twin, optimizer_of(twin), 1, 6)
    assert twin.base_model.kept_rank() == 24 and model.base_model.kept_rank() == 60
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())


def test_mixing_with_other_adapter_types_is_refused() -> None:
    with pytest.raises(ValueError, match="'LORA2' is not compatible with the `PeftMixedModel`"):
        get_peft_model(tiny_bert(), Lora2Config(), mixed=True)
