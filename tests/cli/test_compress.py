"""``compress`` on runs and folders, and what cannot be cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from lora2_search.store.record import read_record
from tests.cli.test_export import cli, mine, trained

__all__ = ["mine"]  # a fixture


@pytest.mark.parametrize("allocation", ["global", "per-matrix"])
@pytest.mark.parametrize("method", ["lora2", "lora", "adalora"])
def test_an_adapter_is_cut_to_a_plain_lora_that_errs_by_what_is_told(
    method: str, allocation: str, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    # From a start that moves at once: increments near float32's rounding of W0 could not be told.
    start = {"adapter.init": "lora", "training.lr": 0.02}
    trained(tmp_path / "run", tiny_bert, reviews_csv, method=method, **start)
    out, flags = tmp_path / "out", ["--per-matrix"] if allocation == "per-matrix" else []
    result = cli("compress", tmp_path / "run", "--rank", 1, *flags, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["allocation"] == allocation
    if allocation == "global":
        assert sum(told["ranks"].values()) == 12
    else:  # training may have pruned a matrix to rank 0
        assert set(told["ranks"].values()) <= ({1} if method == "lora" else {0, 1})
    record = read_record(tmp_path / "run")
    assert record is not None
    # PEFT saves what is left of AdaLoRA.
    before = "kept_adapter" if method == "adalora" else "trained_adapter"
    assert told["parameters_before"] == record.counts[before]
    assert told["head"] == record.counts["trained_head"]
    written = load_file(out / "adapter_model.safetensors")
    size = sum(tensor.numel() for tensor in written.values())
    assert size == told["parameters_after"] + told["head"]
    assert told["bytes_after"] == (out / "adapter_model.safetensors").stat().st_size
    assert 0 < told["kept_norm"] <= 1 and told["parameters_after"] < told["parameters_before"]

    base = AutoModelForSequenceClassification.from_pretrained(tiny_bert)
    old = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    whole, cut = (
        PeftModel.from_pretrained(
            AutoModelForSequenceClassification.from_pretrained(tiny_bert), folder
        )
        .merge_and_unload()
        .state_dict()
        for folder in (tmp_path / "run" / "adapter", out)
    )
    names = [f"{module}.weight" for module in told["ranks"]]
    lost = sum(float((whole[name] - cut[name]).double().square().sum()) for name in names)
    norm = sum(float((whole[name] - old[name]).double().square().sum()) for name in names)
    assert 1 - told["kept_norm"] == pytest.approx(lost / norm, abs=1e-3)
    card = (out / "README.md").read_text()
    assert "lora2_search.adapter" not in card and "cut to mean rank 1" in card


def test_without_a_rank_lora2_is_compressed_exactly_as_by_export(
    mine: Path, tmp_path: Path
) -> None:
    for verb in ("compress", "export"):
        assert cli(verb, "mine", "--out", tmp_path / verb).exit_code == 0
    ours, theirs = (
        load_file(tmp_path / verb / "adapter_model.safetensors") for verb in ("compress", "export")
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_people_are_told_ranks_norm_counts_and_sizes(mine: Path, tmp_path: Path) -> None:
    result = cli("compress", mine, "--rank", "1.5", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    for part in (
        "cut to mean rank 1.5, global",
        "18 kept in 12 matrices",
        "1.5 on average",
        "% of the squared Frobenius norm kept",
        "before",
        "MiB, before",
        "with peft alone",
    ):
        assert part in result.stdout
    assert cli("compress", mine, "--rank", 1, "--out", tmp_path / "out").exit_code == 2


@pytest.mark.parametrize(
    ("method", "arguments", "says"),
    [
        ("lora", [], "holds a LORA adapter, not LoRA²: without a rank"),
        ("lora2", ["--per-matrix"], "give their number with --rank"),
        ("dora", ["--rank", "2"], "DoRA also rescales"),
        ("full", ["--rank", "2"], "its method is full"),
        ("lora", ["--rank", "0"], "Every matrix was pruned to rank 0"),
        ("lora", ["--rank", "-1"], "at least 0"),
    ],
)
def test_what_cannot_be_cut_is_refused_in_words(
    method: str,
    arguments: list[str],
    says: str,
    tiny_bert: Path,
    reviews_csv: Path,
    tmp_path: Path,
) -> None:
    trained(tmp_path / "run", tiny_bert, reviews_csv, method=method)
    result = cli("compress", tmp_path / "run", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert says in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_raw_start_that_changed_the_base_is_refused_with_the_way_out(
    tiny_bert: Path, tmp_path: Path
) -> None:
    base = AutoModelForSequenceClassification.from_pretrained(tiny_bert)
    config = LoraConfig(target_modules=["query"], init_lora_weights="pissa")
    get_peft_model(base, config).save_pretrained(tmp_path / "raw")
    result = cli("compress", tmp_path / "raw", "--rank", 2, "--out", tmp_path / "out")
    assert result.exit_code == 2 and "path_initial_model_for_weight_conversion" in result.stderr


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_broken_file_is_told_in_words(file: str, mine: Path, tmp_path: Path) -> None:
    (mine / "adapter" / file).write_text('{"peft_type": "LORA2", "k": 0}')
    for verb in ("compress", "export"):
        result = cli(verb, mine, "--out", tmp_path / "out")
        assert result.exit_code == 2 and f"{file} is broken" in result.stderr
