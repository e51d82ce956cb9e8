from __future__ import annotations

from pathlib import Path
from typing import Any

from lora2_search.ablation.runner import SuiteResult
from lora2_search.cli.commands.ablate import arms_without_a_run, failure_lines
from lora2_search.config.suite.schema import validate_suite
from lora2_search.config.yaml import Source
from lora2_search.store.record import RunRecord


def result(tmp_path: Path, failed: set[str], **more: Any) -> SuiteResult:
    arms = {"one-plane": {"adapter.k": []}, "head-only": {"method": "head-only"}}
    data = {"name": "s", "task": "sentiment", "arms": arms, "seeds": 2, **more}
    suite = validate_suite(Source(data))
    runs = (*suite.tuning_runs(tmp_path), *suite.runs(tmp_path))
    for run in runs:
        record = RunRecord(fingerprint=run.config.fingerprint(), config=run.config.model_dump())
        record.status = "failed" if run.key in failed else "completed"
        record.scores = {} if run.key in failed else {"validation/accuracy": 0.5}
        record.error = "Diverged: lower training.lr" if run.key in failed else None
        run.folder.mkdir(parents=True)
        record.write(run.folder)
    return SuiteResult(suite.name, tmp_path, suite, runs)


def test_runs_that_failed_alike_are_told_in_one_line(tmp_path: Path) -> None:
    told = result(tmp_path, {"base-seed0", "one-plane-seed0", "one-plane-seed1"})
    assert failure_lines(told) == [
        "base-seed0: Diverged: lower training.lr",
        "2 runs of one-plane: Diverged: lower training.lr",
    ]


def test_an_arm_without_a_completed_run_fails_the_command(tmp_path: Path) -> None:
    assert arms_without_a_run(result(tmp_path / "a", {"base-seed0", "one-plane-seed0"})) == set()
    told = result(tmp_path / "b", {"one-plane-seed0", "one-plane-seed1"})
    assert arms_without_a_run(told) == {"one-plane"}


def test_completed_tuning_does_not_make_up_for_an_arm_without_a_completed_run(
    tmp_path: Path,
) -> None:
    grid = {"one-plane": {"training.lr": [1e-2, 2e-2]}}
    failed = {"one-plane-seed0", "one-plane-seed1"}
    told = result(tmp_path, failed, tuning={"arms": grid, "seeds": 1})
    assert len(told.runs) == 8 and arms_without_a_run(told) == {"one-plane"}
