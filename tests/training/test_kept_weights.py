"""How a language model is kept in memory: its precision, 4 bits, attention, activations."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lora2_search.config.run import RunConfig
from lora2_search.errors import ConfigError
from lora2_search.experiments.preflight import check_inputs
from lora2_search.training.export.reload import reload_model
from lora2_search.training.loop.prepare import Prepared, check_loading, prepare
from lora2_search.training.loop.run import run
from lora2_search.training.models import abilities
from lora2_search.training.models.load import load_base
from tests.support.language import settings

NF4 = {"model__quantization": "nf4"}


@pytest.mark.parametrize("method", ["lora2", "lora", "dora", "adalora", "no-training"])
def test_nf4_training_ends_with_a_finite_loss_and_an_adapter_that_loads(
    method: str, tiny_llama: Path, completions: Path, tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes")
    config = settings(tiny_llama, completions, method=method, **NF4)
    check_loading(config)
    record = run(config, tmp_path)
    assert record.status == "completed" and math.isfinite(record.scores["test/loss"])
    if method == "no-training":
        return
    prepared = prepare(config)
    again = reload_model(load_base(config.model, None), config, tmp_path / "adapter")
    said = prepared.trainer.kind.predict(again, prepared.encoded["test"], 16)
    assert said.scores(("loss",))["loss"] == pytest.approx(record.scores["test/loss"], abs=1e-5)


def test_an_nf4_run_is_cut_to_a_rank_after_training(
    tiny_llama: Path, completions: Path, tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes")
    config = settings(tiny_llama, completions, after={"svd_rank": 1}, **NF4)
    record = run(config, tmp_path)
    again = reload_model(load_base(config.model, None), config, tmp_path / "adapter")
    assert {settings.peft_type for settings in again.peft_config.values()} == {"LORA"}
    prepared = prepare(config)
    said = prepared.trainer.kind.predict(again, prepared.encoded["test"], 16)
    assert said.scores(("loss",))["loss"] == pytest.approx(record.scores["test/loss"], abs=1e-5)


def test_an_nf4_run_that_was_stopped_ends_as_if_it_had_never_stopped(
    tiny_llama: Path, completions: Path, tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes")
    from tests.training.test_run import comparable, stop_after

    config = settings(tiny_llama, completions, **NF4)
    run(config, tmp_path / "whole")
    stop_after(config, tmp_path / "stopped", 1)
    run(config, tmp_path / "stopped")
    assert comparable(tmp_path / "stopped") == comparable(tmp_path / "whole")


def test_nf4_packs_the_linear_layers_twice_quantised_and_leaves_tied_embeddings(
    tiny_llama: Path, completions: Path
) -> None:
    bnb = pytest.importorskip("bitsandbytes")
    config = settings(tiny_llama, completions, **NF4)
    model: Any = load_base(config.model, None).model
    packed = [m for m in model.modules() if isinstance(m, bnb.nn.Linear4bit)]
    assert len(packed) == 14  # seven in each of two layers
    assert all(m.weight.quant_state.nested and m.weight.dtype == torch.uint8 for m in packed)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    plain: Any = load_base(settings(tiny_llama, completions).model, None).model
    torch.testing.assert_close(model.lm_head.weight, plain.lm_head.weight, rtol=0, atol=0)


def test_a_decoders_linear_layers_are_adapted_by_default_and_its_tied_embeddings_are_not(
    tiny_llama: Path, completions: Path
) -> None:
    from lora2_search.adapter import Lora2Layer

    model: Any = prepare(settings(tiny_llama, completions)).trainer.progress.model
    adapted = {n.rpartition(".")[2] for n, m in model.named_modules() if isinstance(m, Lora2Layer)}
    kinds = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    assert adapted == set(kinds)
    base = model.get_base_model()
    assert base.lm_head.weight is base.model.embed_tokens.weight


def test_an_end_of_sequence_token_that_also_pads_is_learnt_once_per_answer(
    tiny_llama: Path, completions: Path, tmp_path: Path
) -> None:
    import json
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    for name, key in (("tokenizer_config.json", "pad_token"), ("config.json", "pad_token_id")):
        held = json.loads((folder / name).read_text())
        held.pop(key)
        (folder / name).write_text(json.dumps(held))
    prepared = prepare(settings(folder, completions))
    kind = prepared.trainer.kind
    assert kind.tokenizer.pad_token_id == kind.tokenizer.eos_token_id == 2
    split = prepared.encoded["train"]
    rows = [int(split.lengths.argmin()), int(split.lengths.argmax())]
    batch = kind.collate(split, rows)
    short = batch.inputs["input_ids"][0]
    padding = batch.inputs["attention_mask"][0] == 0
    assert padding.any() and (short[padding] == 2).all()
    assert (batch.targets[0][padding] == -100).all()
    assert ((batch.targets == 2).sum(dim=1) == 1).all()


def bfloat16(folder: Path, data: Path, **more: Any) -> RunConfig:
    return settings(folder, data, model__dtype="bfloat16", **more)


@pytest.mark.parametrize("method", ["lora2", "lora"])
def test_in_bfloat16_the_base_is_narrow_and_the_adapter_is_not(
    method: str, tiny_llama: Path, completions: Path, tmp_path: Path
) -> None:
    config = bfloat16(tiny_llama, completions, method=method)
    model = prepare(config).trainer.progress.model
    kinds = {(p.requires_grad, p.dtype) for p in model.parameters()}
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}
    narrow = run(config, tmp_path / "bf16")
    wide = run(settings(tiny_llama, completions, method=method), tmp_path / "f32")
    assert narrow.scores["test/loss"] == pytest.approx(wide.scores["test/loss"], rel=0.05)
    assert narrow.fingerprint != wide.fingerprint


def gradients(prepared: Prepared) -> tuple[Tensor, dict[str, Tensor]]:
    trainer = prepared.trainer
    model = trainer.progress.model.train()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and "lambda" in name:
            parameter.data.fill_(1.0)  # or nothing but λ had a gradient
    batch = trainer.kind.collate(prepared.encoded["train"], list(range(8)))
    loss = trainer.kind.loss(model, batch)
    loss.backward()
    return loss, {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("change", [{}, NF4, {"method": "full"}, {"adapter__lora_dropout": 0.3}])
def test_activations_computed_again_give_the_same_loss_and_gradients(
    change: dict[str, Any], tiny_llama: Path, completions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if change == NF4:
        pytest.importorskip("bitsandbytes")
    from transformers.models.llama.modeling_llama import LlamaAttention

    forwards: list[int] = []
    own = LlamaAttention.forward

    def counted(self: Any, *arguments: Any, **named: Any) -> Any:
        forwards.append(1)
        return own(self, *arguments, **named)

    monkeypatch.setattr(LlamaAttention, "forward", counted)
    found = []
    for again in (False, True):
        forwards.clear()
        more = {"training__gradient_checkpointing": again, **change}
        torch.manual_seed(0)
        found.append(
            (*gradients(prepare(settings(tiny_llama, completions, **more))), len(forwards))
        )
    (loss, kept, once), (same, recomputed, twice) = found
    assert (once, twice) == (2, 4)
    torch.testing.assert_close(loss, same)
    assert kept and kept.keys() == recomputed.keys()
    for name, gradient in kept.items():
        torch.testing.assert_close(gradient, recomputed[name])


def test_attention_is_computed_as_asked_for(tiny_llama: Path, completions: Path) -> None:
    losses = []
    for attention in ("eager", "sdpa"):
        prepared = prepare(settings(tiny_llama, completions, model__attention=attention))
        assert prepared.trainer.progress.model.config._attn_implementation == attention
        losses.append(gradients(prepared)[0])
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize("change", [NF4, {"model__dtype": "bfloat16"}])
def test_the_readme_of_an_adapter_loads_the_base_as_it_was_kept(
    change: dict[str, Any],
    tiny_llama: Path,
    completions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("bitsandbytes")
    config = settings(tiny_llama, completions, **change)
    run(config, tmp_path)
    (code,) = re.findall(
        r"```python\n(.*?)```", (tmp_path / "adapter" / "README.md").read_text(), re.DOTALL
    )
    monkeypatch.chdir(tmp_path / "adapter")
    made: dict[str, Any] = {}
    exec(code, made)
    ours = reload_model(load_base(config.model, None), config, tmp_path / "adapter").eval()
    tokens = torch.tensor([[3, 4, 20, 21]])
    torch.testing.assert_close(made["model"](tokens).logits, ours(tokens).logits)


def openai_gpt(folder: Path, like: Path) -> Path:
    """A random language model of a class that cannot compute activations again."""
    import shutil

    from transformers import OpenAIGPTConfig, OpenAIGPTLMHeadModel

    shutil.copytree(like, folder)
    sizes = {"vocab_size": 60, "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}
    OpenAIGPTLMHeadModel(OpenAIGPTConfig(**sizes)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {**NF4, "method": "full"},
            "method full trains every weight, which must be float32, but got model.quantization",
        ),
        ({"model__dtype": "bfloat16", "method": "pissa"}, "method pissa rewrites the weights"),
        ({"model__attention": "flash_attention_2"}, "set model.dtype to bfloat16"),
        ({"model__dtype": "float16"}, "float32.*bfloat16"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(
    change: dict[str, Any], message: str, tiny_llama: Path, completions: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        settings(tiny_llama, completions, **change)


def test_an_encoder_is_kept_whole(tiny_bert: Path, reviews_csv: Path) -> None:
    data = {"path": str(reviews_csv), "text": ["review"], "label": "verdict"}
    model = {"name_or_path": str(tiny_bert), "quantization": "nf4"}
    with pytest.raises(ValueError, match="model.quantization is for language models"):
        RunConfig.model_validate({"data": data, "model": model})


@pytest.mark.parametrize(
    ("change", "package", "message"),
    [
        (NF4, "bitsandbytes", "model.quantization: nf4 needs the package bitsandbytes"),
        (
            {"model__dtype": "bfloat16", "model__attention": "flash_attention_2"},
            "flash_attn",
            "model.attention: flash_attention_2 needs the package flash-attn",
        ),
    ],
)
def test_a_package_that_is_missing_is_named(
    change: dict[str, Any],
    package: str,
    message: str,
    tiny_llama: Path,
    completions: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(abilities, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_inputs(settings(tiny_llama, completions, **change))


def test_a_model_that_cannot_compute_activations_again_is_refused(
    tiny_llama: Path, completions: Path, tmp_path: Path
) -> None:
    folder = openai_gpt(tmp_path / "model", tiny_llama)
    config = settings(folder, completions, training__gradient_checkpointing=True)
    with pytest.raises(ConfigError, match="gradient_checkpointing: .* .openai-gpt. cannot"):
        check_inputs(config)
    with pytest.raises(ConfigError, match="training.gradient_checkpointing: .* cannot"):
        prepare(config)


def test_a_model_that_is_quantised_already_is_refused(
    tiny_llama: Path, completions: Path, tmp_path: Path
) -> None:
    import json
    import shutil

    shutil.copytree(tiny_llama, tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    held = {"quantization_config": {"quant_method": "gptq"}}
    path.write_text(json.dumps(json.loads(path.read_text()) | held))
    with pytest.raises(ConfigError, match=r"is quantised already \(gptq\); name the plain model"):
        check_inputs(settings(tmp_path / "model", completions, **NF4))
