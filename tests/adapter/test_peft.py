"""What PEFT and transformers offer for any adapter has to work for this one."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, TaskType, get_model_status, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import BertForSequenceClassification, DebertaV2Config
from transformers import DebertaV2ForSequenceClassification as Deberta

from lora2_search.adapter import Lora2Config, default_modules_to_save

from .models import (
    BERT_TARGETS,
    adapted_bert,
    factors_of,
    layers_of,
    optimizer_of,
    run,
    scramble,
    tiny_bert,
    tokens,
)

KINDS = ("weight", "bias")


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_factors_follow_the_base_except_below_float32(dtype: torch.dtype) -> None:
    model = get_peft_model(tiny_bert().to(dtype), Lora2Config(k=4, r=5)).eval()
    expected = torch.float32 if dtype == torch.bfloat16 else dtype
    assert {f.values.dtype for f in factors_of(model)} == {expected}
    scramble(model)
    logits = model(tokens()).logits
    assert logits.dtype == dtype
    merged = model.merge_and_unload()(tokens()).logits
    torch.testing.assert_close(merged, logits, rtol=0.05, atol=0.05)


def test_a_deep_copy_trains_on_its_own() -> None:
    model = adapted_bert(k=4, r=5, target_rank=2, t_init=1, t_final=2)
    model.base_model.set_total_steps(6)
    twin = copy.deepcopy(model)
    before = copy.deepcopy(model.state_dict())
    run(twin, optimizer_of(twin), 1, 6)
    assert twin.base_model.kept_rank() == 24 and model.base_model.kept_rank() == 60
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())


def test_peft_can_turn_the_adapter_into_plain_lora(tmp_path: Path) -> None:
    from peft.tuners.lora import save_as_lora

    model = adapted_bert(k=3, r=5, modules_to_save=None)
    scramble(model)
    save_as_lora(tmp_path, model, rank=3)
    lora = PeftModel.from_pretrained(tiny_bert(), tmp_path).eval()
    assert isinstance(lora.peft_config["default"], LoraConfig)
    torch.testing.assert_close(lora(tokens()).logits, model(tokens()).logits, rtol=1e-4, atol=1e-5)


def test_mixing_with_other_adapter_types_is_refused() -> None:
    with pytest.raises(ValueError, match="'LORA2' is not compatible with the `PeftMixedModel`"):
        get_peft_model(tiny_bert(), Lora2Config(), mixed=True)


@pytest.mark.parametrize("name", ["word_embeddings", "LayerNorm"])
def test_a_layer_that_is_not_linear_is_refused_by_name(name: str) -> None:
    with pytest.raises(TypeError, match=rf"Linear layers only, but target module '.*{name}'"):
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


def test_a_state_saved_by_hand_loads_again(tmp_path: Path) -> None:
    model = adapted_bert(k=4, r=5, target_rank=2, t_init=1, t_final=2)
    model.base_model.set_total_steps(6)
    run(model, optimizer_of(model), 1, 4)
    save_file(model.base_model.allocator_state(), tmp_path / "allocator.safetensors")
    twin = adapted_bert(k=4, r=5, target_rank=2, t_init=1, t_final=2)
    twin.base_model.set_total_steps(6)
    twin.base_model.load_allocator_state(load_file(tmp_path / "allocator.safetensors"))
    assert twin.base_model.rank_pattern() == model.base_model.rank_pattern()
