"""Methods of PEFT take the steps that stock PEFT takes when it is put together by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    AdaLoraConfig,
    IA3Config,
    LoHaConfig,
    LoraConfig,
    OFTConfig,
    PeftConfig,
    PeftModel,
    VeraConfig,
    get_peft_model,
)
from peft.optimizers import create_loraplus_optimizer
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from lora2_search.adapter.accounting import count_parameters
from lora2_search.config.model_types import default_targets
from lora2_search.config.run import RunConfig, with_settings
from lora2_search.errors import ConfigError
from lora2_search.training.export.adapter import save_adapter
from lora2_search.training.kinds.labelled import task_loss
from lora2_search.training.loop.prepare import prepare
from lora2_search.training.loop.run import run
from lora2_search.training.loop.trainer import named_dropout
from lora2_search.training.models.load import Base, check_base, fresh_copy, load_base
from lora2_search.training.models.methods import attach
from lora2_search.training.seeds import named_seed
from tests.training.test_run import _child, comparable, settings, stop_after

HEADS = ["pooler", "classifier"]
SHARED: dict[str, Any] = {
    "task_type": "SEQ_CLS",
    "modules_to_save": HEADS,
    "target_modules": default_targets("bert"),
}
LORA = {**SHARED, "r": 4, "lora_alpha": 16.0}
LR, RATIO, STEPS = 5e-3, 4.0, 5


def by_hand(base: Base, peft_config: PeftConfig, seed: int = 0) -> PeftModel:
    """Stock PEFT on a model that shares nothing with ours, heads and factors drawn alike."""
    parts = [name for name, _ in base.model.named_children()]
    model = fresh_copy(base, parts, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(named_seed(seed, "factors"))
        return get_peft_model(model, peft_config)


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=LR, weight_decay=0.0, fused=True
    )


def lora_plus(model: PeftModel) -> torch.optim.Optimizer:
    """PEFT's own groups for the adapter; it knows no rate for the head, which keeps that of A."""
    head = [p for n, p in model.named_parameters() if p.requires_grad and "lora_" not in n]
    for parameter in head:
        parameter.requires_grad_(False)
    optimizer = create_loraplus_optimizer(
        model, torch.optim.AdamW, lr=LR, loraplus_lr_ratio=RATIO, weight_decay=0.0, fused=True
    )
    for parameter in head:
        parameter.requires_grad_(True)
    optimizer.add_param_group({"params": head, "lr": LR})
    return optimizer


Stock = tuple[dict[str, Any], Callable[[], PeftConfig], Callable[[Any], torch.optim.Optimizer]]

BUDGET = {"init_r": 4, "target_r": 2, "tinit": 1, "tfinal": 2, "orth_reg_weight": 0.3}


def adalora() -> AdaLoraConfig:
    return AdaLoraConfig(**SHARED, **BUDGET, lora_alpha=16, total_step=STEPS)


STOCK: dict[str, Stock] = {
    "lora": ({"method": "lora"}, lambda: LoraConfig(**LORA), adamw),
    "dora": ({"method": "dora"}, lambda: LoraConfig(**LORA, use_dora=True), adamw),
    "rslora": ({"method": "rslora"}, lambda: LoraConfig(**LORA, use_rslora=True), adamw),
    "pissa": ({"method": "pissa"}, lambda: LoraConfig(**LORA, init_lora_weights="pissa"), adamw),
    "lora-plus": (
        {"method": "lora-plus", "adapter.loraplus_lr_ratio": RATIO},
        lambda: LoraConfig(**LORA),
        lora_plus,
    ),
    "adalora": (
        {
            "method": "adalora",
            "adapter": {"r": 4, "target_rank": 2, "t_init": 1, "t_final": 2, "gamma": 0.3},
        },
        adalora,
        adamw,
    ),
    "adalora by name": (
        {"method": "peft", "peft": {"peft_type": "ADALORA", **BUDGET, "lora_alpha": 16}},
        adalora,
        adamw,
    ),
    "oft": (
        {"method": "peft", "peft": {"peft_type": "OFT", "oft_block_size": 4}},
        lambda: OFTConfig(**SHARED, oft_block_size=4),
        adamw,
    ),
    "loha": (
        {"method": "peft", "peft": {"peft_type": "LOHA", "r": 3}},
        lambda: LoHaConfig(**SHARED, r=3),
        adamw,
    ),
    "vera": (
        {"method": "peft", "peft": {"peft_type": "VERA", "r": 8}},
        lambda: VeraConfig(**SHARED, r=8),
        adamw,
    ),
    "ia3": (
        {"method": "peft", "peft": {"peft_type": "IA3"}},
        lambda: IA3Config(task_type="SEQ_CLS", modules_to_save=HEADS),
        adamw,
    ),
}


