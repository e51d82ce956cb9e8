"""A halved study: who begins anew, what wins, and what is said of its rungs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from lora2_search.analysis.rungs import Climb, Rung
from lora2_search.analysis.study import read_study_table
from lora2_search.cli.commands.runs import show
from lora2_search.cli.console.results import print_study, study_summary
from lora2_search.config.run_info import RunInfo
from lora2_search.config.space.winner import Confirm
from lora2_search.experiments.find_run import find_run
from lora2_search.experiments.progress import study_progress
from lora2_search.report.pages.study import write_study_page
from lora2_search.report.pages.study_files import trial_table
from lora2_search.report.words.rungs import rung_lines
from lora2_search.search.halving import run_rungs
from lora2_search.search.study import Study, load_study, run_study
from lora2_search.search.trial import read_trials
from lora2_search.store.record import RunRecord
from tests.support.spaces import space_of
from tests.support.stand_in import Recorder, StandIn
from tests.support.trials import confirm, drive, finished, in_this_process

SPACE_SHARE = Fraction(1, 4)

K = {"adapter.k": {"type": "int", "low": 1, "high": 64}}

SPACE = space_of(
    search=K, trials=9, sampler={"name": "qmc"}, scheduler={"name": "halving", "factor": 2}
)

# Scores by trial: of the first rung, of the second, of whole runs.
FIRST = [0.50, 0.52, 0.61, 0.55, 0.70, 0.66, 0.58, 0.64, 0.51]
SECOND = {4: 0.71, 5: 0.74, 7: 0.69, 2: 0.73, 6: 0.60}
WHOLE = {5: 0.80, 2: 0.83, 4: 0.81}


def scored(score: float, run: RunInfo, status: Any = "completed") -> RunRecord:
    record = finished(run)
    record.scores = {"validation/accuracy": score}
    if run.config.training.score_test:
        record.scores["test/accuracy"] = score - 0.1
    record.status = status
    record.error = None if status == "completed" else "diverged"
    record.write(run.folder)
    return record


def first(run: RunInfo) -> RunRecord:
    return scored(FIRST[int(run.key)], run)


def later(run: RunInfo) -> RunRecord:
    trial, rung = map(int, run.key.split("-rung"))
    return scored({2: SECOND, 3: WHOLE}[rung][trial], run)


def climbed(
    folder: Path,
    most: int | None = None,
    made: Callable[[RunInfo], RunRecord] = later,
    lines: list[str] | None = None,
) -> list[str]:
    """Run what is left of the later rungs here; return the keys of the runs that were made."""
    run_all, keys = in_this_process(made, most)
    said = [] if lines is None else lines
    run_rungs(SPACE, folder, read_trials(folder, "tiny"), run_all, said.append)
    return keys


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    drive(tmp_path / "studies" / "tiny", SPACE, made=first)
    return tmp_path / "studies" / "tiny"


def test_the_best_of_each_rung_begin_anew_and_the_best_whole_run_wins(folder: Path) -> None:
    lines: list[str] = []
    keys = climbed(folder, lines=lines)
    second, third = ["4-rung2", "5-rung2", "7-rung2", "2-rung2", "6-rung2"], [5, 2, 4]
    assert keys == [*second, *(f"{trial}-rung3" for trial in third)]
    assert lines == [
        "rung 2 of 3, 1/2 of a run: trials 2, 4, 5, 6, 7 begin anew",
        "rung 3 of 3, whole runs: trials 2, 4, 5 begin anew",
    ]
    study = load_study("tiny", folder.parent.parent)
    assert study.best is not None
    assert (study.best.number, study.best.score) == (2, 0.83)  # the first rung's best was 4
    assert study.best.folder == folder / "rungs" / "2-rung3"
    assert study.best.record is not None
    assert study.best.record.config == SPACE.run_config(study.best.params).model_dump(mode="json")
    tested = {run.name: "test/accuracy" in run.record.scores for run in _all_runs(folder)}
    assert [name for name, is_tested in tested.items() if is_tested] == [
        "2-rung3", "4-rung3", "5-rung3",
    ]  # fmt: skip
    frame = study.frame()
    assert list(frame.loc[frame["winner"], "number"]) == [2]
    assert frame.loc[2, "rung.2"] == 0.73


def _all_runs(folder: Path) -> list[Any]:
    runs = read_study_table(folder).runs
    return [*runs.trials.values(), *runs.rungs.values()]


def test_a_resume_goes_on_where_it_stopped_and_chooses_the_same(folder: Path) -> None:
    assert climbed(folder, most=3) == ["4-rung2", "5-rung2", "7-rung2"]
    half = load_study("tiny", folder.parent.parent)
    assert half.best is None
    assert study_progress(folder).state == "stopped"
    assert "these have not ended yet" in write_study_page(folder).read_text()
    assert climbed(folder) == ["2-rung2", "6-rung2", "5-rung3", "2-rung3", "4-rung3"]
    assert study_progress(folder).state == "complete"
    assert climbed(folder) == []


def test_nobody_is_said_to_go_on_while_the_search_is_under_way(tmp_path: Path) -> None:
    folder = tmp_path / "studies" / "tiny"
    drive(folder, SPACE, made=first, most=4)
    study = load_study("tiny", tmp_path)
    assert study.climb is not None
    assert rung_lines(study.climb) == ["Rung 1 of 3 (1/4 of a run): 4 runs complete."]
    assert (study.best, study_progress(folder).state) == (None, "stopped")


def test_a_run_that_fails_does_not_go_on(folder: Path) -> None:
    def failing(run: RunInfo) -> RunRecord:
        return scored(0.0, run, "failed") if run.key == "5-rung2" else later_or_low(run)

    def later_or_low(run: RunInfo) -> RunRecord:
        return scored(0.5, run) if run.key.endswith("rung3") else later(run)

    assert climbed(folder, made=failing)[-2:] == ["2-rung3", "4-rung3"]
    study = load_study("tiny", folder.parent.parent)
    assert study.climb is not None
    assert study.climb.rungs[1].failed == {5: "diverged"}
    assert study.best is not None
    assert study.best.number == 2  # of equals the earliest


def test_each_rung_says_how_well_it_ranks(folder: Path) -> None:
    climbed(folder)
    study = load_study("tiny", folder.parent.parent)
    assert study.climb is not None
    one, two, three = study.climb.rungs
    # 2: .61 .73 .83; 4: .70 .71 .81; 5: .66 .74 .80. By hand: one pair of three is in order in the
    # first rung (4, 5), one in the second (2, 4).
    assert (one.pairs, two.pairs) == (3, 3)
    assert one.tau == pytest.approx((1 - 2) / 3)
    assert two.tau == pytest.approx((1 - 2) / 3)
    assert three.tau is None
    assert rung_lines(study.climb) == [
        "Rung 1 of 3 (1/4 of a run): 9 runs complete, 5 went on; Kendall's τ with the final "
        "scores -0.33 (3 trials).",
        "Rung 2 of 3 (1/2 of a run): 5 runs complete, 3 went on; Kendall's τ with the final "
        "scores -0.33 (3 trials).",
        "Rung 3 of 3 (whole runs): 3 runs complete.",
    ]


@pytest.mark.parametrize(
    ("tau", "pairs", "warned"), [(0.2, 4, True), (None, 4, True), (0.2, 3, False), (0.4, 9, False)]
)
def test_a_rung_that_does_not_rank_is_said_from_four_trials_on(
    tau: float | None, pairs: int, warned: bool
) -> None:
    scores: Mapping[int, float] = dict.fromkeys(range(pairs), 0.5)
    rung = Rung(1, SPACE_SHARE, scores, tau=tau, pairs=pairs)
    last = Rung(2, SPACE_SHARE * 4, scores)
    lines = rung_lines(Climb((rung, last), 2))
    assert any("Rung 1 does not rank" in line for line in lines) == warned


def test_terminal_page_csv_and_lists_say_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    climbed(folder)
    home = folder.parent.parent
    study = load_study("tiny", home)
    assert study.climb is not None
    lines = rung_lines(study.climb)
    summary = study_summary(study, home, "sqlite:////x/mlflow.db")
    assert summary.winner is not None
    assert (summary.winner.trial, summary.winner.score, summary.winner.test) == (2, 0.83, 0.73)
    capsys.readouterr()
    print_study(study, summary)
    printed = " ".join(capsys.readouterr().out.split())
    assert all(line in printed for line in lines)
    show("tiny", home, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["winner"] == lines
    assert {"trial 2, rung 3", "trial 8"} <= {row["run"] for row in told["runs"]}
    page = write_study_page(folder).read_text()
    assert "<h2>Rungs</h2>" in page
    assert all(line.replace("'", "&#39;") in page for line in lines)
    rows = trial_table(read_study_table(folder))
    assert [row["rung.1"] for row in rows] == FIRST
    assert {row["trial"]: row["rung.3"] for row in rows if row["rung.3"]} == WHOLE
    assert [row["trial"] for row in rows if row["winner"]] == [2]
    assert find_run("tiny", home).folder.name == "2-rung3"
    assert find_run("tiny/4-rung2", home).record.scores["validation/accuracy"] == 0.71


def test_fresh_seeds_choose_among_the_best_whole_runs(tmp_path: Path) -> None:
    space = SPACE.model_copy(update={"winner": Confirm(top=2, seeds=2)})
    folder = tmp_path / "studies" / "tiny"

    def fresh(run: RunInfo) -> RunRecord:
        trial = run.key.partition("-seed")[0]
        return scored({"4": 0.79, "2": 0.75}.get(trial, 0.6) + run.config.seed / 1000, run)

    drive(folder, space, made=first)
    run_all, _ = in_this_process(later, most=6)  # two whole runs are still to be made
    run_rungs(space, folder, read_trials(folder, "tiny"), run_all, lambda line: None)
    half = load_study("tiny", tmp_path)
    assert half.winner is not None and half.winner.candidates == ()
    assert (half.best, study_progress(folder).state) == (None, "stopped")
    assert "these have not ended yet" in write_study_page(folder).read_text()

    run_all, _ = in_this_process(later)
    run_rungs(space, folder, read_trials(folder, "tiny"), run_all, lambda line: None)
    before = load_study("tiny", tmp_path)
    assert before.best is not None and before.best.number == 2  # the best whole run, so far
    assert study_progress(folder).state == "stopped"
    keys = confirm(folder, space, made=fresh)
    assert keys[:4] == ["2-seed1", "4-seed1", "2-seed2", "4-seed2"]
    assert set(keys[4:]) == {f"{name}-seed{seed}" for name in ("4", "head-only") for seed in (3, 4)}
    study = load_study("tiny", tmp_path)
    assert study.winner is not None and study.best is not None
    assert [(item.trial, item.score) for item in study.winner.candidates] == [(2, 0.83), (4, 0.81)]
    assert (study.winner.trial, study.best.number, study.best.score) == (4, 4, 0.81)
    assert study_progress(folder).state == "complete"
    rows = trial_table(read_study_table(folder))
    assert [row["trial"] for row in rows if row["winner"]] == [4]
    tested = {run.name: "test/accuracy" in run.record.scores for run in _all_runs(folder)}
    assert not any(tested.values())  # only what is reported sees the test split
    assert find_run("tiny", tmp_path).folder.name == "4-seed3"
    page = write_study_page(folder).read_text()
    assert "<h2>Rungs</h2>" in page and "mean of fresh seeds" in page
    summary = study_summary(study, tmp_path, "sqlite:////x/mlflow.db")
    assert summary.winner is not None and summary.confirmed is not None
    assert summary.winner.test == pytest.approx(0.79 + 0.0035 - 0.1)


def test_a_study_on_ray_climbs_to_whole_runs(tmp_path: Path, ray_here: None) -> None:
    seen = Recorder()
    space = space_of(
        search=K, trials=4, sampler={"name": "random"}, resources={"concurrent": 1},
        scheduler={"name": "halving", "factor": 2, "rungs": 2},
    )  # fmt: skip
    study = run_study(space, storage=tmp_path, observers=[seen], trainable=StandIn, reference=False)
    assert [trial.state for trial in study.trials] == ["COMPLETE"] * 4
    best = sorted(study.trials, key=lambda trial: -(trial.score or 0))[:2]
    assert set(seen.of("ended")) == {
        *(f"{n:05d}" for n in range(4)), *(f"{trial.number}-rung2" for trial in best),
    }  # fmt: skip
    assert study.best is not None
    assert study.best.number == best[0].number
    assert study.best.folder.name == f"{best[0].number}-rung2"
    again = Study(study.name, study.folder, study.space, study.trials)
    assert again.best == study.best
