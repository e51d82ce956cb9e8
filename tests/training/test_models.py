from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lora2_search.config.run import RunConfig
from lora2_search.config.schema import ModelConfig
from lora2_search.errors import ConfigError, UserError
from lora2_search.training.models.load import fresh_copy, load_base
from lora2_search.training.models.methods import attach
from tests.support.methods import METHODS


def base_of(folder: Path, outputs: int = 2, **more: object):  # type: ignore[no-untyped-def]
    return load_base(ModelConfig(name_or_path=str(folder), **more), outputs, False)  # type: ignore[arg-type]


def test_the_files_are_read_once_and_copies_share_the_frozen_weights(tiny_bert: Path) -> None:
    base = base_of(tiny_bert)
    assert base_of(tiny_bert) is base
    copy = fresh_copy(base, ["pooler", "classifier"], seed=0)
    originals = dict(base.model.named_parameters())
    for name, weight in copy.named_parameters():
        own = "pooler" in name or "classifier" in name
        assert (weight is originals[name]) != own


@pytest.mark.parametrize("model", ["tiny_bert", "tiny_deberta"])
@pytest.mark.parametrize("method", METHODS)
def test_no_freshly_initialised_weight_stays_frozen(
    model: str, method: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(model)
    base = base_of(folder)
    assert base.fresh
    if model == "tiny_deberta":
        assert any("pooler" in name for name in base.fresh)
    config = RunConfig.model_validate(
        {"task": "sentiment", "method": method, "adapter": {"target_rank": 2}}
    )
    adapted, _ = attach(base, config, 10)
    trained = {name for name, weight in adapted.named_parameters() if weight.requires_grad}
    for fresh in base.fresh:
        # PEFT trains a copy of the module, under its own name for it.
        names = {name.replace("modules_to_save.default.", "") for name in trained}
        assert any(name.endswith(fresh) for name in names), fresh


def test_a_fresh_weight_outside_the_trained_modules_is_refused(tiny_deberta: Path) -> None:
    with pytest.raises(RuntimeError, match="pooler"):
        fresh_copy(base_of(tiny_deberta), ["classifier"], seed=0)


def test_the_head_starts_by_seed_and_not_by_what_ran_before(tiny_bert: Path) -> None:
    heads = ["pooler", "classifier"]
    first = fresh_copy(base_of(tiny_bert), heads, seed=3).classifier.weight
    torch.rand(100)
    again = fresh_copy(base_of(tiny_bert), heads, seed=3).classifier.weight
    other = fresh_copy(base_of(tiny_bert), heads, seed=4).classifier.weight
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert 0.005 < first.std() < 0.04


def test_only_the_first_layers_are_kept(tiny_bert: Path) -> None:
    assert len(base_of(tiny_bert, layers=1).model.bert.encoder.layer) == 1


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("pissa", "head-only")])
def test_an_adapted_model_starts_as_the_pretrained_one(method: str, tiny_bert: Path) -> None:
    config = RunConfig.model_validate(
        {"task": "sentiment", "method": method, "adapter": {"k": 1, "r": 2, "target_rank": 1}}
    )
    base = base_of(tiny_bert)
    plain = fresh_copy(base, ["pooler", "classifier"], seed=config.seed).eval()
    adapted, _ = attach(base, config, 10)
    tokens = torch.arange(2, 12).reshape(1, -1)
    with torch.no_grad():
        assert torch.equal(adapted.eval()(tokens).logits, plain(tokens).logits)


def test_a_missing_folder_and_an_unreachable_hub_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        base_of(tmp_path / "absent")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        base_of(tmp_path)
    with pytest.raises(UserError, match="from the hub"):
        load_base(ModelConfig(name_or_path="microsoft/deberta-v3-base"), 2, False)


@pytest.mark.parametrize("model", ["tiny_bert", "tiny_deberta"])
def test_the_classifier_dropout_and_the_layers_arrive_together(
    model: str, request: pytest.FixtureRequest
) -> None:
    base = base_of(request.getfixturevalue(model), outputs=3, layers=1, classifier_dropout=0.25)
    assert base.model.dropout.p == 0.25
    assert base.model.classifier.out_features == 3
    assert base.model.config.num_hidden_layers == 1


def test_an_unknown_model_type_trains_whole_what_its_files_did_not_hold(tiny_bert: Path) -> None:
    base = base_of(tiny_bert)
    assert replace(base, model_type="unheard-of").heads == ["classifier"]
