from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lora2_search.analysis.front import Outcome
from lora2_search.cli.console.results import command, print_study, study_summary
from lora2_search.cli.console.rows import print_json, print_rows
from lora2_search.config.space.schema import load_space
from lora2_search.search.study import Study
from lora2_search.search.trial import StudyTrial
from lora2_search.store.record import Flag, RunRecord, read_record

COUNTS = {
    "trained_adapter": 168_480,
    "kept_adapter": 160_000,
    "compressed_adapter": 90_000,
    "trained_head": 148_610,
}
PARAMS = {"training.lr": 0.0083125, "adapter.k": 4, "adapter.target_rank": 3, "adapter.gamma": 0.1}


def record(folder: Path, validation: float, test: float) -> None:
    scores = {"validation/accuracy": validation, "test/accuracy": test}
    scores |= {"validation/f1": validation / 2, "test/f1": test / 2}
    folder.mkdir(parents=True)
    RunRecord(
        fingerprint="f",
        status="completed",
        config={},
        metric="accuracy",
        scores=scores,
        counts=COUNTS,
    ).write(folder)


def study(
    folder: Path,
    *trials: tuple[str, float | None],
    reference: bool = True,
    changes: Sequence[str] = (),
) -> Study:
    made = []
    for number, (state, score) in enumerate(trials):
        place = folder / "trials" / f"{number:05d}"
        if score is not None:
            record(place, score, score - 0.01)
        reason = "" if score is not None else "diverged: the score is NaN at step 3"
        outcome = None if score is None else Outcome(number, (score,), {})
        made.append(StudyTrial(number, state, PARAMS, score, {}, reason, place, outcome))
    if reference:
        record(folder / "reference" / "head-only", 0.67, 0.66)
    space = load_space("quickstart", ["name=mine", *changes])
    return Study("mine", folder, space, tuple(made))


def told(item: Study, capsys: pytest.CaptureFixture[str]) -> str:
    print_study(item, study_summary(item, None, "sqlite:////x/mlflow.db"))
    return capsys.readouterr().out


def test_the_winner_stands_against_head_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = told(study(tmp_path, ("COMPLETE", 0.78), ("PRUNED", None), ("COMPLETE", 0.79)), capsys)
    rows = [line.split() for line in text.splitlines()]
    assert ["winner", "(trial", "2)", "0.7900", "0.7800"] in rows
    assert ["head", "only", "0.6700", "0.6600"] in rows
    assert ["difference", "+0.1200", "+0.1200"] in rows
    assert "3 trials (2 complete, 1 pruned)" in text
    assert "training.lr=0.00831, adapter.k=4" in text
    assert "168,480 trained, 160,000 kept after pruning, 90,000 compressed" in text
    assert "lora2-search train --from-study mine" in text
    assert str(tmp_path / "report.html") in text
    assert "lora2-search ui mine" in text


@pytest.mark.parametrize(
    ("config", "plain"),
    [
        ({"method": "pissa"}, True),
        ({"method": "dora"}, False),
        ({"method": "full"}, False),
        ({"method": "peft", "peft": {"peft_type": "LORA"}}, True),
        ({"method": "peft", "peft": {"peft_type": "LORA", "use_dora": True}}, False),
        ({"method": "peft", "peft": {"peft_type": "OFT"}}, False),
    ],
)
def test_only_what_becomes_a_plain_lora_is_said_to(
    config: dict[str, Any], plain: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item = study(tmp_path, ("COMPLETE", 0.78))
    (trial,) = item.trials
    read = read_record(trial.folder)
    assert read is not None
    read.model_copy(update={"config": config}).write(trial.folder)
    text = told(item, capsys)
    assert "168,480 trained" in text and ("plain LoRA" in text) == plain


def test_another_objective_is_told_by_its_name_and_its_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ["task=mrpc", "objective.metric=f1"]
    text = told(study(tmp_path, ("COMPLETE", 0.78), changes=changes), capsys)
    rows = [line.split() for line in text.splitlines()]
    assert ["f1", "validation", "test"] in rows
    assert ["winner", "(trial", "0)", "0.3900", "0.3850"] in rows
    assert ["head", "only", "0.3350", "0.3300"] in rows
    assert "by its f1 on the validation split" in text


def test_the_winner_s_health_flags_are_told_with_the_setting_to_turn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item = study(tmp_path, ("COMPLETE", 0.78), ("COMPLETE", 0.77))
    for trial, name in zip(item.trials, ("gradient", "memory"), strict=True):
        read = read_record(trial.folder)
        assert read is not None
        flag = Flag(name=name, detail="it leapt", setting="training.lr")
        read.model_copy(update={"flags": [flag]}).write(trial.folder)
    text = told(item, capsys)
    assert "Health: gradient: it leapt; turn training.lr" in text and "memory" not in text
    result = study_summary(item, None, "sqlite:////x/mlflow.db")
    assert result.winner is not None
    assert [flag.model_dump() for flag in result.winner.flags] == [
        {"name": "gradient", "detail": "it leapt", "setting": "training.lr"}
    ]


def test_a_study_without_a_complete_trial_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item = study(tmp_path, ("FAIL", None), ("FAIL", None))
    text = told(item, capsys)
    assert "no winner" in text
    assert text.count("diverged: the score is NaN at step 3") == 1
    assert study_summary(item, None, "sqlite:////x/mlflow.db").winner is None


def test_without_a_reference_the_winner_stands_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = told(study(tmp_path, ("COMPLETE", 0.78), reference=False), capsys)
    assert ["difference", "-", "-"] in [line.split() for line in text.splitlines()]


def test_the_result_is_plain_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = study(tmp_path, ("COMPLETE", 0.78))
    print_json(study_summary(item, tmp_path / "my store", "sqlite:////x/mlflow.db"))
    result = json.loads(capsys.readouterr().out)
    assert result["winner"]["settings"] == PARAMS
    head_only = result["head_only"]
    assert (head_only["metric"], head_only["status"]) == ("accuracy", "completed")
    assert (head_only["validation"], head_only["test"]) == (0.67, 0.66)
    assert result["winner"]["train"].endswith(f"--storage '{tmp_path / 'my store'}'")


def test_a_command_hides_passwords_and_leaves_the_default_store_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert command("ui", "a b") == "lora2-search ui 'a b'"
    uri = "postgresql://me:secret@host/db"
    assert "secret" not in command("ui", "x", tracking_uri=uri)
    assert "postgresql://me:" in command("ui", "x", tracking_uri=uri)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert command("ui", "x", tracking_uri=uri) == "lora2-search ui x"


def test_nan_is_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [math.nan, 1.5], "b": {"c": math.inf}})
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5], "b": {"c": None}}


