from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lora2_search.config.run import RunConfig, with_settings
from lora2_search.errors import ConfigError, Preempted, UserError
from lora2_search.execution.result import STANDARD_ERROR, of_report
from lora2_search.store.record import Point, read_record
from lora2_search.training.kinds.labelled import LabelledPredictions
from lora2_search.training.loop.evaluate import standard_error
from lora2_search.training.loop.run import iterate, run
from lora2_search.training.loop.trainer import Diverged
from tests.support.methods import METHODS
from tests.support.patience import BUSY


def settings(model: Path, data: Path, **more: Any) -> RunConfig:
    return with_settings(
        RunConfig(task="sentiment"),
        {
            "task": "custom",
            "data.path": str(data),
            "data.text": ["review"],
            "data.label": "verdict",
            "model.name_or_path": str(model),
            "adapter.k": 4,
            "adapter.r": 4,
            "adapter.target_rank": 2,
            "adapter.init": "orthonormal",
            "training.epochs": 2.0,
            "training.batch_size": 8,
            "training.lr": 5e-3,
            "training.evaluations": 4,
            "training.device": "cpu",
            **more,
        },
    )


def comparable(folder: Path) -> dict[str, Any]:
    """What must be equal, bit for bit, between two runs of the same configuration."""
    record = json.loads((folder / "record.json").read_text())
    points = [{"step": p["step"], **p["metrics"]} for p in record["history"]]
    files = sorted((folder / "adapter").glob("*.safetensors"))
    return {
        "points": points,
        "scores": record["scores"],
        "ranks": record["rank_pattern"],
        "weights": [path.read_bytes() for path in files],
        "predictions": pd.read_parquet(folder / "predictions.parquet").to_dict(),
    }


def stop_after(config: RunConfig, folder: Path, intervals: int) -> None:
    steps = iterate(config, folder)
    for _ in range(intervals):
        next(steps)
    steps.close()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_leaves_a_record_and_predictions_that_give_its_scores(
    method: str, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv, method=method)
    record = run(config, tmp_path)
    assert record == read_record(tmp_path)
    assert record.status == "completed" and record.ended_ms and record.commit
    said = pd.read_parquet(tmp_path / "predictions.parquet")
    for split in ("validation", "test"):
        rows = said[said.split == split]
        assert len(rows) == record.sizes[split]
        assert np.mean(rows.label == rows.prediction) == pytest.approx(record.score(split))
        logits = rows[["score_0", "score_1"]].to_numpy()
        assert (logits.argmax(1) == rows.prediction).all()
    assert record.history[-1].step == record.total_steps == 2 * np.ceil(record.sizes["train"] / 8)
    assert {"train", "evaluation", "setup", "total"} <= record.timings.keys()
    adapted = method in ("lora2", "adalora")
    assert bool(record.rank_pattern) == adapted
    if adapted:
        assert sum(record.rank_pattern.values()) == 2 * len(record.rank_pattern)
        assert record.counts["kept_adapter"] < record.counts["trained_adapter"]


def test_a_run_that_is_stopped_has_its_time_and_a_pause_is_no_part_of_it(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv, method="lora")
    begun = time.perf_counter()
    stop_after(config, tmp_path, 1)
    worked = time.perf_counter() - begun
    stopped = read_record(tmp_path)
    assert stopped is not None and stopped.kept_rank is None
    assert stopped.seconds is not None and 0 < stopped.seconds <= worked
    time.sleep(0.5)
    begun = time.perf_counter()
    record = run(config, tmp_path)
    worked += time.perf_counter() - begun
    assert record.seconds is not None and stopped.seconds < record.seconds <= worked
    parts = sum(value for name, value in record.timings.items() if name != "total")
    assert parts <= record.seconds


