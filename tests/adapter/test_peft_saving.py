"""Saving and loading: in a new process, under another name, by transformers, by hand."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, TaskType, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import BertForSequenceClassification, DebertaV2Config
from transformers import DebertaV2ForSequenceClassification as Deberta

from lora2_search.adapter.config import Lora2Config
from lora2_search.config.model_types import default_modules_to_save
from tests.support.adapters import (
    adapted_bert,
    close,
    factors_of,
    optimizer_of,
    run,
    scramble,
    tiny_bert,
    tokens,
)

KINDS = ("weight", "bias")


def saved(model: PeftModel, folder: Path) -> Path:
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder


RELOAD = """
import sys, torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification
import lora2_search.adapter
base, adapter, ids, out = sys.argv[1:]
ids = torch.load(ids)
load = AutoModelForSequenceClassification.from_pretrained
peft = PeftModel.from_pretrained(load(base), adapter).eval()
merged = PeftModel.from_pretrained(load(base), adapter, low_cpu_mem_usage=True)
direct = load(adapter).eval()
save_file({
    "peft": peft(ids).logits,
    "merged": merged.merge_and_unload().eval()(ids).logits,
    "transformers": direct(ids).logits,
    "kept": torch.tensor(list(peft.base_model.rank_pattern().values())),
}, out)
"""


def test_a_new_process_gives_the_same_logits_and_the_same_pruned_ranks(tmp_path: Path) -> None:
    tiny_bert().save_pretrained(tmp_path / "base")
    base = BertForSequenceClassification.from_pretrained(tmp_path / "base").eval()
    config = Lora2Config(
        k=4,
        r=5,
        target_rank=2,
        t_init=1,
        t_final=2,
        task_type="SEQ_CLS",
        modules_to_save=["pooler"],
    )
    model = get_peft_model(base, config).eval()
    model.base_model.set_total_steps(5)
    run(model, optimizer_of(model), 1, 5)
    saved(model, tmp_path / "adapter")
    torch.save(tokens(), tmp_path / "ids")
    names = ["base", "adapter", "ids", "out"]
    subprocess.run(
        [sys.executable, "-c", RELOAD, *(str(tmp_path / name) for name in names)],
        env={"PYTHONPATH": ":".join(sys.path), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        check=True,
    )
    found = load_file(tmp_path / "out")
    logits = model(tokens()).logits
    close(found["peft"], logits)
    close(found["transformers"], logits)
    close(found["merged"], logits)
    assert found["kept"].tolist() == list(model.base_model.rank_pattern().values())
    assert sum(found["kept"]) == 24


def test_loading_is_exact_frozen_and_under_any_name(tmp_path: Path) -> None:
    model = adapted_bert(k=4, r=5)
    scramble(model)
    saved(model, tmp_path)
    for name in ("default", "renamed"):
        loaded = PeftModel.from_pretrained(tiny_bert(), tmp_path, adapter_name=name).eval()
        assert torch.equal(loaded(tokens()).logits, model(tokens()).logits)
        assert not any(p.requires_grad for p in loaded.parameters())
    again = PeftModel.from_pretrained(tiny_bert(), tmp_path, is_trainable=True)
    assert {n for n, p in again.named_parameters() if p.requires_grad} == {
        n for n, p in model.named_parameters() if p.requires_grad
    }


def test_saved_keys_are_stable(tmp_path: Path) -> None:
    model = adapted_bert(k=[4, 3], r=2, target_modules=["layer.0.intermediate.dense"])
    saved(model, tmp_path)
    prefix = "base_model.model.bert.encoder.layer.0.intermediate.dense"
    factors = [f"lora2_{side}.{plane}" for side in "uv" for plane in range(3)]
    heads = [f"{head}.{kind}" for head in ("classifier", "bert.pooler.dense") for kind in KINDS]
    assert set(load_file(tmp_path / "adapter_model.safetensors")) == {
        *(f"{prefix}.{name}" for name in ["lora2_lambda", *factors]),
        *(f"base_model.model.{name}" for name in heads),
    }


def test_uneven_and_empty_ranks_are_saved_by_rank_pattern(tmp_path: Path) -> None:
    pattern = {"layer.0.output.dense": 0, "key": 1, "value": 7}
    model = adapted_bert(k=4, r=3, rank_pattern=pattern)
    scramble(model)
    loaded = PeftModel.from_pretrained(tiny_bert(), saved(model, tmp_path)).eval()
    assert torch.equal(loaded(tokens()).logits, model(tokens()).logits)
    assert sorted(set(loaded.base_model.rank_pattern().values())) == [0, 1, 3, 7]


def test_a_task_head_is_trained_and_saved_with_the_adapter(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=24, pooler_hidden_size=16,
    )  # fmt: skip
    base = Deberta(config).eval()
    pretrained = {n for n, _ in base.named_parameters() if n.startswith("deberta.")}
    wholes = default_modules_to_save("deberta-v2")
    adapter = Lora2Config(task_type=TaskType.SEQ_CLS, modules_to_save=wholes)
    original = copy.deepcopy(base)
    model = get_peft_model(base, adapter).eval()
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    for name in {n for n, _ in original.named_parameters()} - pretrained:
        module, _, rest = name.partition(".")
        assert f"base_model.model.{module}.modules_to_save.default.{rest}" in trained
    scramble(model)
    nn.init.ones_(model.base_model.model.pooler.modules_to_save["default"].dense.weight)
    loaded = PeftModel.from_pretrained(original, saved(model, tmp_path)).eval()
    assert torch.equal(loaded(tokens()).logits, model(tokens()).logits)


def test_a_state_saved_by_hand_loads_again(tmp_path: Path) -> None:
    model = adapted_bert(k=4, r=5, target_rank=2, t_init=1, t_final=2)
    model.base_model.set_total_steps(6)
    run(model, optimizer_of(model), 1, 4)
    save_file(model.base_model.allocator_state(), tmp_path / "allocator.safetensors")
    twin = adapted_bert(k=4, r=5, target_rank=2, t_init=1, t_final=2)
    twin.base_model.set_total_steps(6)
    twin.base_model.load_allocator_state(load_file(tmp_path / "allocator.safetensors"))
    assert twin.base_model.rank_pattern() == model.base_model.rank_pattern()


@pytest.mark.parametrize(
    ("k", "init", "low_cpu_mem_usage"),
    [
        ([], "gaussian", True),
        (8, "svd", False),
        ([16, 8], "svd", True),
        ([4, 16, 2], "gaussian", False),
    ],
)
def test_any_number_of_planes_trains_and_loads_exactly(
    k: Any, init: str, low_cpu_mem_usage: bool, tmp_path: Path
) -> None:
    pruned = {"target_rank": 2, "t_init": 1, "t_final": 2}
    model = adapted_bert(layers=1, k=k, r=5, init=init, gamma_cross=0.1, **pruned)
    assert torch.equal(model(tokens()).logits, tiny_bert(layers=1)(tokens()).logits)
    model.base_model.set_total_steps(5)
    run(model, optimizer_of(model), 1, 5)
    assert model.base_model.kept_rank() == 12
    loaded = PeftModel.from_pretrained(
        tiny_bert(layers=1), saved(model, tmp_path), low_cpu_mem_usage=low_cpu_mem_usage
    ).eval()
    assert torch.equal(loaded(tokens()).logits, model(tokens()).logits)
    assert loaded.peft_config["default"].init == init
    assert not any(p.is_meta for p in loaded.parameters())


def test_transformers_adds_saves_and_loads_an_adapter_without_peft_model(tmp_path: Path) -> None:
    model = tiny_bert()
    model.add_adapter(Lora2Config(k=[4, 3], r=5), adapter_name="mine")
    scramble(model, "mine")
    expected = model(tokens()).logits
    model.save_pretrained(tmp_path)
    fresh = tiny_bert()
    fresh.load_adapter(tmp_path, adapter_name="theirs")
    assert torch.equal(fresh(tokens()).logits, expected)
    assert [f.left[0].shape[1] for f in factors_of(fresh, "theirs")] == [4] * 12
    fresh.disable_adapters()
    assert torch.equal(fresh(tokens()).logits, tiny_bert()(tokens()).logits)