def config_of(model: Path, data: Path, **change: Any) -> RunConfig:
    steps = {"training.lr_schedule": "constant", "training.warmup": 0, "training.steps": STEPS}
    return settings(model, data, **steps, **change)


def losses_by_hand(
    config: RunConfig,
    peft_config: PeftConfig,
    optimizer_of: Callable[[Any], torch.optim.Optimizer],
) -> list[float]:
    prepared = prepare(config)  # for the same batches, in the same order
    trainer = prepared.trainer
    model = by_hand(load_base(config.model, 2, False), peft_config)
    optimizer = optimizer_of(model)
    named_dropout(config.seed)
    losses = []
    for step, batches in zip(range(1, STEPS + 1), trainer._steps(0), strict=False):
        model.train()
        batch = trainer.kind.collate(trainer.train, batches[0])
        inputs, labels = batch.inputs, batch.targets
        # PEFT's AdaLoRA regularises in `forward`, if it is given the labels.
        output = model(**inputs, labels=labels.long())
        loss = task_loss(output.logits, labels, "classification")
        (output.loss if isinstance(peft_config, AdaLoraConfig) else loss).backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        if hasattr(model.base_model, "update_and_allocate"):
            model.base_model.update_and_allocate(step)
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def losses_of_ours(config: RunConfig) -> list[float]:
    trainer = prepare(config).trainer
    losses = []
    for step, batches in zip(range(1, STEPS + 1), trainer._steps(0), strict=False):
        trainer._step(batches, step)
        losses.append(float(trainer._sums.pop("train/loss")[0]))
    return losses


@pytest.mark.parametrize("name", STOCK)
def test_five_steps_have_the_losses_of_stock_peft_built_by_hand(
    name: str, tiny_bert: Path, reviews_csv: Path
) -> None:
    change, peft_config, optimizer_of = STOCK[name]
    config = config_of(tiny_bert, reviews_csv, **change)
    ours, theirs = losses_of_ours(config), losses_by_hand(config, peft_config(), optimizer_of)
    if "adalora" in name:  # its regulariser is summed in another order
        assert ours == pytest.approx(theirs, rel=1e-6, abs=0)
    else:
        assert ours == theirs
    assert len(set(ours)) == STEPS
    check_base()


def untouched(folder: Path) -> Any:
    return AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)


