"""A run whose adapter is cut after training scores, saves and tells the cut one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from peft import PeftConfig, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from lora2_search.config.run import RunConfig
from lora2_search.errors import ConfigError
from lora2_search.training.data.load import load_data
from lora2_search.training.loop.run import iterate, run
from tests.training.test_run import comparable, settings, stop_after

METHODS = ["lora2", "lora", "adalora", "LORA", "ADALORA"]

# Methods of PEFT by its own names; the rank of `adapter` is another.
BY_NAME: dict[str, dict[str, Any]] = {
    "LORA": {"peft_type": "LORA", "r": 4},
    "ADALORA": {"peft_type": "ADALORA", "init_r": 4, "target_r": 2, "tinit": 2, "tfinal": 4},
}


def cut(model: Path, data: Path, method: str = "lora", **more: Any) -> RunConfig:
    rank = {"after.svd_rank": 1 if method.lower() == "adalora" else 1.5}
    return run_of(model, data, method, **{**rank, **more})


def run_of(model: Path, data: Path, method: str, **more: Any) -> RunConfig:
    if method in BY_NAME:
        more |= {"method": "peft", "peft": BY_NAME[method], "adapter.r": 6}
    return settings(model, data, **{"method": method, **more})


@pytest.mark.parametrize("method", METHODS)
def test_what_stock_peft_loads_gives_the_predictions_that_were_recorded(
    method: str, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = cut(tiny_bert, reviews_csv, method)
    record = run(config, tmp_path)
    folder = tmp_path / "adapter"
    assert PeftConfig.from_pretrained(str(folder)).peft_type == "LORA"
    base = AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=2)
    model = PeftModel.from_pretrained(base, folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    said = pd.read_parquet(tmp_path / "predictions.parquet")
    for split in ("validation", "test"):
        texts = list(load_data(config).splits[split].texts[0])
        batch = tokenizer(texts, truncation=True, padding=True, return_tensors="pt")
        with torch.no_grad():
            logits = model(**batch).logits.numpy()
        rows = said[said.split == split]
        recorded = rows[["score_0", "score_1"]].to_numpy()
        np.testing.assert_allclose(logits, recorded, rtol=1e-4, atol=1e-5)
        assert record.score(split) == pytest.approx(np.mean(rows.label == rows.prediction))


@pytest.mark.parametrize("method", METHODS)
def test_the_record_tells_the_cut_adapter_and_its_history_the_one_that_was_trained(
    method: str, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = cut(tiny_bert, reviews_csv, method)
    (*_, last) = iterate(config, tmp_path / "cut")
    whole = run(run_of(tiny_bert, reviews_csv, method), tmp_path / "whole")
    record = json.loads((tmp_path / "cut" / "record.json").read_text())
    assert [point["metrics"] for point in record["history"]] == [p.metrics for p in whole.history]
    assert whole.kept_norm is None and 0 < record["kept_norm"] < 1

    kept = int(config.after.svd_rank * 12)
    assert sum(record["rank_pattern"].values()) == last.kept_rank == kept
    assert last.score == record["scores"]["validation/accuracy"]
    pattern = json.loads((tmp_path / "cut" / "rank_pattern.json").read_text())
    assert pattern["modules"] == record["rank_pattern"] and pattern["r"] == 4

    counts = record["counts"]
    saved = load_file(tmp_path / "cut" / "adapter" / "adapter_model.safetensors")
    served = sum(tensor.numel() for key, tensor in saved.items() if ".lora_" in key)
    assert counts["kept_adapter"] == counts["compressed_adapter"] == served
    for name in ("trained_adapter", "trained_head", "scored_full", "scored_reduced"):
        assert counts[name] == whole.counts[name]
    assert served < whole.counts["compressed_adapter"]

    card = (tmp_path / "cut" / "adapter" / "README.md").read_text()
    assert "import lora2_search" not in card and "truncated SVD" in card
    assert f"{record['kept_norm']:.2%}" in card


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("intervals", [1, 3])
def test_a_cut_run_that_was_stopped_and_taken_up_equals_one_that_never_was(
    method: str, intervals: int, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = cut(tiny_bert, reviews_csv, method, **{"adapter.lora_dropout": 0.2})
    run(config, tmp_path / "whole")
    stop_after(config, tmp_path / "stopped", intervals)
    run(config, tmp_path / "stopped")
    assert comparable(tmp_path / "stopped") == comparable(tmp_path / "whole")


def test_a_run_killed_after_its_last_checkpoint_ends_as_one_that_was_not(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = cut(tiny_bert, reviews_csv, "lora2")
    run(config, tmp_path / "whole")

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr("lora2_search.training.loop.run.write_predictions", killed)
        run(config, tmp_path / "killed")
    assert list((tmp_path / "killed" / "checkpoint").glob("[0-9]*"))
    run(config, tmp_path / "killed")
    assert comparable(tmp_path / "killed") == comparable(tmp_path / "whole")


def test_a_cut_per_matrix_keeps_as_many_ranks_in_each(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    change = {"after.svd_rank": 3, "after.svd_allocation": "per-matrix"}
    record = run(cut(tiny_bert, reviews_csv, **change), tmp_path)
    assert set(record.rank_pattern.values()) == {3}


def test_the_cut_model_computes_in_the_precision_of_the_run(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    change = {"training.mixed_precision": "bf16", "training.steps": 4}
    whole = run(settings(tiny_bert, reviews_csv, method="lora", **change), tmp_path / "whole")
    change["after.svd_rank"] = 4
    cut_run = run(settings(tiny_bert, reviews_csv, method="lora", **change), tmp_path / "cut")
    one, other = (
        pd.read_parquet(tmp_path / name / "predictions.parquet")[["score_0", "score_1"]].to_numpy()
        for name in ("whole", "cut")
    )
    # At full rank, with a scale that is a power of two, the cut is exact.
    assert (one == other).all() and whole.scores == cut_run.scores


def test_a_budget_without_a_single_rank_is_refused_before_training(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"after\.svd_rank: 0\.05 of 12 adapted matrices"):
        run(cut(tiny_bert, reviews_csv, **{"after.svd_rank": 0.05}), tmp_path)
