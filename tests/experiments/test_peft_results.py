"""Runs of task metamath as results of PEFT's method comparison, offline on a stand-in."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from lora2_search.cli.app import app
from lora2_search.config.suite.schema import load_suite
from lora2_search.errors import UserError
from lora2_search.experiments.peft_results import write_peft_results
from lora2_search.store.record import read_record
from lora2_search.training.loop.run import run
from tests.support.metamath import small_suite, write_model, write_stand_in
from tests.support.suites import draws, suite, write_suite

# What every result there holds, and of which type; None: what no record of ours knows.
RUN_INFO = {
    "created_at": str,
    "total_time": float,
    "experiment_name": str,
    "peft_branch": None,
    "peft_worktree_is_dirty": bool,
    "train_config": dict,
    "peft_config": dict,
    "error_msg": str,
}
TRAIN_INFO = {
    "accelerator_memory_reserved_avg": int,
    "accelerator_memory_max": int,
    "accelerator_memory_reserved_99th": int,
    "train_time": float,
    "file_size": int,
    "num_trainable_params": int,
    "num_total_params": int,
    "status": str,
    "metrics": list,
}
META_INFO = {
    "model_info": dict,
    "dataset_info": dict,
    "package_info": dict,
    "system_info": dict,
    "pytorch_info": None,
}
EVALUATION = {
    "step": int,
    "valid accuracy": float,
    "train loss": float,
    "train samples": int,
    "train time": None,
    "eval time": None,
    "tokens / sec": float,
    "mem allocated avg": None,
    "mem reserved avg": None,
    "elapsed time": float,
}
LAST = {
    "step": int,
    "test accuracy": float,
    "train loss": float,
    "train samples": int,
    "train total tokens": int,
    "forgetting": None,
}
PACKAGES = ("transformers", "peft", "datasets", "bitsandbytes", "torch")

ARMS = ("base", "lora", "no-training")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one run of three arms of the suite."""
    home = tmp_path_factory.mktemp("metamath")
    data, model = write_stand_in(home / "both"), write_model(home / "model")
    plan = load_suite("metamath", small_suite(data, model))
    folder = home / "suites" / "metamath"
    for info in plan.runs(folder):
        if info.arm in ARMS and info.config.seed == 0:
            run(info.config, info.folder)
    plan.write(folder)
    return home


