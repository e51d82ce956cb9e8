"""What a study of several objectives came to, as a user reads it: real storage, no training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora2_search.cli.commands.runs import show
from lora2_search.cli.console.results import print_study, study_summary
from lora2_search.cli.console.rows import print_json
from lora2_search.experiments.tune import study_parent, tag_outcomes
from lora2_search.search.study import load_study
from lora2_search.tracking.spool.observer import SpoolObserver
from lora2_search.tracking.spool.spool import read, run_path
from tests.support.spaces import space_of
from tests.support.trials import drive

SPACE = space_of(
    search={"adapter.k": {"type": "int", "low": 1, "high": 16}},
    objectives=[{"metric": "accuracy"}, {"metric": "compressed_parameters"}],
    constraints={"compressed_parameters": {"max": 12_000}},
    pick={"max_drop": 0.1},
    sampler={"name": "qmc"},
    trials=6,
)


def test_the_front_is_the_same_on_the_terminal_in_json_in_runs_show_and_in_tags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drive(tmp_path / "studies" / "tiny", SPACE, pruned=lambda number: number == 3)
    study = load_study("tiny", tmp_path)
    front = [trial.number for trial in study.pareto]
    assert len(front) > 1
    assert study.best is not None
    capsys.readouterr()

    summary = study_summary(study, tmp_path, "sqlite:////x/mlflow.db")
    print_json(summary)
    told = json.loads(capsys.readouterr().out)
    assert [row["trial"] for row in told["front"]] == front
    assert told["picked"] == "the best compressed_parameters within 0.1 of the best accuracy"
    assert told["winner"]["trial"] == study.best.number
    print_study(study, summary)
    text = capsys.readouterr().out
    assert f"Winner: trial {study.best.number}, by {told['picked']}." in text
    infeasible = told["infeasible"]
    broken = "trial breaks" if infeasible == 1 else "trials break"
    assert f"Constraints: {infeasible} complete {broken} them." in text
    starred = [line.split()[:2] for line in text.splitlines() if " * " in line]
    assert starred == [[str(study.best.number), "*"]]

    show("tiny", tmp_path, as_json=True)
    rows = {row["run"]: row["outcome"] for row in json.loads(capsys.readouterr().out)["runs"]}
    assert [number for number in range(6) if rows[f"trial {number}"].get("pareto")] == sorted(front)
    assert rows["trial 3"] == {}

    tag_outcomes(study, SpoolObserver(study.folder, study_parent(SPACE)))
    for trial in study.trials:
        tags = [r.tags for r in read(run_path(study.folder, trial.folder.name)).records]
        assert all(isinstance(tag, dict) for tag in tags)
        told_front = [tag["pareto"] for tag in tags]
        expected = [] if trial.outcome is None else ["yes" if trial.number in front else "no"]
        assert told_front == expected
