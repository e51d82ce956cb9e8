"""Pruned and compressed adapters compute what the trained one computes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lora2_search.adapter.accounting import count_parameters
from lora2_search.adapter.compression import compress, compress_state, plain_lora
from lora2_search.adapter.config import Lora2Config
from lora2_search.adapter.factors import Factors, delta_weight
from lora2_search.adapter.pruning import factors_in, prune, prune_state
from tests.support.adapters import (
    adapted_bert,
    factors_of,
    layers_of,
    optimizer_of,
    run,
    scramble,
    tiny_bert,
    tokens,
)

UNEVEN = [0, 5, 8, 1, 2, 3, 4, 6, 7, 2, 0, 8]


def trained_bert(ranks: list[int] = UNEVEN, **config: Any) -> PeftModel:
    """Two layers of BERT whose twelve matrices keep these ranks of 8."""
    model = adapted_bert(**{"k": 4, "r": 8, **config})
    scramble(model)
    for factors, rank in zip(factors_of(model), ranks, strict=True):
        alive = torch.randperm(8, generator=torch.Generator().manual_seed(rank))[:rank]
        dead = torch.ones(8, dtype=torch.bool)
        dead[alive] = False
        factors.values.data[dead] = 0.0
    return model


@torch.no_grad()
def logits(model: nn.Module) -> Tensor:
    return model(tokens()).logits


def lora_elements(model: nn.Module, part: str) -> int:
    return sum(p.numel() for name, p in model.named_parameters() if part in name)


SHAPES = [{"k": 4}, {"k": []}, {"k": [16, 3]}, {"k": [3, 16]}, {"k": 1}, {"k": 12}]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: str(s["k"]))
def test_pruning_cuts_every_zero_and_no_output_changes(shape: dict[str, Any]) -> None:
    model = trained_bert(**shape)
    before, promised = logits(model), count_parameters(model)
    ranks = prune(model)
    assert list(ranks.values()) == UNEVEN
    assert [len(factors.values) for factors in factors_of(model)] == UNEVEN
    torch.testing.assert_close(logits(model), before, rtol=0, atol=1e-6)
    assert lora_elements(model, "lora2_") == promised["kept_adapter"]
    assert count_parameters(model)["trained_adapter"] == promised["kept_adapter"]
    assert count_parameters(model)["compressed_adapter"] == promised["compressed_adapter"]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: str(s["k"]))
def test_a_compressed_adapter_is_a_plain_lora_of_the_promised_size(shape: dict[str, Any]) -> None:
    model = trained_bert(**shape)
    before, promised = logits(model), count_parameters(model)
    compressed = compress(model)
    assert type(compressed.peft_config["default"]) is LoraConfig
    torch.testing.assert_close(logits(compressed), before, rtol=1e-6, atol=1e-6)
    assert lora_elements(compressed, "lora_") == promised["compressed_adapter"]
    assert count_parameters(compressed)["trained_head"] == promised["trained_head"]
    # The source is as it was.
    assert torch.equal(logits(model), before) and len(layers_of(model)) == 12


@pytest.mark.parametrize("form", [prune, compress])
def test_the_form_does_not_depend_on_a_trained_models_scale(form: Any) -> None:
    model = trained_bert(lora_alpha=40, scaling="balanced")
    before = logits(model)
    result = form(model)
    after = logits(model if form is prune else result)
    torch.testing.assert_close(after, before, rtol=1e-6, atol=1e-6)


def test_a_pruned_adapter_is_saved_and_loaded_as_it_is(tmp_path: Path) -> None:
    model = trained_bert()
    prune(model)
    before = logits(model)
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    again = PeftModel.from_pretrained(tiny_bert(), tmp_path)
    assert [len(factors.values) for factors in factors_of(again)] == UNEVEN
    assert torch.equal(logits(again), before)
    assert all(layer.scaling["default"] == 16 / 8 for layer in layers_of(again))


def test_what_a_run_has_pruned_is_cut_to_its_masks_and_can_be_trained_on() -> None:
    model = adapted_bert(
        k=4, r=8, target_rank=3, t_init=1, t_final=2, init="orthonormal", delta_t=1
    )
    model.base_model.set_total_steps(8)
    optimizer = optimizer_of(model)
    run(model, optimizer, 1, 8)
    masks, before = model.base_model.rank_pattern(), logits(model)
    assert sum(masks.values()) == 3 * 12
    assert prune(model) == masks
    torch.testing.assert_close(logits(model), before, rtol=0, atol=1e-6)
    assert model.base_model.rank_pattern() == masks
    loss = logits_loss(model)
    loss.backward()
    assert all(p.grad is not None for f in factors_of(model) for p in f.left)


def logits_loss(model: nn.Module) -> Tensor:
    return model(tokens()).logits.square().sum()


def test_an_untrained_adapter_keeps_all_its_ranks() -> None:
    model = adapted_bert(k=4, r=8)
    before = logits(model)
    assert set(prune(model).values()) == {8}
    assert torch.equal(logits(compress(model)), before)


def test_pruning_twice_changes_nothing_more() -> None:
    model = trained_bert()
    assert prune(model) == prune(model)


@pytest.mark.parametrize("form", [prune, compress])
def test_merged_several_or_foreign_adapters_are_refused(form: Any) -> None:
    model = trained_bert()
    model.merge_adapter()
    with pytest.raises(ValueError, match="merged adapter.*unmerge_adapter"):
        form(model)
    model.unmerge_adapter()
    model.add_adapter("second", Lora2Config(k=2, r=2))
    model.base_model.set_adapter(["default", "second"])
    with pytest.raises(ValueError, match=r"Exactly one adapter.*'default', 'second'"):
        form(model)
    with pytest.raises(ValueError, match="holds no LoRA² adapter"):
        form(get_peft_model(tiny_bert(), LoraConfig(target_modules=["query"])))


def test_only_the_active_adapter_is_cut_and_compressed() -> None:
    model = trained_bert()
    model.add_adapter("second", Lora2Config(k=3, r=5, target_modules=["query"]))
    model.set_adapter("second")
    scramble_second(model)
    before = logits(model)
    compressed = compress(model)
    torch.testing.assert_close(logits(compressed), before, rtol=1e-6, atol=1e-6)
    prune(model)
    model.set_adapter("default")
    assert all(len(factors.values) == 8 for factors in factors_of(model))


@torch.no_grad()
def scramble_second(model: PeftModel) -> None:
    for name, parameter in model.named_parameters():
        if ".second" in name and "lora2_" in name:
            parameter.normal_(generator=torch.Generator().manual_seed(1))


def test_an_adapter_with_nothing_left_prunes_to_rank_0_and_says_so_when_compressed() -> None:
    model = adapted_bert(k=4, r=8, rank_pattern={".*": 0})
    base = logits(model)
    assert set(prune(model).values()) == {0}
    assert torch.equal(logits(model), base)
    with pytest.raises(ValueError, match="pruned to rank 0"):
        compress(model)


def test_rank_0_matrices_are_left_out_even_where_their_names_end_alike(tmp_path: Path) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.proj = nn.Linear(6, 6)
            self.inner = nn.Sequential()
            self.inner.proj = nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner.proj(self.proj(x).tanh())

    torch.manual_seed(0)
    for dead in ("proj", "inner.proj"):
        model = get_peft_model(Two(), Lora2Config(k=3, r=3, target_modules=["proj"]))
        scramble(model)
        module = model.base_model.model.get_submodule(dead)
        module.lora2_lambda["default"].data.zero_()
        x = torch.randn(2, 6)
        before = model(x)
        compressed = compress(model)
        assert lora_elements(compressed, "lora_") == 3 * 12
        torch.testing.assert_close(compressed(x), before, rtol=1e-6, atol=1e-6)
        prune(model)
        model.save_pretrained(tmp_path / dead)
        kept = load_file(tmp_path / dead / "adapter_model.safetensors")
        assert {len(m.values) for m in factors_in(kept).values()} == {0, 3}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_factors_round_once(dtype: torch.dtype) -> None:
    model = get_peft_model(
        tiny_bert().to(dtype), Lora2Config(k=4, r=8), autocast_adapter_dtype=False
    ).eval()
    scramble(model)
    compressed = compress(model)
    for layer, factors in zip(
        [m for m in compressed.modules() if hasattr(m, "lora_A")], factors_of(model), strict=True
    ):
        weight = layer.lora_A["default"].weight
        assert weight.dtype == dtype
        b, a = plain_lora(factors, 2.0)
        assert torch.equal(weight, a) and torch.equal(layer.lora_B["default"].weight, b)


def test_conv1d_layers_are_compressed_in_their_own_layout() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=60, n_positions=16, n_embd=16, n_layer=1, n_head=2)
    model = get_peft_model(
        GPT2LMHeadModel(config), Lora2Config(k=3, r=5, target_modules=["c_attn", "c_proj"])
    ).eval()
    scramble(model)
    before = logits(model)
    compressed = compress(model)
    assert compressed.peft_config["default"].fan_in_fan_out
    torch.testing.assert_close(logits(compressed), before, rtol=1e-5, atol=1e-6)


STOCK = """
import json, sys, torch
from peft import PeftModel
from transformers import BertConfig, BertForSequenceClassification
base = BertForSequenceClassification.from_pretrained(sys.argv[1]).eval()
model = PeftModel.from_pretrained(base, sys.argv[2]).eval()
tokens = torch.tensor(json.loads(sys.argv[3]))
with torch.no_grad():
    print(json.dumps(model(tokens).logits.tolist()))
