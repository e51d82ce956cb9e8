"""Health flags and diagnostics of whole runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lora2_search.store.record import RunRecord, read_record
from lora2_search.training.loop.run import run
from lora2_search.training.loop.trainer import Diverged
from tests.training.test_run import settings, stop_after

STRONG = {"adapter.gamma": 50.0, "adapter.init": "gaussian"}


def geometry_steps(record: RunRecord) -> list[int]:
    return [p.step for p in record.history if "geometry/outer" in p.metrics]


def evaluated_steps(record: RunRecord) -> list[int]:
    return [p.step for p in record.history if "validation/accuracy" in p.metrics]


def test_a_strong_regulariser_is_flagged_and_stays_so_when_the_run_is_taken_up(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv, **STRONG)
    whole = run(config, tmp_path / "whole")
    stop_after(config, tmp_path / "stopped", 2)
    halfway = read_record(tmp_path / "stopped")
    assert halfway and "regulariser" in [flag.name for flag in halfway.flags]
    assert run(config, tmp_path / "stopped").flags == whole.flags
    flag = next(flag for flag in whole.flags if flag.name == "regulariser")
    assert flag.setting == "adapter.gamma" and f"of {whole.total_steps} steps" in flag.detail


def test_an_ordinary_run_has_no_flag_and_leaves_its_rank_pattern(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    record = run(settings(tiny_bert, reviews_csv), tmp_path)
    assert record.flags == []
    told = json.loads((tmp_path / "rank_pattern.json").read_text())
    assert told["modules"] == record.rank_pattern and told["r"] == 4
    assert told["layers"] == ["0", "1"] and len(told["kinds"]) == 6


def test_a_run_that_diverges_keeps_the_flag_of_its_gradient(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    broken = {"training.lr": 1e30, "training.max_grad_norm": None}
    with pytest.raises(Diverged):
        run(settings(tiny_bert, reviews_csv, **broken), tmp_path)
    record = read_record(tmp_path)
    assert record and record.status == "failed"
    assert {flag.name: flag.setting for flag in record.flags}["gradient"] == (
        "training.max_grad_norm"
    )


def test_gradients_are_watched_without_clipping_too_and_stay_as_they_are(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    free = run(
        settings(tiny_bert, reviews_csv, **{"training.max_grad_norm": None}), tmp_path / "free"
    )
    wide = run(
        settings(tiny_bert, reviews_csv, **{"training.max_grad_norm": 1e9}), tmp_path / "wide"
    )
    assert [p.metrics for p in free.history] == [p.metrics for p in wide.history]
    assert all("train/grad_norm" in point.metrics for point in free.history)


@pytest.mark.parametrize("every", [0, 1, 3])
def test_planes_and_ranks_are_looked_at_every_nth_evaluation(
    every: int, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv, **{"training.diagnostics": every})
    record = run(config, tmp_path)
    stops = evaluated_steps(record)
    assert len(stops) == 4
    assert geometry_steps(record) == (stops[every - 1 :: every] if every else [])
    if every:
        last: dict[str, Any] = record.history[stops[every - 1 :: every][-1] - 1].metrics
        assert {"geometry/inner", "geometry/overlap", "rank/importance_entropy"} <= last.keys()
        assert last["rank/lowest"] <= last["rank/median"] <= last["rank/highest"]


def test_diagnostics_change_nothing_else(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    records = []
    for every in (0, 1):
        config = settings(tiny_bert, reviews_csv, **{"training.diagnostics": every})
        records.append(run(config, tmp_path / str(every)))
    off, on = records
    for without, with_it in zip(off.history, on.history, strict=True):
        assert without.metrics.items() <= with_it.metrics.items()
    assert off.scores == on.scores


LORA = {"adapter.init": "lora", "adapter.gamma": 1.5, "training.lr": 1e-4}


def test_the_size_of_u1s_term_at_the_lora_start_is_no_failure_signature(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    record = run(settings(tiny_bert, reviews_csv, **LORA), tmp_path)
    first = record.history[0].metrics
    # It outweighs the task's loss, and says only where u₁ began.
    assert first["train/u1"] > first["train/loss"] and record.flags == []


def test_planes_that_outweigh_the_task_from_the_lora_start_are_flagged(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    strong = {**LORA, "adapter.gamma": 500.0, "training.lr": 0.05}
    record = run(settings(tiny_bert, reviews_csv, **strong), tmp_path)
    assert [flag.name for flag in record.flags if flag.name == "regulariser"]