@pytest.mark.parametrize(
    ("method", "init"),
    [
        *((m, "orthonormal") for m in METHODS),
        ("lora2", "lora"),
    ],
)
@pytest.mark.parametrize("intervals", [1, 3])
def test_a_run_stopped_and_taken_up_equals_one_that_never_stopped(
    method: str, init: str, intervals: int, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    dropout = {"adapter.lora_dropout": 0.2, "training.accumulation": 2, "adapter.init": init}
    config = settings(tiny_bert, reviews_csv, method=method, **dropout)
    run(config, tmp_path / "whole")
    stop_after(config, tmp_path / "stopped", intervals)
    run(config, tmp_path / "stopped")
    assert comparable(tmp_path / "stopped") == comparable(tmp_path / "whole")


@pytest.mark.parametrize("asked", [1, 17, 40])
def test_a_run_that_has_to_go_leaves_at_the_next_point_and_goes_on_exactly_there(
    asked: int, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv, **{"adapter.lora_dropout": 0.2})
    run(config, tmp_path / "whole")
    answers = iter([False] * (asked - 1) + [True])
    with pytest.raises(Preempted, match="left at step"):
        for _ in iterate(config, tmp_path / "moved", has_to_go=lambda: next(answers)):
            pass
    record = read_record(tmp_path / "moved")
    assert record is not None
    assert record.status == "running"
    assert record.error is None
    run(config, tmp_path / "moved")
    assert comparable(tmp_path / "moved") == comparable(tmp_path / "whole")


def test_a_run_after_others_in_the_same_process_equals_a_run_in_a_fresh_one(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv)
    run(settings(tiny_bert, reviews_csv, method="lora", seed=3), tmp_path / "lora")
    run(settings(tiny_bert, reviews_csv, method="head-only"), tmp_path / "head")
    with pytest.raises(Diverged):
        run(settings(tiny_bert, reviews_csv, **{"training.lr": 1e30}), tmp_path / "crashed")
    run(config, tmp_path / "warm")
    child = _child(config, tmp_path / "fresh")
    assert child.wait() == 0
    assert comparable(tmp_path / "warm") == comparable(tmp_path / "fresh")


def test_a_run_killed_with_sigkill_and_taken_up_equals_the_uninterrupted_one(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv, **{"training.epochs": 8.0, "training.evaluations": 8})
    child = _child(config, tmp_path / "killed")
    deadline = time.monotonic() + 60 * BUSY
    while len(list((tmp_path / "killed" / "checkpoint").glob("[0-9]*"))) < 2:
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    interrupted = read_record(tmp_path / "killed")
    assert interrupted and interrupted.status == "running"
    run(config, tmp_path / "killed")
    run(config, tmp_path / "whole")
    assert comparable(tmp_path / "killed") == comparable(tmp_path / "whole")


def _child(config: RunConfig, folder: Path) -> subprocess.Popen[bytes]:
    code = (
        "import sys, torch; from pathlib import Path\n"
        "from lora2_search.config.run import RunConfig\n"
        "from lora2_search.training.loop.run import run\n"
        f"torch.set_num_threads({_threads()})\n"
        "run(RunConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]))"
    )
    arguments = [sys.executable, "-c", code, config.model_dump_json(), str(folder)]
    return subprocess.Popen(arguments, env=os.environ.copy())


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def test_a_complete_run_is_returned_and_reported_once_more_without_training(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv)
    first = run(config, tmp_path)
    before = (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns
    reports = list(iterate(config, tmp_path))
    assert [r.done for r in reports] == [True]
    assert list(reports[0].points) == first.history
    assert (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns == before


def test_reports_carry_every_point_once_and_all_of_them_again_after_a_stop(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv)
    steps = iterate(config, tmp_path)
    seen: list[Point] = [*next(steps).points, *next(steps).points]
    steps.close()
    again = iterate(config, tmp_path)
    assert list(next(again).points) == seen
    rest = [point for report in again for point in report.points]
    record = read_record(tmp_path)
    assert record and [*seen, *rest] == record.history


def test_a_diverged_run_fails_and_its_record_says_what_to_turn(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv, **{"training.lr": 1e30})
    with pytest.raises(Diverged, match="training.lr"):
        run(config, tmp_path)
    record = read_record(tmp_path)
    assert record and record.status == "failed" and "no longer finite" in (record.error or "")


def test_a_folder_of_another_run_is_refused(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    stop_after(settings(tiny_bert, reviews_csv), tmp_path, 1)
    with pytest.raises(UserError, match="settings differ"):
        run(settings(tiny_bert, reviews_csv, seed=1), tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"data.path": "/nowhere/x.csv"}, "no file"),
        ({"data.label": "verdikt"}, 'did you mean "verdict"'),
        ({"data.text": ["revue"]}, 'did you mean "review"'),
        ({"model.name_or_path": "/nowhere/model"}, "no folder"),
        ({"adapter.t_init": 50, "adapter.t_final": 50}, "t_init"),
        ({"data.test_size": 240}, "leaves nothing to train on"),
        ({"data.kind": "regression"}, "must hold numbers"),
        ({"data.label": "review"}, "is also the text"),
    ],
)
def test_what_cannot_be_run_is_refused_in_words(
    change: dict[str, Any], says: str, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    with pytest.raises((ConfigError, ValueError), match=says):
        run(settings(tiny_bert, reviews_csv, **change), tmp_path)


def test_numbers_are_learned_as_numbers(tiny_bert: Path, reviews_csv: Path, tmp_path: Path) -> None:
    config = settings(tiny_bert, reviews_csv, **{"data.label": "stars"})
    record = run(config, tmp_path)
    assert record.metric == "pearson" and {"test/pearson", "test/spearman"} <= record.scores.keys()


@pytest.mark.parametrize("task", ["rte", "stsb", "mnli"])
def test_a_glue_shaped_folder_trains_deberta_and_no_fresh_weight_stays_frozen(
    task: str, tiny_deberta: Path, glue_folder: Path, tmp_path: Path
) -> None:
    change = {"task": task, "data.path": str(glue_folder), "data.text": None, "data.label": None}
    record = run(settings(tiny_deberta, glue_folder, **change), tmp_path)
    expected = {"rte": 0, "stsb": 1, "mnli": 1}[task]
    tests = [name for name in record.scores if name.startswith("test")]
    assert len(tests) == 1 + expected
    trained = (tmp_path / "adapter" / "adapter_model.safetensors").read_bytes()
    assert b"pooler.dense.weight" in trained and b"classifier.weight" in trained


@pytest.mark.parametrize("protocol", ["clean", "paper"])
def test_the_protocol_decides_what_is_chosen_on(
    protocol: str, tiny_deberta: Path, glue_folder: Path, tmp_path: Path
) -> None:
    change = {
        "task": "rte",
        "data.path": str(glue_folder),
        "data.text": None,
        "data.label": None,
        "protocol": protocol,
    }
    record = run(settings(tiny_deberta, glue_folder, **change), tmp_path)
    paper = protocol == "paper"
    assert record.sizes["validation"] == (40 if paper else 16)
    assert record.sizes["train"] == (160 if paper else 144)
    assert (record.score("test") == record.score("validation")) or not paper


def test_a_run_that_is_not_to_score_the_test_split_leaves_it_alone(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv, **{"training.score_test": False})
    record = run(config, tmp_path)
    assert record.status == "completed" and record.score("test") is None
    assert record.score("validation") is not None and record.sizes["test"] > 0
    assert set(pd.read_parquet(tmp_path / "predictions.parquet").split) == {"validation"}


@pytest.mark.parametrize("metric", [None, "f1"])
def test_reports_tell_the_standard_error_of_what_the_run_is_judged_by(
    metric: str | None, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv, **{"training.steps": 2, "training.evaluations": 1})
    (report,) = iterate(config, tmp_path, metric)
    said = pd.read_parquet(tmp_path / "predictions.parquet").query("split == 'validation'")
    predictions = LabelledPredictions(
        said["label"].to_numpy(), said.filter(like="score_").to_numpy(), "classification"
    )
    expected = standard_error(predictions, metric or "accuracy")
    assert report.standard_error == pytest.approx(expected)
    assert of_report(report)[STANDARD_ERROR] == report.standard_error


def test_a_metric_that_is_undefined_on_the_test_split_is_in_no_score(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    held_out = tmp_path / "test.csv"
    held_out.write_text("review,verdict\n" + "plain,bad\n" * 3)
    more = {"data.test_path": str(held_out), "training.steps": 2, "training.evaluations": 1}
    record = run(settings(tiny_bert, reviews_csv, **more), tmp_path / "run")
    undefined = {"test/roc_auc", "test/f1"}
    assert "validation/roc_auc" in record.scores and "test/accuracy" in record.scores
    assert not undefined & {*record.scores, *record.constant}
    assert "test/f1" not in (tmp_path / "run" / "adapter" / "README.md").read_text()


def test_a_run_is_refused_where_its_own_metric_is_undefined(
    tiny_bert: Path, tmp_path: Path
) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text("review,verdict\n" + "".join(f"t{i},{i / 7}\n" for i in range(30)))
    chosen = settings(tiny_bert, path, **{"data.validation_size": 1})
    with pytest.raises(ConfigError, match="validation has 1 example, all labelled"):
        run(chosen, tmp_path / "run")


def test_the_standard_error_is_infinite_where_the_metric_is_undefined_without_a_group() -> None:
    labels = np.array([1.0] + [0.0] * 39)
    logits = np.stack([1 - labels, labels], axis=1).astype(np.float32)
    assert np.isposinf(standard_error(LabelledPredictions(labels, logits, "classification"), "f1"))