@pytest.fixture
def home(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORA2_SEARCH_HOME", str(made))
    return made


def types(found: dict[str, Any]) -> dict[str, type | None]:
    return {key: None if value is None else type(value) for key, value in found.items()}


def result(home: Path, out: Path, arm: str) -> tuple[dict[str, Any], Path]:
    """Return the result of an arm's run, and the folder of the run."""
    write_peft_results("metamath", out)
    (path,) = out.glob(f"*--metamath-{arm}-seed0.json")
    return json.loads(path.read_text()), home / "suites" / "metamath" / "runs" / f"{arm}-seed0"


@pytest.mark.parametrize("arm", ["base", "lora"])
def test_a_result_has_the_keys_and_types_of_pefts(arm: str, home: Path, tmp_path: Path) -> None:
    written, _ = result(home, tmp_path, arm)
    assert {key: types(part) for key, part in written.items()} == {
        "run_info": RUN_INFO,
        "train_info": TRAIN_INFO,
        "meta_info": META_INFO,
    }
    *evaluations, last = written["train_info"]["metrics"]
    assert [types(item) for item in evaluations] == [EVALUATION] * 2 and types(last) == LAST
    packages = written["meta_info"]["package_info"]
    assert {f"{name}-{part}" for name in PACKAGES for part in ("version", "commit-hash")} <= {
        *packages
    }
    assert written["meta_info"]["dataset_info"].keys() == {"metamath", "gsm8k"}
    method = {"base": "lora2", "lora": "lora"}[arm]
    assert written["run_info"]["experiment_name"] == f"{method}/metamath-{arm}-seed0"
    assert written["run_info"]["peft_config"]["peft_type"] == method.upper()


def test_its_numbers_are_those_of_the_run(home: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    written, folder = result(home, tmp_path, "lora")
    info, record = written["train_info"], read_record(folder)
    assert record is not None
    said = pd.read_parquet(folder / "predictions.parquet").query("split == 'test'")
    first, second, last = info["metrics"]
    assert last["test accuracy"] == said["prediction"].mean() > 0
    assert [item["step"] for item in info["metrics"]] == [30, 60, 60]
    # Of one length all: 17 tokens each, with the one that ends them.
    assert (first["train samples"], last["train samples"]) == (120, 240)
    assert last["train total tokens"] == 240 * 17
    losses = {point.step: point.metrics["train/loss"] for point in record.history}
    assert first["train loss"] == pytest.approx(np.mean([losses[s] for s in range(1, 31)]))
    for later in (second, last):
        assert later["train loss"] == pytest.approx(np.mean([losses[s] for s in range(31, 61)]))
    weights = folder / "adapter" / "adapter_model.safetensors"
    trained = sum(tensor.numel() for tensor in load_file(weights).values())
    base = AutoModelForCausalLM.from_pretrained(home / "model").num_parameters()
    assert info["num_trainable_params"] == trained and info["num_total_params"] == base + trained
    assert info["file_size"] == weights.stat().st_size
    assert info["accelerator_memory_max"] == round((record.peak_memory_mb or 0) * 2**20)


def test_the_training_that_it_tells_is_that_of_the_comparison_where_nothing_changes_it(
    home: Path, tmp_path: Path
) -> None:
    told = result(home, tmp_path, "lora")[0]["run_info"]["train_config"]
    small = {"model_id", "dtype", "max_seq_length", "max_steps", "eval_steps"}
    assert {key: value for key, value in told.items() if key not in small} == {
        "batch_size": 4,
        "batch_size_eval": 50,
        "compile": False,
        "use_gc": False,
        "query_template": "Question: {query} Think step by step.\nAnswer:",
        "seed": 0,
        "grad_norm_clip": 1.0,
        "optimizer_type": "AdamW",
        "optimizer_kwargs": {"lr": 1e-2, "weight_decay": 0.1},
        "lr_scheduler": "cosine",
        "use_amp": False,
        "autocast_adapter_dtype": True,
        "generation_kwargs": {"max_new_tokens": 5},
        "attn_implementation": None,
        "init_kv_cache_prefix": None,
    }
    assert told["dtype"] == "float32" and (told["max_steps"], told["eval_steps"]) == (60, 30)


def cli(*arguments: object, code: int = 0) -> Result:
    found = CliRunner().invoke(app, ["runs", "frame", *map(str, arguments)])
    assert found.exit_code == code, found.output
    return found


def test_a_suite_or_one_of_its_runs_is_written_and_what_is_left_out_is_told(
    home: Path, tmp_path: Path
) -> None:
    told = " ".join(cli("metamath", "--to", "peft", "--out", tmp_path / "all").stdout.split())
    assert "metamath-no-training-seed0 is left out: it trains nothing" in told
    names = {"lora2--metamath-base-seed0.json", "lora--metamath-lora-seed0.json"}
    assert set(os.listdir(tmp_path / "all")) == names
    cli("metamath/lora-seed0", "--to", "peft", "--out", tmp_path / "one")
    (one,) = (tmp_path / "one").iterdir()
    assert one.read_bytes() == (tmp_path / "all" / one.name).read_bytes()
    assert "name a folder with --out" in cli("metamath", "--to", "peft", code=2).stderr


def test_what_is_no_result_of_the_comparison_is_refused(home: Path, tmp_path: Path) -> None:
    plan = suite(floor=None, arms={"no-regularisation": {"adapter.gamma": 0.0}}, seeds=2)
    write_suite(tmp_path / "suites/small", plan, draws({"base": 0.8, "no-regularisation": 0.7}))
    with pytest.raises(UserError, match="but small is of task sentiment"):
        write_peft_results("small", tmp_path / "out", tmp_path)
    with pytest.raises(UserError, match="no run to write: .*: it trains nothing"):
        write_peft_results("metamath/no-training-seed0", tmp_path / "out")
    assert not (tmp_path / "out").exists()