def tokens() -> Tensor:
    return torch.randint(2, 30, (4, 9), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", STOCK)
def test_stock_peft_loads_what_was_saved_on_the_untouched_base(
    name: str, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = config_of(tiny_bert, reviews_csv, **STOCK[name][0])
    trainer = prepare(config).trainer
    for step, batches in zip(range(1, STEPS + 1), trainer._steps(0), strict=False):
        trainer._step(batches, step)
    model = trainer.progress.model.eval()
    save_adapter(model, tmp_path)
    loaded = PeftModel.from_pretrained(untouched(tiny_bert), tmp_path).eval()
    with torch.no_grad():
        expected = model(tokens()).logits
        torch.testing.assert_close(loaded(tokens()).logits, expected, rtol=0, atol=1e-5)
        # Not `merge_and_unload`, which OFT of PEFT 0.21 cannot do beside a trained pooler.
        loaded.merge_adapter()
        torch.testing.assert_close(loaded(tokens()).logits, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_lora_after_pissa_in_one_process_equals_lora_in_a_fresh_one(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    run(settings(tiny_bert, reviews_csv, method="pissa"), tmp_path / "pissa")
    config = settings(tiny_bert, reviews_csv, method="lora")
    run(config, tmp_path / "warm")
    child = _child(config, tmp_path / "fresh")
    assert child.wait() == 0
    assert comparable(tmp_path / "warm") == comparable(tmp_path / "fresh")


def test_pissa_has_its_own_copy_of_what_it_rewrites_and_of_nothing_else(tiny_bert: Path) -> None:
    config = with_settings(RunConfig(task="sentiment"), {"method": "pissa", "adapter.r": 2})
    base = load_base(config.model.model_copy(update={"name_or_path": str(tiny_bert)}), 2, False)
    model, _ = attach(base, config, 10)
    own = {n.replace(".base_layer", ""): p for n, p in model.named_parameters()}
    for name, original in base.model.named_parameters():
        adapted = name.endswith("weight") and f"base_model.model.{name[:-7]}.lora_A.default" in {
            key.removesuffix(".weight") for key in own
        }
        if any(head in name for head in HEADS):
            continue
        mine = own[f"base_model.model.{name}"]
        assert (mine.data_ptr() != original.data_ptr()) == adapted, name
        assert torch.equal(mine, original) != adapted, name
    check_base()
    plain = fresh_copy(base, HEADS, config.seed).eval()
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(tokens()).logits, plain(tokens()).logits)


def test_served_weights_are_those_on_the_untouched_base(tiny_bert: Path) -> None:
    base = load_base(
        RunConfig(task="sentiment").model.model_copy(update={"name_or_path": str(tiny_bert)}),
        2,
        False,
    )
    counts = {}
    for method in ("lora", "rslora", "pissa", "lora-plus", "dora"):
        config = with_settings(RunConfig(task="sentiment"), {"method": method, "adapter.r": 4})
        counts[method] = count_parameters(attach(base, config, 10)[0])
    lora = counts["lora"]["trained_adapter"]
    assert {m: c["compressed_adapter"] for m, c in counts.items()} == {
        "lora": lora,
        "rslora": lora,
        "lora-plus": lora,
        "pissa": 2 * lora,  # its start is subtracted
        "dora": lora + 2 * (4 * 32 + 48 + 32),  # a magnitude per output
    }
    assert counts["pissa"]["kept_adapter"] == counts["pissa"]["trained_adapter"] == lora


def test_weights_that_layers_share_are_counted_once(tiny_bert: Path) -> None:
    own = {"peft_type": "VBLORA", "vector_length": 8, "num_vectors": 8}
    config = with_settings(RunConfig(task="sentiment"), {"method": "peft", "peft": own})
    base = load_base(config.model.model_copy(update={"name_or_path": str(tiny_bert)}), 2, False)
    model, _ = attach(base, config, 10)
    counts = count_parameters(model)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert counts["trained_adapter"] + counts["trained_head"] == trained


def test_a_tuner_that_allocates_is_told_of_every_step(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_settings(
        RunConfig(task="sentiment"), {"method": "peft", "peft": {"peft_type": "ADAMSS"}}
    )
    base = load_base(config.model.model_copy(update={"name_or_path": str(tiny_bert)}), 2, False)
    model, adaptive = attach(base, config, 10)
    told: list[int] = []
    monkeypatch.setattr(model.base_model, "update_and_allocate", told.append)
    for step in (1, 2):
        adaptive.update_and_allocate(step)
    assert told == [1, 2]


def test_a_cut_of_pissa_and_a_ratio_below_one_are_refused() -> None:
    base = RunConfig(task="sentiment")
    with pytest.raises(ConfigError, match="pissa also rewrites the weights"):
        with_settings(base, {"method": "pissa", "after.svd_rank": 2})
    with pytest.raises(ConfigError, match="loraplus_lr_ratio.*greater than or equal to 1"):
        with_settings(base, {"adapter.loraplus_lr_ratio": 0.5})


def test_adalora_by_its_name_is_the_shorthand(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    schedule = {"adapter.t_init": 1, "adapter.t_final": 1, "adapter.gamma": 0.5}
    short = config_of(tiny_bert, reviews_csv, method="adalora", **schedule)
    own = {"init_r": 4, "target_r": 2, "lora_alpha": 16.0, "tinit": 1, "tfinal": 1, "deltaT": 1}
    long = config_of(tiny_bert, reviews_csv, method="peft", peft={"peft_type": "ADALORA", **own})
    one, two = run(short, tmp_path / "short"), run(long, tmp_path / "long")
    assert one.rank_pattern == two.rank_pattern and one.counts == two.counts
    assert comparable(tmp_path / "short") == comparable(tmp_path / "long")


@pytest.mark.parametrize(
    "peft",
    [
        {"peft_type": "OFT", "oft_block_size": 4},
        {"peft_type": "LORA", "r": 2, "init_lora_weights": "olora"},
        {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 4},
        {"peft_type": "LN_TUNING", "target_modules": ["LayerNorm"]},
    ],
    ids=lambda peft: peft["peft_type"],
)
def test_a_run_of_any_method_leaves_the_base_alone_and_resumes_bit_for_bit(
    peft: dict[str, Any], tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv, method="peft", peft=peft)
    base = load_base(config.model, 2, False)
    record = run(config, tmp_path / "whole")
    assert record.counts["trained_adapter"] > 0
    stop_after(config, tmp_path / "stopped", 1)
    run(config, tmp_path / "stopped")
    assert comparable(tmp_path / "stopped") == comparable(tmp_path / "whole")
    assert load_base(config.model, 2, False) is base


def test_the_section_names_a_run_of_its_method_alone() -> None:
    loha = {"peft": {"peft_type": "LOHA", "r": 4}}
    plain = RunConfig(task="sentiment")
    assert with_settings(plain, loha).fingerprint() == plain.fingerprint()
    names = {
        with_settings(plain, {"method": "peft", **loha, **more}).fingerprint()
        for more in ({}, {"peft.r": 8}, {"peft.alpha": 2})
    }
    assert len(names) == 3
    with pytest.raises(ConfigError, match="LORA and ADALORA have, but got peft.peft_type=LOHA"):
        with_settings(plain, {"method": "peft", **loha, "after.svd_rank": 2})
