"""GPT-2's transposed linear layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import save_as_lora
from torch import Tensor, nn
from transformers import GPT2Config, GPT2ForSequenceClassification
from transformers.pytorch_utils import Conv1D

from lora2_search.adapter.base_layers import read_weight, write_weight
from lora2_search.adapter.config import Lora2Config
from lora2_search.adapter.layer import Linear
from lora2_search.config.model_types import default_modules_to_save
from tests.support.adapters import close, factors_of, layers_of, optimizer_of, run, scramble, tokens


def twins(init: str = "gaussian", **settings: Any) -> tuple[Linear, Linear]:
    """The same layer, kept transposed and plain, with the same adapter."""
    torch.manual_seed(0)
    turned, plain = Conv1D(5, 7), nn.Linear(7, 5)
    plain.weight.data.copy_(turned.weight.T)
    plain.bias.data.copy_(turned.bias)
    config = Lora2Config(k=3, r=4, init=init, **settings)
    return (
        Linear(turned, "default", config, 4, "layer"),
        Linear(plain, "default", config, 4, "layer"),
    )


def tiny_gpt2() -> GPT2ForSequenceClassification:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=60, n_embd=16, n_layer=2, n_head=2, n_positions=16, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    return GPT2ForSequenceClassification(config).eval()


def adapted_gpt2(**settings: Any) -> PeftModel:
    heads = default_modules_to_save("gpt2")
    return get_peft_model(tiny_gpt2(), Lora2Config(modules_to_save=heads, **settings)).eval()


@pytest.mark.parametrize("init", ["gaussian", "svd"])
def test_a_transposed_layer_gives_what_the_plain_one_gives(init: str) -> None:
    turned, plain = twins(init)
    for a, b in zip(turned.factors("default").left, plain.factors("default").left, strict=True):
        close(a.abs(), b.abs())  # the two decompositions may differ in signs
    for layer in (turned, plain):
        scramble(layer)
    x = torch.randn(2, 3, 7, requires_grad=True)
    close(turned(x), plain(x))
    assert turned.get_delta_weight("default").shape == turned.get_base_layer().weight.shape
    close(turned.get_delta_weight("default").T, plain.get_delta_weight("default"))


@pytest.mark.parametrize("safe", [False, True])
def test_a_transposed_layer_merges_and_comes_apart_again(safe: bool) -> None:
    layer, _ = twins()
    scramble(layer)
    x = torch.randn(2, 3, 7)
    weight, expected = layer.weight.clone(), layer(x)
    layer.merge(safe_merge=safe)
    close(layer(x), expected)
    assert layer.weight.is_contiguous() and not torch.equal(layer.weight, weight)
    layer.unmerge()
    close(layer.weight, weight)


def test_reading_and_writing_a_weight_undo_each_other() -> None:
    for layer in (Conv1D(5, 7), nn.Linear(7, 5), nn.Linear(7, 5, dtype=torch.bfloat16)):
        weight = read_weight(layer)
        assert weight.shape == (5, 7)
        write_weight(layer, (weight + 1).float())
        close(read_weight(layer).float(), (weight + 1).float())


def test_gpt2_is_adapted_trained_merged_and_loaded(tmp_path: Path) -> None:
    model = adapted_gpt2(k=4, r=5, target_rank=2, t_init=1, t_final=2, gamma_cross=0.1)
    assert len(layers_of(model)) == 8
    assert torch.equal(model(tokens()).logits, tiny_gpt2()(tokens()).logits)
    model.base_model.set_total_steps(5)
    run(model, optimizer_of(model), 1, 5)
    assert model.base_model.kept_rank() == 16
    assert all(f.left[0].isfinite().all() for f in factors_of(model))
    expected: Tensor = model(tokens()).logits
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    loaded = PeftModel.from_pretrained(tiny_gpt2(), tmp_path).eval()
    assert torch.equal(loaded(tokens()).logits, expected)
    close(model.merge_and_unload(safe_merge=True)(tokens()).logits, expected)


def test_peft_can_turn_a_transposed_adapter_into_plain_lora(tmp_path: Path) -> None:
    model = get_peft_model(tiny_gpt2(), Lora2Config(k=3, r=5)).eval()
    scramble(model)
    save_as_lora(tmp_path, model, rank=3)
    config = LoraConfig.from_pretrained(tmp_path)
    config.fan_in_fan_out = True
    lora = PeftModel.from_pretrained(tiny_gpt2(), tmp_path, config=config).eval()
    torch.testing.assert_close(lora(tokens()).logits, model(tokens()).logits, rtol=1e-4, atol=1e-5)
