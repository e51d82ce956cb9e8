"""What stock PEFT merges is what is read, cut and written; everything else is refused."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    AdaLoraConfig,
    LoHaConfig,
    LoraConfig,
    PeftConfig,
    PeftModel,
    get_peft_model,
)
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lora2_search.adapter.compression import compress, compress_saved, compress_state
from lora2_search.adapter.config import Lora2Config
from tests.support.adapters import BERT_TARGETS, adapted_bert, scramble, tiny_bert, tokens

SHARED: dict[str, Any] = {"target_modules": BERT_TARGETS, "modules_to_save": ["classifier"]}
UNEVEN = {"query": 2, "layer.1.attention.self.value": 5, "intermediate.dense": 3}


def lora(**settings: Any) -> LoraConfig:
    return LoraConfig(**{"r": 4, "lora_alpha": 6, **SHARED, **settings})


def adalora(**settings: Any) -> AdaLoraConfig:
    own = {"init_r": 4, "target_r": 2, "total_step": 10, "lora_alpha": 6}
    return AdaLoraConfig(**{**own, **SHARED, **settings})


CONFIGS = {
    "lora": lora(),
    "rslora": lora(use_rslora=True),
    "patterns": lora(rank_pattern=UNEVEN, alpha_pattern={"key": 3, "value": 11}),
    "rslora with patterns": lora(use_rslora=True, rank_pattern=UNEVEN, alpha_pattern={"key": 3}),
    "orthogonal": lora(init_lora_weights="orthogonal"),
    "adalora": adalora(),
    "lora2": Lora2Config(k=3, r=4, lora_alpha=6, **SHARED),
}


@torch.no_grad()
def trained(config: PeftConfig) -> PeftModel:
    """A model whose adapter's tensors, and head, are far from their start."""
    model = get_peft_model(tiny_bert(), copy.deepcopy(config)).eval()
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and "ranknum" not in name:
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model


def merged(model: PeftModel) -> dict[str, Tensor]:
    """The weights of the model with its increments inside, by PEFT."""
    state = copy.deepcopy(model).merge_and_unload().state_dict()
    return {name: tensor.detach().double() for name, tensor in state.items()}


def close(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-6, msg=name)


def saved(model: PeftModel, folder: Path) -> tuple[dict[str, Tensor], PeftConfig]:
    model.save_pretrained(folder, save_embedding_layers=False)
    return load_file(folder / "adapter_model.safetensors"), PeftConfig.from_pretrained(str(folder))


def loaded(
    state: dict[str, Tensor], config: LoraConfig, folder: Path, base: nn.Module | None = None
) -> PeftModel:
    config.save_pretrained(str(folder))
    save_file(state, folder / "adapter_model.safetensors")
    return PeftModel.from_pretrained(base or tiny_bert(), folder).eval()


@pytest.mark.parametrize("kind", CONFIGS)
def test_at_full_rank_the_plain_lora_merges_to_the_weights_that_peft_merges_to(
    kind: str, tmp_path: Path
) -> None:
    model = trained(CONFIGS[kind])
    state, config = saved(model, tmp_path / "before")
    written = compress_state(state, config, rank=8)
    close(merged(loaded(*written, tmp_path / "after")), merged(model))
    close(merged(compress(model, rank=8)), merged(model))


@pytest.mark.parametrize("allocation", ["global", "per-matrix"])
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_cut_is_the_same_in_the_model_and_in_its_files_and_errs_by_what_it_says(
    kind: str, allocation: str, tmp_path: Path
) -> None:
    model = trained(CONFIGS[kind])
    told = compress_saved(*saved(model, tmp_path / "before"), rank=1.5, allocation=allocation)
    assert sum(told.ranks.values()) == 18
    cut = merged(loaded(told.state, told.config, tmp_path / "after"))
    close(merged(compress(model, 1.5, allocation)), cut)
    base = {name: tensor.double() for name, tensor in tiny_bert().state_dict().items()}
    whole = merged(model)
    names = [f"{module}.weight" for module in told.ranks]
    lost = sum(float((whole[name] - cut[name]).square().sum()) for name in names)
    norm = sum(float((whole[name] - base[name]).square().sum()) for name in names)
    assert 1 - told.kept_norm == pytest.approx(lost / norm, rel=1e-3)


def test_a_lora_of_which_nothing_is_cut_keeps_its_tensors_bit_for_bit(tmp_path: Path) -> None:
    state, config = saved(trained(lora(lora_alpha=8)), tmp_path)
    cut, written = compress_state(state, config, rank=4)
    assert written.r == written.lora_alpha == 4
    for key, tensor in state.items():
        assert torch.equal(cut[key], tensor * (2 if "lora_B" in key else 1))


def test_lora2_at_full_rank_equals_its_exact_form_bit_for_bit() -> None:
    model = adapted_bert(k=4, r=8)
    scramble(model)
    whole, cut = compress(model).state_dict(), compress(model, rank=4).state_dict()
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[key], cut[key]) for key in whole)


@torch.no_grad()
def test_ranks_that_adalora_has_masked_are_cut_before_any_other(tmp_path: Path) -> None:
    model = trained(adalora())
    masks = {}
    for name, values in model.base_model.model.named_parameters():
        if "lora_E" in name:
            keep = [True, False, len(masks) % 2 == 0, len(masks) % 3 == 0]
            if not masks:
                keep = [False] * 4
            masks[name] = keep
            values[~torch.tensor(keep)] = 0.0
    config = model.peft_config["default"]
    config.rank_pattern = dict(masks)
    before = merged(model)
    alive = sum(map(sum, masks.values()))
    inside = compress(model, rank=4)
    assert config.rank_pattern == masks  # the model stays as it is
    close(merged(inside), before)
    told = compress_saved(*saved(model, tmp_path / "before"), rank=4)
    assert sum(told.ranks.values()) == alive and told.kept_norm == 1.0
    assert min(told.ranks.values()) == 0 and len(told.config.target_modules) == 11
    close(merged(loaded(told.state, told.config, tmp_path / "after")), before)
    again = PeftModel.from_pretrained(tiny_bert(), tmp_path / "before").eval()
    close(merged(compress(again, rank=4)), before)


