from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

from lora2_search.adapter.accounting import count_parameters
from lora2_search.adapter.config import Lora2Config
from lora2_search.config.model_types import default_modules_to_save, default_targets
from tests.support.adapters import BERT_TARGETS, adapted_bert, factors_of, tiny_bert


def deberta_v3_base(**settings: Any) -> PeftModel:
    config = DebertaV2Config(
        vocab_size=128100,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        type_vocab_size=0,
        relative_attention=True,
        position_buckets=256,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        pooler_hidden_size=768,
    )
    with torch.device("meta"):
        base = DebertaV2ForSequenceClassification(config)
    return get_peft_model(
        base,
        Lora2Config(
            target_modules=default_targets("deberta-v2"),
            modules_to_save=default_modules_to_save("deberta-v2"),
            **settings,
        ),
    )


@pytest.mark.parametrize(
    ("k", "r", "adapter", "scored", "share", "saved"),
    [
        (8, 8, 1_336_896, 9_792, 0.72, 99.27),
        (8, 16, 1_346_688, 19_584, 0.73, 98.55),
        (1, 1, 166_104, 216, 0.09, 99.87),
    ],
)
def test_deberta_v3_base_has_the_published_counts(
    k: int, r: int, adapter: int, scored: int, share: float, saved: float
) -> None:
    model = deberta_v3_base(k=k, r=r)
    counts = count_parameters(model)
    assert counts["trained_adapter"] == counts["kept_adapter"] == counts["scored_full"] == adapter
    assert counts["scored_reduced"] == scored
    assert counts["trained_head"] == 592_130
    frozen = sum(p.numel() for p in model.parameters()) - adapter - counts["trained_head"]
    assert frozen == 184_423_682
    assert round(100 * adapter / frozen, 2) == share
    assert round(100 * (1 - scored / adapter), 2) == saved


@pytest.mark.parametrize("ranks", [[3] * 12, [0, 5, 8, 1, 2, 3, 4, 6, 7, 2, 0, 8]])
def test_pruned_counts_equal_what_the_cut_factors_would_hold(ranks: list[int]) -> None:
    model = adapted_bert(k=4, r=8)
    for factors, rank in zip(factors_of(model), ranks, strict=True):
        factors.values.data[:rank] = 1.0
    kept = compressed = 0
    for factors, rank in zip(factors_of(model), ranks, strict=True):
        u, v = factors.left[0], factors.right[0]
        kept += u.numel() + v.numel()
        kept += factors.left[1][:, :rank].numel() + rank + factors.right[1][:rank].numel()
        compressed += min(4, rank) * (u.shape[0] + v.shape[1])
    counts = count_parameters(model)
    assert (counts["kept_adapter"], counts["compressed_adapter"]) == (kept, compressed)


def test_pruning_eight_to_three_frees_little_and_compressing_much() -> None:
    model = deberta_v3_base(k=8, r=8, rank_pattern={".*": 3})
    full = 1_336_896
    counts = count_parameters(model)
    assert round(100 * (1 - counts["kept_adapter"] / full), 2) == 0.46
    assert round(100 * counts["compressed_adapter"] / full) == 37


def test_a_single_plane_is_scored_whole_either_way() -> None:
    counts = count_parameters(adapted_bert(k=[], r=3))
    assert counts["scored_reduced"] == counts["scored_full"] == counts["trained_adapter"]


def test_plain_lora_keeps_what_it_trains() -> None:
    model = get_peft_model(
        tiny_bert(),
        LoraConfig(r=3, target_modules=BERT_TARGETS, modules_to_save=["pooler", "classifier"]),
    )
    counts = count_parameters(model)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert counts["trained_head"] == 16 * 16 + 16 + 2 * 16 + 2
    assert counts["trained_adapter"] == trainable - counts["trained_head"] > 0
    assert counts["kept_adapter"] == counts["compressed_adapter"] == counts["trained_adapter"]
    assert counts["scored_full"] == counts["scored_reduced"] == 0


def test_a_head_alone_is_no_adapter() -> None:
    model = tiny_bert().requires_grad_(False)
    nn.Module.requires_grad_(model.classifier, True)
    counts = count_parameters(model)
    assert counts.pop("trained_head") == 2 * 16 + 2
    assert set(counts.values()) == {0}


def test_a_frozen_adapter_counts_as_when_it_was_trained() -> None:
    model = adapted_bert(k=4, r=3)
    before = count_parameters(model)
    model.requires_grad_(False)
    assert count_parameters(model) == before
