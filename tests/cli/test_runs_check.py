"""``runs check``: what is damaged, what it costs, what a repair brings back."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from lora2_search.cli.app import app
from lora2_search.config.run_info import RunInfo
from lora2_search.experiments.rebuild import rebuilt_record
from lora2_search.store.lock import lock_folder
from lora2_search.store.record import Point, RunRecord, read_record
from lora2_search.tracking.spool.observer import ParentInfo, SpoolObserver
from lora2_search.training.events import Report
from tests.support.language import settings
from tests.support.suites import suite, write_run

KEPT = ("fingerprint", "status", "metric", "history", "scores", "counts", "timings", "total_steps")


def tensors(path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))


def checkpoint(run: RunInfo, record: RunRecord, step: int) -> Path:
    folder = run.folder / "checkpoint" / f"{step:08d}"
    tensors(folder / "state.safetensors")
    history = [p.model_dump() for p in record.history if p.step <= step]
    state = {"step": step, "history": history, "timings": {"train": 1.0}, "health": {}}
    (folder / "state.json").write_text(json.dumps(state))
    return folder


def told(run: RunInfo, record: RunRecord) -> Report:
    points = tuple(record.history)
    return Report(1, 1, points[-1].step, 6, 0.8, 8, points, done=True)


@pytest.fixture
def arms(own_home: Path) -> dict[str, RunInfo]:
    """A suite of four complete runs, tracked, and two under way with two checkpoints."""
    plan = suite(name="arms", seeds=2)
    folder = own_home / "suites" / "arms"
    folder.mkdir(parents=True)
    plan.write(folder)
    runs = {run.key: run for run in plan.runs(folder)}
    spool = SpoolObserver(folder, ParentInfo(kind="suite", name="arms", config=plan.base))
    for number, run in enumerate(runs.values()):
        under_way = number in (0, 1)
        scores = {"validation/accuracy": 0.8, "test/accuracy": 0.75}
        points = [
            Point(step=s, time_ms=s, metrics={"train/loss": 1 / s, "validation/accuracy": 0.8})
            for s in range(2, 7)
        ]
        record = write_run(
            run.folder, run.config, np.ones(20, bool), rank_pattern={}, history=points,
            scores=scores, total_steps=6, status="running" if under_way else "completed",
        )  # fmt: skip
        (run.folder / "config.json").write_text(json.dumps(record.config))
        spool.started(run)
        spool.reported(run, told(run, record))
        if under_way:
            checkpoint(run, record, 3)
            checkpoint(run, record, 5)
        else:
            tensors(run.folder / "adapter" / "adapter_model.safetensors")
            spool.ended(run, "COMPLETE", record, "")
    spool.close("STOPPED")
    return runs


def run_check(*words: str, code: int) -> str:
    done = CliRunner().invoke(app, ["runs", "check", "arms", *words])
    assert done.exit_code == code, done.output
    return done.output


def test_a_whole_suite_is_said_to_be_so(arms: dict[str, RunInfo]) -> None:
    assert run_check(code=0) == "suite arms: every file is whole\n"


@pytest.mark.parametrize("how", [b"", b"{", None])
def test_the_record_of_a_completed_run_is_made_again_from_its_spool(
    arms: dict[str, RunInfo], how: bytes | None
) -> None:
    folder = list(arms.values())[-1].folder
    before = read_record(folder)
    assert before is not None
    (folder / "record.json").unlink()
    if how is not None:
        (folder / "record.json").write_bytes(how)
    said = run_check(code=1)
    assert f"runs/{folder.name}/record.json: it is " in said
    assert "costs: a resume trains this run again from its beginning" in said
    assert "1 of 1 can be mended: lora2-search runs check arms --repair" in said
    assert "mended: the record is made again: completed, 6 steps" in run_check("--repair", code=0)
    after = read_record(folder)
    assert after is not None
    assert {name: getattr(after, name) for name in KEPT} == {
        name: getattr(before, name) for name in KEPT
    }
    assert (folder / "record.json.damaged").exists() == (how is not None)
    assert run_check(code=0) == "suite arms: every file is whole\n"


def test_the_record_of_a_run_under_way_is_made_again_from_its_last_whole_checkpoint(
    arms: dict[str, RunInfo],
) -> None:
    folder = next(iter(arms.values())).folder
    (folder / "record.json").write_text("x")
    newest = folder / "checkpoint" / "00000005" / "state.safetensors"
    newest.write_bytes(newest.read_bytes()[:-3])
    said = run_check(code=1)
    assert "costs: a resume trains this run again from step 3" in said
    assert "state.safetensors: its last 3 bytes are missing" in said
    assert "a resume refuses it; without it the run goes on from step 3" in said
    run_check("--repair", code=0)
    record = read_record(folder)
    assert record is not None
    assert (record.status, [point.step for point in record.history]) == ("running", [2, 3])
    assert [path.name for path in (folder / "checkpoint").iterdir()] == ["00000003"]


def test_what_cannot_be_mended_is_said_with_its_cost_and_is_left_alone(
    arms: dict[str, RunInfo], own_home: Path
) -> None:
    folder = list(arms.values())[-1].folder
    (folder / "predictions.parquet").write_bytes(b"PAR1")
    adapter = folder / "adapter" / "adapter_model.safetensors"
    adapter.write_bytes(adapter.read_bytes()[:20])
    found: dict[str, Any] = json.loads(run_check("--repair", "--json", code=1))
    costs = {Path(item["path"]).name: item["cost"] for item in found["findings"]}
    assert costs == {
        "predictions.parquet": "scores stand; comparisons that need single predictions leave the "
        "run out",
        "adapter_model.safetensors": "the adapter cannot be loaded or exported; scores and report "
        "stand",
    }
    (own_home / "suites" / "arms" / "suite.yaml").write_text("")
    assert "suite.yaml: " in (said := run_check(code=1))
    assert "it can be neither resumed nor shown until this is put right" in said


def test_nothing_is_mended_while_the_suite_runs(arms: dict[str, RunInfo], own_home: Path) -> None:
    with lock_folder(own_home / "suites" / "arms"):
        assert "is being run by process" in run_check("--repair", code=2)


@pytest.mark.parametrize(
    ("more", "metric"),
    [
        ({"data__kind": "generation"}, "exact_match"),
        ({"data__kind": "choice"}, "accuracy"),
        ({"language__max_new_tokens": 0}, "token_accuracy"),
    ],
)
def test_the_record_of_a_language_models_run_is_rebuilt(
    more: dict[str, Any], metric: str, own_home: Path, tmp_path: Path
) -> None:
    config = settings(tmp_path / "model", tmp_path / "rows.jsonl", **more)
    run = RunInfo("mine", "mine", config, {}, own_home / "suites" / "arms" / "runs" / "mine")
    points = [Point(step=s, time_ms=s, metrics={f"validation/{metric}": s / 10}) for s in (2, 5)]
    checkpoint(run, RunRecord(fingerprint="", config={}, history=points), 5)
    (run.folder / "config.json").write_text(config.model_dump_json())
    rebuilt = rebuilt_record(own_home / "suites" / "arms", run.folder)
    assert rebuilt is not None
    assert (rebuilt.metric, rebuilt.score("validation")) == (metric, 0.5)
