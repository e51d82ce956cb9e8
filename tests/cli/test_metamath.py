"""The suite ``metamath`` as a user runs it offline: other data, a tiny model, real processes."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from tests.support.commands import run
from tests.support.metamath import small_suite, write_model, write_stand_in

pytestmark = pytest.mark.slow

TRAINED = ("base", "lora", "rslora", "lora-mlp", "dora")


def test_the_suite_runs_on_a_stand_in_and_is_compared_question_by_question(
    home_with_store: Path, tmp_path: Path
) -> None:
    changes = small_suite(write_stand_in(tmp_path / "both"), write_model(tmp_path / "model"))
    run("ablate", "--suite", "metamath", *(f"--set={change}" for change in changes))
    folder = home_with_store / "suites" / "metamath"
    runs = pd.read_csv(folder / "runs.csv")
    assert list(runs["status"]) == ["completed"] * 12
    assert runs.groupby("arm")["score"].mean()["lora"] > 0
    comparisons = pd.read_csv(folder / "comparisons.csv").query("role == 'named'")
    assert list(comparisons["comparison"]) == [f"{arm} − base" for arm in TRAINED[1:]]
    assert comparisons["new_sentences_p"].between(0, 1).all()
    # Two seeds may tie by chance: then the verdict names no test.
    assert "crossed random effects" in (folder / "report.md").read_text()
    run("runs", "frame", "metamath", "--to", "peft", "--out", tmp_path / "results")
    written = {name.split("--")[1] for name in os.listdir(tmp_path / "results")}
    assert written == {f"metamath-{arm}-seed{seed}.json" for arm in TRAINED for seed in range(2)}
