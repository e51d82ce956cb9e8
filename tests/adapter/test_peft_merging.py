"""Merging into the base, taking it out again, and turning the adapter into plain LoRA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel

from lora2_search.adapter.config import Lora2Config
from tests.support.adapters import adapted_bert, close, layers_of, scramble, tiny_bert, tokens


@pytest.mark.parametrize("safe", [False, True])
def test_merging_and_unloading_leaves_a_plain_model_with_the_same_logits(safe: bool) -> None:
    model = adapted_bert(k=4, r=5)
    scramble(model)
    expected = model(tokens()).logits
    merged = model.merge_and_unload(safe_merge=safe)
    close(merged(tokens()).logits, expected)
    assert not layers_of(merged)
    assert not torch.allclose(tiny_bert()(tokens()).logits, expected)


def test_merge_and_unmerge_in_place() -> None:
    model = adapted_bert(k=4, r=5)
    scramble(model)
    expected = model(tokens()).logits
    model.merge_adapter()
    close(model(tokens()).logits, expected)
    model.unmerge_adapter()
    close(model(tokens()).logits, expected)
    model.merge_adapter()
    with model.disable_adapter():  # unmerges on its own
        close(model(tokens()).logits, tiny_bert()(tokens()).logits)
    close(model(tokens()).logits, expected)


def test_peft_can_turn_the_adapter_into_plain_lora(tmp_path: Path) -> None:
    from peft.tuners.lora import save_as_lora

    model = adapted_bert(k=3, r=5, modules_to_save=None)
    scramble(model)
    save_as_lora(tmp_path, model, rank=3)
    lora = PeftModel.from_pretrained(tiny_bert(), tmp_path).eval()
    assert isinstance(lora.peft_config["default"], LoraConfig)
    torch.testing.assert_close(lora(tokens()).logits, model(tokens()).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("k", [[], 8, [16, 8], [4, 16, 2]])
def test_any_number_of_planes_merges(k: Any) -> None:
    model = adapted_bert(layers=1, k=k, r=5)
    scramble(model)
    expected = model(tokens()).logits
    close(model.merge_and_unload()(tokens()).logits, expected)


def test_two_adapters_merge_together_and_come_apart() -> None:
    model = adapted_bert(k=4, r=5, modules_to_save=None)
    model.add_adapter("other", Lora2Config(k=[3, 2], r=2))
    for name in ("default", "other"):
        scramble(model, name, std=1)
    model.base_model.set_adapter(["default", "other"])
    both = model(tokens()).logits
    model.set_adapter("default")
    first = model(tokens()).logits
    model.merge_adapter(["default", "other"])
    close(model(tokens()).logits, both)
    model.unmerge_adapter()
    close(model(tokens()).logits, first)
    assert not torch.allclose(first, both, atol=1e-3)
