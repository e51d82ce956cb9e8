"""4- and 8-bit bases through bitsandbytes, against PEFT's LoRA over the same bases."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification, BitsAndBytesConfig

from lora2_search.adapter.base_layers import read_weight
from lora2_search.adapter.config import Lora2Config
from lora2_search.adapter.layer import Linear
from tests.support.adapters import factors_of, layers_of, optimizer_of, run, scramble, tokens

bnb = pytest.importorskip("bitsandbytes")
pytestmark = pytest.mark.filterwarnings("ignore")
HEADS = ["classifier", "bert.pooler.dense"]
BITS = [4, 8]


def quantized(bits: int, dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    plain = nn.Linear(64, 32, dtype=dtype)
    if bits == 4:
        layer = bnb.nn.Linear4bit(64, 32, quant_type="nf4", compute_dtype=dtype)
    else:
        layer = bnb.nn.Linear8bitLt(64, 32, has_fp16_weights=False)
    layer.load_state_dict(plain.state_dict())
    return layer.to("cpu").requires_grad_(False)


def adapted(base: nn.Module, **settings: Any) -> Linear:
    layer = Linear(base, "default", Lora2Config(**settings), settings["r"], "layer")
    scramble(layer)
    return layer


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("k", [[], 3, [4, 3]])
def test_the_increment_is_added_to_the_quantised_output_with_its_gradients(
    bits: int, k: Any
) -> None:
    layer = adapted(quantized(bits), k=k, r=4)
    x = torch.randn(5, 64, requires_grad=True)
    output = layer(x)
    delta = layer.get_delta_weight("default")
    torch.testing.assert_close(output, layer.base_layer(x) + x @ delta.T, rtol=1e-5, atol=1e-5)
    output.sum().backward()
    expected = torch.ones(5, 32) @ (read_weight(layer.base_layer) + delta)
    torch.testing.assert_close(x.grad, expected, rtol=0.02, atol=0.02)
    factors = layer.factors("default")
    assert all(f.grad is not None and f.grad.any() for f in (*factors.left, *factors.right))


def test_over_four_bits_the_output_is_that_of_the_dequantised_weight_with_the_increment() -> None:
    layer, x = adapted(quantized(4), k=3, r=4), torch.randn(5, 64)
    whole = read_weight(layer.base_layer) + layer.get_delta_weight("default")
    expected = nn.functional.linear(x, whole, layer.base_layer.bias)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bits", BITS)
def test_a_quantised_merge_is_that_of_pefts_lora(bits: int) -> None:
    ours = adapted(quantized(bits), k=[], r=4, lora_alpha=8)
    factors = ours.factors("default")
    model = nn.ModuleDict({"layer": quantized(bits)})
    setattr(model, f"is_loaded_in_{bits}bit", True)
    lora = get_peft_model(model, LoraConfig(target_modules=["layer"], r=4, lora_alpha=8))
    theirs = lora.base_model.model["layer"]
    theirs.lora_A["default"].weight.data.copy_(factors.right[0])
    theirs.lora_B["default"].weight.data.copy_(factors.left[0] * factors.values)
    for step in ("merge", "unmerge"):
        getattr(ours, step)()
        getattr(theirs, step)()
        a, b = read_weight(ours.base_layer), read_weight(theirs.base_layer)
        # A value that lies between two codes may be rounded to either.
        assert a.isclose(b, rtol=1e-4).float().mean() > 0.99
        assert type(ours.base_layer.weight) is type(theirs.base_layer.weight)


@pytest.mark.parametrize("bits", BITS)
def test_merging_is_exact_up_to_quantisation_and_keeps_the_kind(bits: int) -> None:
    layer = adapted(quantized(bits), k=3, r=4)
    x = torch.randn(5, 64)
    weight, expected = read_weight(layer.base_layer), layer(x)
    with_delta = weight + layer.get_delta_weight("default")
    layer.merge(safe_merge=True)
    merged = read_weight(layer.base_layer)
    step = 0.2 if bits == 4 else 0.01  # of the largest value in a block or a row
    assert (merged - with_delta).abs().max() < step * with_delta.abs().max()
    assert (layer(x) - expected).norm() < step * expected.norm()
    layer.unmerge()
    assert (read_weight(layer.base_layer) - weight).abs().max() < 2 * step * with_delta.abs().max()


@pytest.mark.parametrize("bits", BITS)
def test_safe_merge_leaves_a_quantised_weight_as_it_was(bits: int) -> None:
    layer = adapted(quantized(bits), k=3, r=4)
    layer.lora2_lambda["default"].data[0] = float("nan")
    weight = read_weight(layer.base_layer).clone()
    with pytest.raises(ValueError, match="The adapter default seems to be broken"):
        layer.merge(safe_merge=True)
    assert torch.equal(read_weight(layer.base_layer), weight)


def test_a_four_bit_layer_can_be_merged_and_trained_after_it_has_been_evaluated() -> None:
    """Bitsandbytes repacks a weight when it sees no gradient; see `keep_plain`."""
    layer, x = adapted(quantized(4), k=3, r=4), torch.randn(5, 64)
    weight = read_weight(layer.base_layer).clone()
    with torch.no_grad():
        layer.eval()(x)
    assert torch.equal(read_weight(layer.base_layer), weight)
    inputs = x.clone().requires_grad_()
    layer.base_layer(inputs).sum().backward()
    torch.testing.assert_close(inputs.grad, torch.ones(5, 32) @ weight, rtol=1e-3, atol=1e-3)


def test_a_weight_that_was_repacked_before_is_taken_back() -> None:
    base = quantized(4)
    weight = read_weight(base).clone()
    with torch.no_grad():
        base.eval()(torch.randn(5, 64))
    adapted(base, k=3, r=4)
    torch.testing.assert_close(read_weight(base), weight, rtol=0, atol=1e-3)


@pytest.mark.parametrize("bits", BITS)
def test_the_svd_start_follows_the_dequantised_weight(bits: int) -> None:
    base = quantized(bits)
    config = Lora2Config(k=3, r=3, init="svd")
    u = Linear(base, "default", config, 3, "layer").factors("default").left[0]
    expected = torch.linalg.svd(read_weight(base))[0][:, :3]
    torch.testing.assert_close(u @ u.T, expected @ expected.T, rtol=0, atol=1e-4)


def base_model(folder: Path, bits: int) -> BertForSequenceClassification:
    kinds: dict[str, Any] = {"load_in_8bit": True}
    if bits == 4:
        kinds = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    quantization = BitsAndBytesConfig(llm_int8_skip_modules=HEADS, **kinds)
    return BertForSequenceClassification.from_pretrained(
        folder, quantization_config=quantization, device_map="cpu"
    ).eval()


@pytest.mark.parametrize("bits", BITS)
def test_a_quantised_model_trains_prunes_saves_and_merges(bits: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = BertConfig(
        vocab_size=60, hidden_size=64, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=16, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    BertForSequenceClassification(sizes).save_pretrained(tmp_path / "base")
    base = base_model(tmp_path / "base", bits)
    settings = {"target_rank": 2, "t_init": 1, "t_final": 2, "orthogonality": "hard"}
    config = Lora2Config(k=4, r=5, modules_to_save=["pooler", "classifier"], **settings)
    model = get_peft_model(base, config).eval()
    assert len(layers_of(model)) == 6
    model.base_model.set_total_steps(5)
    run(model, optimizer_of(model), 1, 5)
    assert model.base_model.kept_rank() == 12
    assert {f.values.dtype for f in factors_of(model)} == {torch.float32}
    logits: Tensor = model(tokens()).logits
    model.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    fresh = base_model(tmp_path / "base", bits)
    loaded = PeftModel.from_pretrained(fresh, tmp_path / "adapter").eval()
    torch.testing.assert_close(loaded(tokens()).logits, logits, rtol=1e-4, atol=1e-4)
    twin = copy.deepcopy(loaded)
    torch.testing.assert_close(twin(tokens()).logits, logits, rtol=1e-4, atol=1e-4)
    merged = loaded.merge_and_unload().eval()
    assert not layers_of(merged)
    torch.testing.assert_close(merged(tokens()).logits, logits, rtol=0.05, atol=0.05)