def test_rows_are_whole_lines_without_empty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    wide = "x" * 120
    print_rows([{"run": wide, "adapter.k": 4, "error": ""}, {"run": "b[1]", "adapter.k": None}])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "k"]
    assert lines[1].split() == [wide, "4"]
    assert lines[2].split() == ["b[1]"]


RUN_ROW = {
    "run": "without-orthogonality-seed10",
    "state": "completed",
    "validation": "0.8712",
    "test": "84.12 ± 0.50 %",
    "adapter.gamma": 0.0123,
    "parameters": "168,480",
    "error": "ValueError: the file /somewhere/far/away/in/a/folder.csv is gone",
}


def test_a_narrow_terminal_gets_the_first_columns_whole_and_the_names_of_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_rows([RUN_ROW], wide=False, width=80)
    head, row, rest = capsys.readouterr().out.splitlines()
    assert row.split("  ")[-1].strip() == "0.0123" and "84.12 ± 0.50 %" in row
    assert max(map(len, (head, row))) <= 80
    assert rest == "Not shown: parameters, error. --wide shows every column."


@pytest.mark.parametrize("wide", [True, None])
def test_with_wide_or_in_a_verb_without_it_every_column_is_printed(
    wide: bool | None, capsys: pytest.CaptureFixture[str]
) -> None:
    print_rows([RUN_ROW], wide=wide, width=60)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].rstrip().endswith("folder.csv is gone")


def test_a_winner_that_ties_and_beats_nothing_is_not_sold_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item = study(tmp_path, ("COMPLETE", 0.67), ("PRUNED", None), ("COMPLETE", 0.67))
    text = told(item, capsys)
    assert "But: The winner is no better than head-only on the validation split." in text
    assert "But: Trials 0, 2 tie; the first is shown." in text
    winner = study_summary(item, None, "sqlite:////x/mlflow.db").winner
    assert winner is not None and len(winner.caveats) == 2


def test_a_clear_winner_has_no_but(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(study(tmp_path, ("COMPLETE", 0.78), ("COMPLETE", 0.79)), capsys)
    assert "But:" not in text


def test_no_difference_is_not_written_as_minus_zero(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = told(study(tmp_path, ("COMPLETE", 0.67 - 1e-9)), capsys)
    assert "-0.0000" not in text
    assert ["difference", "+0.0000", "+0.0000"] in [line.split() for line in text.splitlines()]


def test_a_reference_stands_between_the_winner_and_head_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item = study(tmp_path, ("COMPLETE", 0.78))
    record(tmp_path / "reference" / "lora", 0.80, 0.79)
    text = told(item, capsys)
    rows = [line.split() for line in text.splitlines()]
    shown = rows[rows.index(["accuracy", "validation", "test"]) + 1 :][:5]
    assert shown == [
        ["winner", "(trial", "0)", "0.7800", "0.7700"],
        ["lora", "(lr=0.001)", "0.8000", "0.7900"],
        ["head", "only", "0.6700", "0.6600"],
        ["winner", "−", "lora", "-0.0200", "-0.0200"],
        ["winner", "−", "head", "only", "+0.1100", "+0.1100"],
    ]
    assert "But: The winner is no better than lora on the validation split." in text
    lora = study_summary(item, None, "sqlite:////x/mlflow.db").references["lora"]
    assert lora.settings == {"method": "lora", "training.lr": 1e-3}
    assert (lora.validation, lora.test) == (0.80, 0.79)


def test_a_reference_that_failed_has_no_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item = study(tmp_path, ("COMPLETE", 0.78))
    place = tmp_path / "reference" / "lora"
    record(place, 0.80, 0.79)
    read = read_record(place)
    assert read is not None
    read.model_copy(update={"status": "failed"}).write(place)
    rows = [line.split() for line in told(item, capsys).splitlines()]
    assert ["lora", "(lr=0.001)", "-", "-"] in rows
    assert ["winner", "−", "lora", "-", "-"] in rows


def test_a_winner_at_the_edge_of_its_range_is_said_with_what_to_widen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item = study(tmp_path, ("COMPLETE", 0.78))
    best = replace(item.trials[0], params={**PARAMS, "training.lr": 0.0181})
    text = told(replace(item, trials=(best,)), capsys)
    assert "But: The winner's training.lr, 0.0181, is at the upper end of its range" in text
    assert "A wider range: training.lr: {type: float, low: " in text