def test_a_scale_that_was_changed_in_the_model_is_cut_as_it_stands() -> None:
    model = trained(lora())
    for module in model.modules():
        if hasattr(module, "set_scale"):
            module.set_scale("default", 3.0)
    close(merged(compress(model, rank=4)), merged(model))


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_a_converted_start_is_cut_on_the_untouched_base_and_a_raw_one_is_refused(
    start: str, tmp_path: Path
) -> None:
    config = LoraConfig(r=4, target_modules=["query", "value"], init_lora_weights=start)
    model = get_peft_model(tiny_bert(), config).eval()
    model.peft_config["default"].init_lora_weights = True
    model.save_pretrained(tmp_path / "start", save_embedding_layers=False)
    model.peft_config["default"].init_lora_weights = start
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.add_(torch.randn(parameter.shape) * 0.05)
        wanted = model(tokens()).logits
    model.save_pretrained(
        tmp_path / "converted",
        save_embedding_layers=False,
        path_initial_model_for_weight_conversion=str(tmp_path / "start"),
    )
    model.peft_config["default"] = config
    config.init_lora_weights = start
    config.r, config.lora_alpha = 4, 8
    state = load_file(tmp_path / "converted" / "adapter_model.safetensors")
    told = PeftConfig.from_pretrained(str(tmp_path / "converted"))
    again = loaded(*compress_state(state, told, rank=8), tmp_path / "cut")
    torch.testing.assert_close(again(tokens()).logits, wanted, rtol=1e-4, atol=1e-5)

    raw = saved(model, tmp_path / "raw")
    for refused in (lambda: compress_state(*raw, rank=2), lambda: compress(model, rank=2)):
        with pytest.raises(ValueError, match=rf"{start}.*path_initial_model_for_weight_conversion"):
            refused()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"use_dora": True}, r"use_dora: True.*DoRA also rescales.*merge_and_unload"),
        ({"lora_bias": True}, "lora_bias: True.*adds a bias"),
        ({"bias": "all"}, "bias: all.*trains the biases"),
        ({"init_lora_weights": "pissa_niter_4"}, "pissa_niter_4.*changed the weights"),
        ({"target_modules": ["query", "word_embeddings"]}, "word_embeddings.*no linear layer"),
        ({"trainable_token_indices": [1, 2]}, "trains rows of the embeddings"),
    ],
)
def test_what_is_more_than_b_times_a_on_the_untouched_base_is_refused(
    settings: dict[str, Any], says: str, tmp_path: Path
) -> None:
    model = get_peft_model(tiny_bert(), LoraConfig(**{**SHARED, **settings}))
    state, config = saved(model, tmp_path)
    for refused in (lambda: compress_state(state, config, rank=2), lambda: compress(model, rank=2)):
        with pytest.raises(ValueError, match=says):
            refused()


def test_other_kinds_of_adapter_are_refused_by_name(tmp_path: Path) -> None:
    model = get_peft_model(tiny_bert(), LoHaConfig(target_modules=["query"]))
    with pytest.raises(ValueError, match="LOHA adapter, but only LoRA², LoRA and AdaLoRA"):
        compress_state(*saved(model, tmp_path), rank=2)
    with pytest.raises(ValueError, match="holds no LoRA², LoRA or AdaLoRA adapter"):
        compress(model, rank=2)


@pytest.mark.parametrize("kind", ["lora", "adalora"])
def test_convolutions_are_refused_by_name(kind: str) -> None:
    class Picture(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen = nn.Conv2d(3, 4, 3)

    config = (lora if kind == "lora" else adalora)(target_modules=["seen"], modules_to_save=None)
    with pytest.raises(ValueError, match="seen is a convolution"):
        compress(get_peft_model(Picture(), config), rank=2)


def test_a_file_that_does_not_fit_its_configuration_is_refused(tmp_path: Path) -> None:
    state, config = saved(trained(lora()), tmp_path)
    config.r = 3
    with pytest.raises(ValueError, match="of rank 4, but `r` and `rank_pattern` say 3"):
        compress_state(state, config, rank=2)


def test_a_rank_that_leaves_nothing_is_refused() -> None:
    for rank in (0, 0.05):
        with pytest.raises(ValueError, match="Every matrix was pruned to rank 0"):
            compress(trained(lora()), rank=rank)


def test_the_layout_of_conv1d_is_kept(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    def base() -> GPT2LMHeadModel:
        torch.manual_seed(0)
        shape = GPT2Config(vocab_size=60, n_positions=16, n_embd=16, n_layer=1, n_head=2)
        return GPT2LMHeadModel(shape).eval()

    config = LoraConfig(r=4, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True)
    model = get_peft_model(base(), config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3)
        wanted = model(tokens()).logits
    again = loaded(*compress_state(*saved(model, tmp_path), rank=4), tmp_path / "cut", base())
    assert again.peft_config["default"].fan_in_fan_out
    for cut in (again, compress(model, rank=4)):
        torch.testing.assert_close(cut(tokens()).logits, wanted, rtol=1e-4, atol=1e-5)
