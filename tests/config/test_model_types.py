from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification
from transformers.pytorch_utils import Conv1D

from lora2_search.config.model_types import (
    MODULES_TO_SAVE,
    TARGETS,
    default_modules_to_save,
    default_targets,
)

SIZES = {
    "distilbert": {"n_layers": 2, "dim": 16, "n_heads": 2, "hidden_dim": 24},
    "gpt2": {"n_layer": 2, "n_embd": 16, "n_head": 2},
}
COMMON = {"num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2}
DECODERS = ["gpt2", "llama", "mistral", "qwen2", "qwen3"]
BLOCK = {"gpt2": 4, "llama": 7, "mistral": 7, "qwen2": 7, "qwen3": 7}


def classifier(model_type: str, auto: type = AutoModelForSequenceClassification) -> nn.Module:
    sizes = SIZES.get(model_type, COMMON)
    if model_type in DECODERS and model_type != "gpt2":
        sizes = sizes | {"num_key_value_heads": 2, "intermediate_size": 24}
    config = AutoConfig.for_model(model_type, vocab_size=30, **sizes)
    with torch.device("meta"):
        return auto.from_config(config)


def matches(name: str, suffixes: list[str]) -> bool:
    return any(name == suffix or name.endswith(f".{suffix}") for suffix in suffixes)


@pytest.mark.parametrize("model_type", sorted(TARGETS))
def test_targets_are_all_linear_layers_of_the_blocks_and_nothing_else(model_type: str) -> None:
    modules = classifier(model_type).named_modules()
    linear = [name for name, module in modules if isinstance(module, nn.Linear | Conv1D)]
    targeted = [name for name in linear if matches(name, default_targets(model_type))]
    # A block's name holds its number; poolers, heads and embeddings have none.
    assert targeted == [n for n in linear if ".0." in n or ".1." in n]
    # Keys and so on of a block; GPT-2 holds three of them in one, Llama's gate is a seventh.
    per_block = {"gpt2": 4} | dict.fromkeys(("llama", "mistral", "qwen2", "qwen3"), 7)
    assert len(targeted) == 2 * per_block.get(model_type, 6)


@pytest.mark.parametrize("model_type", sorted(MODULES_TO_SAVE))
def test_whatever_is_outside_the_encoder_is_trained_whole(model_type: str) -> None:
    model = classifier(model_type)
    outside = [n for n, _ in model.named_parameters() if not n.startswith(model.base_model_prefix)]
    wholes = default_modules_to_save(model_type)
    assert outside
    assert all(name.split(".")[0] in wholes for name in outside)
    assert all(matches_any(model, whole) for whole in wholes)


@pytest.mark.parametrize("model_type", DECODERS)
def test_a_language_models_own_head_is_never_adapted(model_type: str) -> None:
    names = [name for name, _ in classifier(model_type, AutoModelForCausalLM).named_modules()]
    assert "lm_head" in names
    assert not matches("lm_head", default_targets(model_type))


def matches_any(model: nn.Module, suffix: str) -> bool:
    return any(matches(name, [suffix]) for name, _ in model.named_modules())


@pytest.mark.parametrize("function", [default_targets, default_modules_to_save])
def test_an_unknown_type_lists_the_known_ones(function: object) -> None:
    with pytest.raises(ValueError, match="'gpt9'.*bert, deberta-v2"):
        function("gpt9")  # type: ignore[operator]


def test_the_caller_may_change_its_list() -> None:
    default_targets("bert").append("pooler.dense")
    assert "pooler.dense" not in default_targets("bert")
