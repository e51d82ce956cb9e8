"""Which modules are adapted, and what is said where none can be."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PeftConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers.pytorch_utils import Conv1D

from lora2_search.adapter.config import Lora2Config
from tests.support.adapters import BERT_TARGETS, adapted_bert, layers_of, tiny_bert


@pytest.mark.parametrize("name", ["word_embeddings", "LayerNorm"])
def test_a_layer_that_is_not_linear_is_refused_by_name(name: str) -> None:
    with pytest.raises(TypeError, match=rf"linear layers only .*but target module '.*{name}'"):
        get_peft_model(tiny_bert(), Lora2Config(target_modules=[name]))


def test_attention_that_never_calls_its_projection_is_refused() -> None:
    model = nn.Sequential(nn.MultiheadAttention(8, 2))
    with pytest.raises(TypeError, match="NonDynamicallyQuantizableLinear"):
        get_peft_model(model, Lora2Config(target_modules=["out_proj"]))


@pytest.mark.parametrize(
    ("model", "settings", "sentence"),
    [
        ("bert", {"target_modules": ["q_proj"]}, "Target modules .*q_proj.* not found"),
        ("bert", {"exclude_modules": ".*", "target_modules": ["query"]}, "All modules were excl"),
        ("other", {}, "Please specify `target_modules`"),
    ],
)
def test_pefts_own_sentences_are_kept(model: str, settings: dict[str, Any], sentence: str) -> None:
    base = tiny_bert() if model == "bert" else nn.Sequential(nn.Linear(3, 3))
    with pytest.raises(ValueError, match=sentence):
        get_peft_model(base, Lora2Config(**settings))


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"target_modules": BERT_TARGETS, "layers_to_transform": 0}, 6),
        (
            {"target_modules": BERT_TARGETS, "layers_to_transform": [1], "layers_pattern": "layer"},
            6,
        ),
        ({"target_modules": BERT_TARGETS, "exclude_modules": ["key"]}, 10),
        ({"target_modules": r".*\.1\..*(query|key)"}, 2),
        ({"target_modules": "all-linear"}, 14),
    ],
)
def test_modules_are_chosen_as_peft_chooses_them(settings: dict[str, Any], count: int) -> None:
    assert len(layers_of(adapted_bert(modules_to_save=None, **settings))) == count


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"target_modules": ["querry"]}, "The nearest linear layers are query."),
        ({"target_modules": ["attention.self.valeu"]}, "The nearest linear layers are value."),
        ({"target_modules": ["q_proj", "keys"]}, "The nearest linear layers are key."),
        (
            {"target_modules": r".*\.h\d+$"},
            "layers of this model are classifier, dense, key",
        ),
    ],
)
@pytest.mark.parametrize("heads", [None, ["classifier"]])
def test_a_target_that_matches_nothing_is_answered_with_the_nearest_names(
    settings: dict[str, Any], said: str, heads: list[str] | None
) -> None:
    with pytest.raises(ValueError, match=said):
        adapted_bert(modules_to_save=heads, **settings)


def test_a_second_adapter_that_matches_nothing_is_answered_in_the_same_way() -> None:
    model = adapted_bert(modules_to_save=None)
    with pytest.raises(ValueError, match=r"Target modules .*not found.*layers are query\."):
        model.add_adapter("other", Lora2Config(target_modules=["querry"]))


def test_a_model_without_linear_layers_says_so() -> None:
    with pytest.raises(ValueError, match=r"not found .* The model has no linear layers\."):
        get_peft_model(nn.Sequential(nn.Conv2d(1, 1, 1)), Lora2Config(target_modules=["fc"]))


NAMES = ["query", "value", "fc", "out", "dense"]
leaf = st.sampled_from([nn.Linear, Conv1D]).map(lambda kind: kind(3, 3))


def containers(children: st.SearchStrategy[nn.Module]) -> st.SearchStrategy[nn.Module]:
    named = st.dictionaries(st.sampled_from(NAMES), children, min_size=1, max_size=3)
    numbered = st.lists(children, min_size=1, max_size=3)
    return named.map(nn.ModuleDict) | numbered.map(lambda parts: nn.Sequential(*parts))


tree = st.recursive(leaf, containers, max_leaves=8)
suffixes = st.lists(st.sampled_from([*NAMES, "0", "block.fc"]), min_size=1, max_size=3, unique=True)
choice = st.one_of(
    st.fixed_dictionaries(
        {"target_modules": suffixes},
        optional={
            "exclude_modules": suffixes,
            "layers_to_transform": st.lists(st.integers(0, 2), max_size=2) | st.integers(0, 2),
        },
    ),
    st.fixed_dictionaries(
        {"target_modules": st.sampled_from(["all-linear", r".*\.(query|fc)", r".*0\..*"])},
        optional={"exclude_modules": suffixes},
    ),
)


def chosen(model: nn.Module, config: PeftConfig) -> set[str] | str:
    """Names of the adapted modules, or PEFT's reason for having none."""
    try:
        adapted = get_peft_model(model, config)
    except (ValueError, TypeError) as error:
        # LoRA and LoRA² refuse a container in words and types of their own.
        return "refused" if "not found" not in str(error) else "not found"
    named = adapted.base_model.model.named_modules()
    return {name for name, module in named if isinstance(module, BaseTunerLayer)}


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None)
@given(blocks=st.lists(tree, min_size=1, max_size=3), options=choice)
def test_the_modules_chosen_in_any_tree_are_those_that_lora_chooses(
    blocks: list[nn.Module], options: dict[str, Any]
) -> None:
    def model() -> nn.Module:
        return nn.ModuleDict(
            {"layers": nn.ModuleList(nn.ModuleDict({"block": b}) for b in copy.deepcopy(blocks))}
        )

    assert chosen(model(), Lora2Config(**options)) == chosen(model(), LoraConfig(**options))
