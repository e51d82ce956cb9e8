"""A winner on fresh seeds, as a user reads it everywhere: real storage, no training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lora2_search.analysis.baselines import standings
from lora2_search.analysis.study import read_study_table
from lora2_search.analysis.winner import Confirmation
from lora2_search.cli.commands.runs import list_all, show
from lora2_search.cli.console.results import print_study, study_summary
from lora2_search.cli.console.rows import print_json
from lora2_search.experiments.cleaning import garbage
from lora2_search.experiments.find_run import find_run
from lora2_search.experiments.train import run_of_winner
from lora2_search.experiments.tune import reported_scores, study_parent, tag_outcomes
from lora2_search.report.figures.study_numbers import StudyNumbers
from lora2_search.report.figures.study_panels import standings_panel
from lora2_search.report.pages.study import study_page
from lora2_search.report.pages.study_files import fresh_table, trial_table
from lora2_search.report.words.winner import fresh_caveats
from lora2_search.search.study import Study, load_study
from lora2_search.tracking.spool.observer import SpoolObserver
from lora2_search.tracking.spool.spool import Metrics, Tags, parent_path, read, run_path
from tests.support.spaces import space_of
from tests.support.trials import confirm, drive, seeded

SPACE = space_of(
    winner={"top": 3, "seeds": 4},
    references={"lora": {"method": "lora", "training.lr": 1e-3}},
    sampler={"name": "random"},
    trials=6,
)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    folder = tmp_path / "studies" / "tiny"
    drive(folder, SPACE, made=seeded)
    confirm(folder, SPACE)
    return load_study("tiny", tmp_path)


def flattered(found: Confirmation) -> str:
    assert found.optimism is not None and found.optimism.estimate is not None
    gap = 100 * found.optimism.estimate
    word = "flattered it by" if gap > 0 else "not flattered it:"
    return f"Selection had {word} {gap:+.2f} points"


def test_scores_of_fresh_seeds_are_not_called_what_the_winner_was_chosen_by(study: Study) -> None:
    panel = standings_panel(StudyNumbers(read_study_table(study.folder)))
    assert panel.figure is not None
    names = [trace["name"] for trace in panel.figure.to_plotly_json()["data"]]
    assert names == ["test (mean of fresh seeds)", "validation (mean of fresh seeds)"]
    assert panel.text.endswith("Nothing was chosen on these seeds.")


def test_the_terminal_json_and_runs_show_tell_the_means_of_fresh_seeds(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = study.winner
    assert found is not None and found.reported is not None and found.optimism is not None
    summary = study_summary(study, tmp_path, "sqlite:////x/mlflow.db")
    print_json(summary)
    told = json.loads(capsys.readouterr().out)
    assert told["winner"]["trial"] == found.trial
    assert told["winner"]["test"] == found.reported.test.estimate
    assert told["references"]["lora"]["test"] == found.baselines[1].fresh.test.estimate
    assert told["confirmed"]["optimism"][0] == found.optimism.estimate
    assert told["confirmed"]["seeds"] == {
        "search": [0], "choice": [1, 2, 3, 4], "report": [5, 6, 7, 8],
    }  # fmt: skip
    print_study(study, summary)
    text = " ".join(capsys.readouterr().out.split())
    assert f"Winner: trial {found.trial}, by its accuracy on the validation split, on" in text
    assert flattered(found) in text
    assert f"{found.reported.test.estimate:.4f}" in text

    show("tiny", tmp_path, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    rows = {row["run"]: row for row in shown["runs"]}
    assert shown["winner"] == told["confirmed"]["told"]
    tested = {name for name, row in rows.items() if row["test"] is not None}
    whose = (f"trial {found.trial}", "head-only", "lora")
    assert tested == {f"{name}, seed {seed}" for name in whose for seed in range(5, 9)}
    list_all(tmp_path, as_json=True)
    (row,) = json.loads(capsys.readouterr().out)
    assert row["best"] == f"trial {found.trial}"
    assert row["score"] == found.reported.validation.estimate


def test_page_tables_and_frame_hold_the_means_of_fresh_seeds(study: Study, tmp_path: Path) -> None:
    found = study.winner
    assert found is not None and found.reported is not None
    table = read_study_table(study.folder)
    page = study_page(table)
    assert flattered(found) in page
    assert f"{100 * (found.reported.test.estimate or 0):.2f} %" in page
    assert "over new seeds, on the same sentences" in page
    rows = standings(table)
    assert [row.name for row in rows] == ["winner", "head-only", "lora"]
    assert rows[0].test == found.reported.test
    assert rows[2].gap == found.baselines[1].gap
    trials = trial_table(table)
    assert [row["trial"] for row in trials if row["winner"]] == [found.trial]
    assert sum(row["choice"] is not None for row in trials) == 3
    runs = fresh_table(table)
    assert len(runs) == 3 * 4 + 3 * 4
    assert {row["role"] for row in runs if "test/accuracy" in row} == {"report"}
    frame = study.frame()
    assert list(frame.loc[frame["winner"] == True, "number"]) == [found.trial]  # noqa: E712


def test_mlflows_row_of_the_study_has_the_means_and_the_model_of_an_unchosen_run(
    study: Study, tmp_path: Path
) -> None:
    found, run = study.winner, run_of_winner(study)
    assert found is not None and found.reported is not None and run is not None
    assert run.key == f"{found.trial}-seed5"
    assert find_run("tiny", tmp_path).folder == run.folder
    assert find_run("tiny/head-only-seed6", tmp_path).record.config["method"] == "head-only"
    observer = SpoolObserver(study.folder, study_parent(SPACE))
    observer.close("COMPLETE", winner=run, scores=reported_scores(study))
    points = [r for r in read(parent_path(study.folder)).records if isinstance(r, Metrics)]
    values = {name: value for point in points for name, value in point.values.items()}
    assert values["score"] == found.reported.validation.estimate
    assert values["test/accuracy"] == found.reported.test.estimate
    assert found.optimism is not None
    assert values["winner/optimism"] == found.optimism.estimate


def test_mlflows_row_has_the_other_objectives_and_the_place_on_the_front(tmp_path: Path) -> None:
    space = space_of(
        objectives=[{"metric": "accuracy"}, {"metric": "compressed_parameters"}],
        winner={"top": 2, "seeds": 1},
        sampler={"name": "random"},
        trials=4,
    )
    folder = tmp_path / "studies" / "tiny"
    drive(folder, space, made=seeded)
    confirm(folder, space)
    study = load_study("tiny", tmp_path)
    run, scores = run_of_winner(study), reported_scores(study)
    assert run is not None and scores is not None
    assert scores["outcome/compressed_parameters"] == 1000 * run.settings["adapter.k"]
    observer = SpoolObserver(study.folder, study_parent(space))
    tag_outcomes(study, observer)
    (tags,) = [r.tags for r in read(run_path(study.folder, run.key)).records if isinstance(r, Tags)]
    assert tags["pareto"] in ("yes", "no")


def test_only_the_adapter_that_stands_for_the_winner_is_kept_of_fresh_runs(
    study: Study, tmp_path: Path
) -> None:
    run = run_of_winner(study)
    assert run is not None
    for folder in (study.folder / "winner").iterdir():
        (folder / "adapter").mkdir()
    found = {item.folder.parent for item in garbage("tiny", tmp_path)}
    kept = {path for path in (study.folder / "winner").iterdir()} - found
    assert kept == {run.folder}


def test_a_baseline_that_the_winner_does_not_beat_is_a_reason_to_doubt_it(study: Study) -> None:
    found = study.winner
    assert found is not None

    def against(gap: float, p: float) -> list[str]:
        first = found.baselines[0]
        item = replace(first, gap=replace(first.gap, estimate=gap), p=p)
        return fresh_caveats(replace(found, baselines=(item,)))

    where = "head-only on the test split, on average over fresh seeds."
    assert against(-0.1, 0.001) == [f"The winner is no better than {where}"]
    assert against(0.1, 0.3) == [f"The winner is not shown to be better than {where}"]
    assert against(0.1, 0.001) == []