assert not [name for name in sys.modules if name.startswith("lora2_search")]
"""


def test_stock_peft_loads_a_compressed_adapter_in_a_process_that_never_imports_us(
    tmp_path: Path,
) -> None:
    model = trained_bert()
    tiny_bert().save_pretrained(tmp_path / "base")
    compress(model).save_pretrained(tmp_path / "lora", save_embedding_layers=False)
    arguments = [str(tmp_path / "base"), str(tmp_path / "lora"), json.dumps(tokens().tolist())]
    done = subprocess.run(
        [sys.executable, "-c", STOCK, *arguments], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    theirs, ours = torch.tensor(json.loads(done.stdout)), logits(model)
    assert (theirs - ours).norm() / ours.norm() < 1e-6
    written = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    assert written["lora_alpha"] == written["r"] == 4
    assert written["alpha_pattern"] == written["rank_pattern"]
    assert len(written["rank_pattern"]) == 10


def test_a_saved_adapter_is_pruned_and_compressed_without_its_model(tmp_path: Path) -> None:
    model = trained_bert()
    before, config = logits(model), model.peft_config["default"]
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    state = load_file(tmp_path / "adapter_model.safetensors")
    lora, lora_config = compress_state(state, config)
    assert config.rank_pattern is None
    pruned = prune_state(state, config)
    for folder, tensors, settings_ in (
        ("lora", lora, lora_config),
        ("pruned", pruned, config),
    ):
        settings_.save_pretrained(tmp_path / folder)
        save_file(tensors, tmp_path / folder / "adapter_model.safetensors")
        again = PeftModel.from_pretrained(tiny_bert(), tmp_path / folder).eval()
        torch.testing.assert_close(logits(again), before, rtol=1e-6, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    widths=st.lists(st.integers(1, 9), max_size=3),
    rank=st.integers(0, 9),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 999),
)
def test_any_chain_is_cut_in_two_at_its_narrowest_place(
    widths: list[int], rank: int, shape: tuple[int, int], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float64)

    sizes = [*widths, rank]
    factors = Factors(
        tuple(draw(a, b) for a, b in zip([shape[0], *widths], sizes, strict=True)),
        draw(rank),
        tuple(draw(b, a) for a, b in zip([shape[1], *widths], sizes, strict=True)),
    )
    b, a = plain_lora(factors, 0.7)
    assert b.shape == (shape[0], min(sizes)) and a.shape == (min(sizes), shape[1])
    torch.testing.assert_close(b @ a, delta_weight(factors, 0.7))
