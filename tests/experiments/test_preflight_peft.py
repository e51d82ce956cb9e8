"""Mistakes in the section `peft:` are told before any model is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lora2_search.config.run import RunConfig
from lora2_search.config.space.schema import Space
from lora2_search.errors import ConfigError
from lora2_search.experiments.preflight import check_inputs
from lora2_search.training.models import any_peft
from tests.experiments.test_preflight import config

CUT = {"after.svd_rank": 2}


def of(model: Path, data: Path, **peft: Any) -> RunConfig:
    return config(model, data, method="peft", peft=peft)


@pytest.mark.parametrize(
    ("peft", "key", "says"),
    [
        ({}, "peft.peft_type", "needs the name of one: ADALORA, .*OFT"),
        ({"peft_type": "OFFT"}, "peft.peft_type", "no 'OFFT'; did you mean \"OFT\""),
        ({"peft_type": "CPT"}, "peft.peft_type", "CPT is for language models"),
        ({"peft_type": "LORA2"}, "peft.peft_type", "set `method: lora2`"),
        (
            {"peft_type": "OFT", "oft_blocksize": 4},
            "peft.oft_blocksize",
            'no such key; did you mean "oft_block_size"',
        ),
        ({"peft_type": "LOHA", "r": 0}, "peft.r", "at least 1, but got 0"),
        ({"peft_type": "MISS", "r": 64}, "peft", "must be less than or equal to in_features"),
        ({"peft_type": "LORA", "task_type": "CAUSAL_LM"}, "peft.task_type", "must be SEQ_CLS"),
        (
            {"peft_type": "LORA", "base_model_name_or_path": "roberta-base"},
            "peft.base_model_name_or_path",
            "is of the base roberta-base",
        ),
        ({"peft_type": "ADAMSS", "use_asa": True}, "peft.use_asa", "no checkpoint holds"),
        ({"peft_type": "TRAINABLE_TOKENS"}, "peft.peft_type", "no classification head"),
        ({"peft_type": "LORA", "target_modules": ["nowhere"]}, "peft", "No modules were targeted"),
    ],
)
def test_what_peft_cannot_do_is_told_in_one_message(
    peft: dict[str, Any], key: str, says: str, tiny_bert: Path, reviews_csv: Path
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        check_inputs(of(tiny_bert, reviews_csv, **peft))
    assert [problem.key for problem in caught.value.problems] == [key]


LORA, ADALORA = {"peft_type": "LORA"}, {"peft_type": "ADALORA"}


def by_name(peft: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"method": "peft", "peft": peft, **more}


@pytest.mark.parametrize(
    ("change", "key", "says"),
    [
        ({"method": "lora", "adapter.r": 33}, "adapter.r", r"at most 32.* \[32, 32\].*got 33"),
        ({"method": "pissa", "adapter.r": 64}, "adapter.r", "at most 32"),
        (
            {"method": "adalora", "adapter.r": 64, "adapter.target_rank": 4},
            "adapter.r",
            "at most 32",
        ),
        (
            {"method": "lora", "adapter.rank_pattern": {"intermediate.dense": 40}},
            "adapter.rank_pattern.intermediate.dense",
            r"at most 32.* \[48, 32\].*got 40",
        ),
        (by_name({**LORA, "r": 33}), "peft.r", "at most 32.*got 33"),
        (by_name({**LORA, "rank_pattern": {"query": 40}}), "peft.rank_pattern", "at most 32"),
        (by_name({**ADALORA, "init_r": 33}), "peft.init_r", "at most 32.*got 33"),
        (by_name({**ADALORA, "target_r": 12}), "peft.target_r", "below init_r.*init_r=12"),
        (by_name({**ADALORA, "r": 6}), "peft.r", "at the start is peft.init_r"),
        (by_name({**ADALORA, "deltaT": 0}), "peft.deltaT", "at least 1, but got 0"),
        (by_name({**ADALORA, "tinit": 0.1}), "peft.tinit", "a number of steps.*got 0.1"),
        (by_name({**ADALORA, "beta1": 1}), "peft.beta1", "between 0 and 1"),
        (by_name({**ADALORA, "rank_pattern": {"query": 2}}), "peft.rank_pattern", "leave it out"),
        (
            by_name({**ADALORA, "tinit": 70, "tfinal": 30}),
            "peft.tfinal",
            "tinit=70, tfinal=30, total steps=",
        ),
        (by_name({"peft_type": "P_TUNING"}), "peft.num_virtual_tokens", "P_TUNING needs.*got None"),
        (by_name({**LORA, "use_dora": True}, **CUT), "after.svd_rank", "DoRA also rescales"),
        (
            by_name({**LORA, "init_lora_weights": "pissa"}, **CUT),
            "after.svd_rank",
            "may have changed the weights",
        ),
        (
            by_name({**LORA, "target_modules": ["word_embeddings"]}, **CUT),
            "after.svd_rank",
            "word_embeddings is a layer of kind Embedding",
        ),
        (by_name({**LORA, "r": 1}, **CUT), "after.svd_rank", "that is trained, 1, but got 2"),
    ],
)
def test_ranks_budgets_and_cuts_that_cannot_be_are_told_in_one_message(
    change: dict[str, Any], key: str, says: str, tiny_bert: Path, reviews_csv: Path
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        check_inputs(config(tiny_bert, reviews_csv, **change))
    assert [problem.key for problem in caught.value.problems] == [key]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"method": "lora", "adapter.rank_pattern": {"query": 0}}, "rank_pattern.query=0"),
        (by_name({"peft_type": "OFT"}, **CUT), "LORA and ADALORA have, but got .*OFT"),
        ({"method": "pissa", **CUT}, "pissa also rewrites the weights"),
        ({"adapter.rank_pattern": {"intermediate.dense": -1}}, r"rank_pattern.*at least 0"),
        (
            {"adapter.rank_pattern": {"intermediate.dense": "x"}},
            r"adapter\.rank_pattern\.intermediate\.dense: must be a valid integer",
        ),
    ],
)
def test_what_contradicts_itself_is_told_without_a_model(
    change: dict[str, Any], says: str, tiny_bert: Path, reviews_csv: Path
) -> None:
    with pytest.raises(ConfigError, match=says):
        config(tiny_bert, reviews_csv, **change)


@pytest.mark.parametrize("peft", [LORA, ADALORA])
def test_a_low_rank_method_of_peft_may_be_cut(
    peft: dict[str, Any], tiny_bert: Path, reviews_csv: Path
) -> None:
    check_inputs(config(tiny_bert, reviews_csv, **by_name(peft, **CUT)))


def test_a_rank_that_an_arm_cannot_have_is_told_by_the_arm(
    tiny_bert: Path, reviews_csv: Path
) -> None:
    plain, wide = (
        config(tiny_bert, reviews_csv, method="lora", **{"adapter.r": r}) for r in (8, 33)
    )
    with pytest.raises(ConfigError, match=r"arms\.wide\.adapter\.r: must be at most 32"):
        check_inputs(plain, variants=[("arms.wide", wide)])


def test_settings_of_peft_beside_another_method_are_refused_unless_a_run_reads_them(
    tiny_bert: Path, reviews_csv: Path
) -> None:
    peft = of(tiny_bert, reviews_csv, peft_type="LOHA")
    idle = config(tiny_bert, reviews_csv, method="lora", peft={"peft_type": "LOHA"})
    with pytest.raises(ConfigError, match="peft: is for method peft alone.*method lora"):
        check_inputs(idle)
    check_inputs(idle, variants=[("arms.loha", peft)])
    plain = config(tiny_bert, reviews_csv, method="lora")
    with pytest.raises(ConfigError, match=r"arms.loha.peft: is for method peft alone"):
        check_inputs(plain, variants=[("arms.loha", idle)])


def test_an_adapter_config_of_pefts_own_is_taken_as_it_is(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    from peft import LoHaConfig

    saved = LoHaConfig(task_type="SEQ_CLS", r=3, base_model_name_or_path=str(tiny_bert))
    saved.save_pretrained(tmp_path)
    run = config(tiny_bert, reviews_csv, method="peft", peft=str(tmp_path / "adapter_config.json"))
    assert (run.peft.peft_type, run.peft.own()["r"]) == ("LOHA", 3)
    check_inputs(run)
    (tmp_path / "other.json").write_text(json.dumps({"r": 3}))
    for name, says in (("absent.json", "not a readable"), ("other.json", "has no peft_type")):
        with pytest.raises(ConfigError, match=says):
            config(tiny_bert, reviews_csv, method="peft", peft=str(tmp_path / name))


def space(model: Path, data: Path, low: int) -> Space:
    run = config(model, data, method="peft", peft={"peft_type": "LOHA"})
    search = {"peft.r": {"type": "int", "low": low, "high": 4}}
    return Space.model_validate(
        {**run.model_dump(exclude_none=True), "name": "loha", "trials": 2, "search": search}
    )


def test_the_ends_of_a_searched_setting_of_peft_are_checked(
    tiny_bert: Path, reviews_csv: Path
) -> None:
    good, bad = (space(tiny_bert, reviews_csv, low) for low in (2, 0))
    assert good.run_config({"peft.r": 3}).peft.own() == {"r": 3}
    check_inputs(good.run_config(), variants=good.other_models())
    with pytest.raises(ConfigError, match=r"search.peft.r: must be a whole number of at least 1"):
        check_inputs(bad.run_config(), variants=bad.other_models())


def test_a_method_that_leaves_nothing_to_train_is_told(
    tiny_bert: Path, reviews_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # PEFT refuses such settings itself in each of its methods that were tried.
    monkeypatch.setattr(any_peft, "get_peft_model", lambda base, settings: base)
    with pytest.raises(ConfigError, match="LOHA has nothing to train"):
        check_inputs(of(tiny_bert, reviews_csv, peft_type="LOHA"))
