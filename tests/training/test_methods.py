"""Every method beside LoRA²: what it trains, how it adds up, and that AdaLoRA is PEFT's own."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AdaLoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from lora2_search.adapter.accounting import count_parameters
from lora2_search.config.adapter_settings import LORAS
from lora2_search.config.model_types import default_targets
from lora2_search.config.run import RunConfig, with_settings
from lora2_search.config.schema import ModelConfig
from lora2_search.errors import ConfigError
from lora2_search.training.export.adapter import save_adapter
from lora2_search.training.models.adalora import AdaLora
from lora2_search.training.models.load import Base, fresh_copy, load_base
from lora2_search.training.models.methods import attach

TOTAL = 12


def base_of(folder: Path) -> Base:
    return load_base(ModelConfig(name_or_path=str(folder)), 2, False)


def config_of(method: str, **change: Any) -> RunConfig:
    adapter = {"adapter.r": 4, "adapter.target_rank": 2, "adapter.gamma": 0.3}
    pruning = {"adapter.t_init": 2, "adapter.t_final": 4, "adapter.delta_t": 2}
    return with_settings(
        RunConfig(task="sentiment"), {**adapter, **pruning, "method": method, **change}
    )


def tokens(step: int) -> Tensor:
    return torch.randint(2, 30, (4, 9), generator=torch.Generator().manual_seed(step))


LABELS = torch.tensor([0, 1, 1, 0])


def train(
    model: nn.Module, adaptive: Any, first: int, last: int, optimizer: torch.optim.Optimizer
) -> None:
    """Steps of our loop, without dropout."""
    model.eval()
    for step in range(first, last + 1):
        loss = nn.functional.cross_entropy(model(tokens(step)).logits, LABELS)
        torch.stack([loss, *adaptive.regularization().values()]).sum().backward()
        optimizer.step()
        adaptive.update_and_allocate(step)
        optimizer.zero_grad()


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-2)


ADALORA = {
    **{"peft_type": "ADALORA", "init_r": 4, "target_r": 2, "tinit": 2, "tfinal": 4, "deltaT": 2},
    **{"orth_reg_weight": 0.3, "lora_alpha": 16},
}


@pytest.mark.parametrize("config", [config_of("adalora"), config_of("peft", peft=ADALORA)])
def test_adalora_is_pefts_own_step_by_step(config: RunConfig, tiny_bert: Path) -> None:
    base = base_of(tiny_bert)
    model, adaptive = attach(base, config, TOTAL)
    assert isinstance(adaptive, AdaLora)
    theirs = get_peft_model(
        fresh_copy(base, base.heads, seed=0),
        AdaLoraConfig(
            task_type="SEQ_CLS",
            init_r=4,
            target_r=2,
            tinit=2,
            tfinal=4,
            deltaT=2,
            orth_reg_weight=0.3,
            total_step=TOTAL,
            lora_alpha=16,
            target_modules=default_targets("bert"),
            modules_to_save=["pooler", "classifier"],
        ),
    ).eval()
    theirs.load_state_dict(model.state_dict())
    ours, other = optimizer_of(model), optimizer_of(theirs)
    for step in range(1, TOTAL + 1):
        train(model, adaptive, step, step, ours)
        theirs(input_ids=tokens(step), labels=LABELS).loss.backward()
        other.step()
        theirs.base_model.update_and_allocate(step)
        other.zero_grad()
        one, two = (m.peft_config["default"].rank_pattern for m in (model, theirs))
        assert one == two and bool(one) == (step >= 4)
    expected = dict(theirs.named_parameters())
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-6, msg=name)
    assert adaptive.kept_rank() == sum(adaptive.rank_pattern().values()) == 2 * 12
    assert set(adaptive.rank_pattern()) == {
        name.removesuffix(".lora_E.default").removeprefix("base_model.model.")
        for name in expected
        if "lora_E" in name
    }


@pytest.mark.parametrize("stop", [1, 3, 7, 9])
def test_adaloras_averages_and_masks_are_all_that_its_future_needs(
    stop: int, tiny_bert: Path
) -> None:
    base, config = base_of(tiny_bert), config_of("adalora")
    whole, adaptive = attach(base, config, TOTAL)
    optimizer = optimizer_of(whole)
    train(whole, adaptive, 1, stop, optimizer)
    kept = {name: tensor.clone() for name, tensor in adaptive.allocator_state().items()}
    weights = {name: p.detach().clone() for name, p in whole.named_parameters()}
    moments = copy.deepcopy(optimizer.state_dict())

    again, resumed = attach(base, config, TOTAL)
    again.load_state_dict(weights, strict=False)
    other = optimizer_of(again)
    other.load_state_dict(moments)
    resumed.load_allocator_state(dict(sorted(kept.items())))
    assert resumed.allocator_state().keys() == kept.keys()
    train(whole, adaptive, stop + 1, TOTAL, optimizer)
    train(again, resumed, stop + 1, TOTAL, other)
    assert adaptive.rank_pattern() == resumed.rank_pattern()
    expected = dict(whole.named_parameters())
    assert all(torch.equal(w, expected[name]) for name, w in again.named_parameters())


def test_a_saved_adalora_computes_what_the_trained_one_did(tiny_bert: Path, tmp_path: Path) -> None:
    base = base_of(tiny_bert)
    model, adaptive = attach(base, config_of("adalora", **{"adapter.target_rank": 1}), TOTAL)
    train(model, adaptive, 1, TOTAL, optimizer_of(model))
    assert 0 in adaptive.rank_pattern().values()
    counts, ranks = count_parameters(model), adaptive.rank_pattern()
    save_adapter(model, tmp_path)
    assert adaptive.rank_pattern() == ranks
    loaded = PeftModel.from_pretrained(fresh_copy(base, base.heads, 0), tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(tokens(1)).logits, model.eval()(tokens(1)).logits)
    cut = count_parameters(loaded)
    assert cut["trained_adapter"] == counts["kept_adapter"] < counts["trained_adapter"]
    # A plain LoRA of the kept rank holds the same but the singular values.
    assert counts["compressed_adapter"] == counts["kept_adapter"] - adaptive.kept_rank()
    assert counts["scored_full"] == counts["scored_reduced"] == counts["trained_adapter"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_adaloras_scale_is_never_trained(dtype: torch.dtype, tiny_bert: Path) -> None:
    base = base_of(tiny_bert)
    half = fresh_copy(base, ["bert", "classifier"], 0).to(dtype)
    model, _ = attach(replace(base, model=half), config_of("adalora"), TOTAL)
    scales = [p for name, p in model.named_parameters() if "ranknum" in name]
    assert len(scales) == 12 and not any(p.requires_grad for p in scales)
    assert {float(p) for p in scales} == {4.0}


def test_adaloras_terms_are_off_where_orthogonality_is_off(tiny_bert: Path) -> None:
    off = config_of("adalora", **{"adapter.orthogonality": "none"})
    _, adaptive = attach(base_of(tiny_bert), off, TOTAL)
    assert adaptive.regularization()["outer"].item() == 0.0


def test_an_adalora_made_for_other_steps_is_refused(tiny_bert: Path) -> None:
    _, adaptive = attach(base_of(tiny_bert), config_of("adalora"), TOTAL)
    assert isinstance(adaptive, AdaLora)
    adaptive.set_total_steps(TOTAL)
    with pytest.raises(ValueError, match="made for 12 steps, but got 13"):
        adaptive.set_total_steps(13)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"adapter.target_rank": None}, "set adapter.target_rank below adapter.r"),
        ({"adapter.target_rank": 4}, "adapter.target_rank=4, adapter.r=4"),
        ({"adapter.orthogonality": "hard"}, "soft or none"),
        ({"adapter.gamma": [0.1, 0.2]}, "one number"),
        ({"adapter.rank_pattern": {"query": 2}}, "adapter.rank_pattern"),
        ({"adapter.target_rank": 1.5}, "whole number of ranks, at least 1, but got .*=1.5"),
        ({"adapter.target_rank": 0}, "whole number of ranks, at least 1, but got .*=0"),
        ({"training.steps": 5}, "t_init"),
    ],
)
def test_what_adalora_cannot_do_is_refused_before_any_model_is_loaded(
    change: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        config_of("adalora", **change)


def test_dora_trains_magnitudes_beside_lora(tiny_bert: Path) -> None:
    base = base_of(tiny_bert)
    counts = {
        method: count_parameters(attach(base, config_of(method), TOTAL)[0])
        for method in ("lora", "dora")
    }
    outputs = 2 * (4 * 32 + 48 + 32)  # of the twelve matrices
    more = counts["dora"]["trained_adapter"] - counts["lora"]["trained_adapter"]
    assert more == outputs
    assert counts["dora"]["trained_head"] == counts["lora"]["trained_head"]


def test_full_trains_every_weight_of_a_copy_of_its_own(tiny_bert: Path, tmp_path: Path) -> None:
    base = base_of(tiny_bert)
    before = {name: p.clone() for name, p in base.model.named_parameters()}
    model, adaptive = attach(base, config_of("full"), TOTAL)
    train(model, adaptive, 1, 3, optimizer_of(model))
    originals = dict(base.model.named_parameters())
    for name, weight in model.named_parameters():
        assert weight.requires_grad and weight is not originals[name]
        assert not originals[name].requires_grad
    assert all(torch.equal(p, before[name]) for name, p in originals.items())
    counts = count_parameters(model)
    head = sum(p.numel() for n, p in model.named_parameters() if "pooler" in n or "classifier" in n)
    assert counts["trained_head"] == head
    assert counts["trained_adapter"] + head == sum(p.numel() for p in model.parameters())
    assert counts["compressed_adapter"] == counts["kept_adapter"] == counts["trained_adapter"]

    save_adapter(model, tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(loaded(tokens(1)).logits, model.eval()(tokens(1)).logits)


@pytest.mark.parametrize("method", [*LORAS, "adalora"])
def test_pefts_methods_take_the_modules_that_lora2_would(method: str, tiny_bert: Path) -> None:
    change = {"adapter.layers_to_transform": [1], "adapter.exclude_modules": ["query"]}
    model, _ = attach(base_of(tiny_bert), config_of(method, **change), TOTAL)
    adapted = {
        name.partition(".lora_A")[0].rpartition("layer.")[2]
        for name, _ in model.named_parameters()
        if "lora_A" in name
    }
    assert adapted == {
        f"1.{name}"
        for name in (
            *("attention.self.key", "attention.self.value", "attention.output.dense"),
            *("intermediate.dense", "output.dense"),
        )
    }


@pytest.mark.parametrize("method", ["lora2", *LORAS, "adalora"])
def test_settings_that_do_not_fit_the_model_are_told_in_words(method: str, tiny_bert: Path) -> None:
    config = config_of(method, **{"adapter.target_modules": ["nowhere"]})
    with pytest.raises(ConfigError, match="target_modules|Target modules"):
        attach(base_of(tiny_bert), config, TOTAL)


@pytest.mark.parametrize("method", ["lora2", *LORAS, "adalora"])
def test_every_method_is_told_which_list_of_blocks_is_meant(method: str, tiny_bert: Path) -> None:
    def adapted(pattern: str) -> set[str]:
        change = {"adapter.layers_to_transform": [1], "adapter.layers_pattern": pattern}
        model, _ = attach(base_of(tiny_bert), config_of(method, **change), TOTAL)
        names = [name for name, _ in model.named_parameters() if "lora" in name]
        return {name.partition("layer.")[2].partition(".")[0] for name in names}

    assert adapted("layer") == {"1"}
    with pytest.raises(ConfigError):
        adapted("stack")


@pytest.mark.parametrize(("target", "kept"), [(1.5, 18), (0, 0), (2.0, 24)])
def test_a_run_ends_on_a_mean_rank_that_is_a_fraction_or_none_at_all(
    target: float, kept: int, tiny_bert: Path
) -> None:
    config = config_of("lora2", **{"adapter.target_rank": target})
    model, adaptive = attach(base_of(tiny_bert), config, TOTAL)
    adaptive.set_total_steps(TOTAL)
    train(model, adaptive, 1, TOTAL, optimizer_of(model))
    assert adaptive.kept_rank() == kept  # of twelve matrices


@pytest.mark.parametrize("method", ["lora", "rslora", "lora-plus", "dora", "adalora"])
def test_the_start_depends_on_the_seed_alone(method: str, tiny_bert: Path) -> None:
    base = base_of(tiny_bert)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, _ = attach(base, config_of(method, seed=3), TOTAL)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again, _ = attach(base, config_of(method, seed=3), TOTAL)
    other, _ = attach(base, config_of(method, seed=4), TOTAL)
    one, two, three = (
        [p for name, p in model.named_parameters() if "lora_A" in name]
        for model in (first, again, other)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, three, strict=True))


@pytest.mark.parametrize("method", ["lora", "rslora", "lora-plus", "dora"])
def test_an_orthonormal_start_gives_lora_an_a_with_orthonormal_rows_and_leaves_b_at_zero(
    method: str, tiny_bert: Path
) -> None:
    config = config_of(method, **{"adapter.init_lora_weights": "orthonormal"})
    first, _ = attach(base_of(tiny_bert), config, TOTAL)
    torch.manual_seed(5)
    again, _ = attach(base_of(tiny_bert), config, TOTAL)
    found = {name: p for name, p in first.named_parameters() if ".lora_" in name}
    assert any("lora_A" in name for name in found)
    for name, parameter in found.items():
        assert torch.equal(parameter, again.get_parameter(name))
        if "lora_A" in name:
            gram = parameter @ parameter.mT
            torch.testing.assert_close(gram, torch.eye(len(gram)), rtol=0, atol=1e-5)
        elif "lora_B" in name:
            assert not parameter.any()


def test_lora_starts_as_peft_names_it(tiny_bert: Path) -> None:
    config = config_of("lora", **{"adapter.init_lora_weights": "orthogonal"})
    model, _ = attach(base_of(tiny_bert), config, TOTAL)
    for layer in model.modules():
        if hasattr(layer, "lora_A") and "default" in layer.lora_A:
            a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
            assert a.any() and b.any()  # PEFT's start of that name: both drawn, their product 0
            torch.testing.assert_close(b @ a, torch.zeros(b.shape[0], a.shape[1]))


@pytest.mark.parametrize("ranks", [{"adapter.r": 3}, {"adapter.rank_pattern": {"query": 3}}])
def test_pefts_orthogonal_start_of_an_odd_rank_is_refused_with_the_rank(
    ranks: dict[str, Any],
) -> None:
    with pytest.raises(ConfigError, match="orthogonal needs even ranks.*=3"):
        config_of(
            "lora",
            **{"adapter.init_lora_weights": "orthogonal", "adapter.target_rank": None, **ranks},
        )
