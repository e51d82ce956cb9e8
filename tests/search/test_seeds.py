"""Several seeds per trial: means, races, resumes; without Ray, and once through the real engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from lora2_search.analysis.study import read_study_table
from lora2_search.cli.console.results import print_study, study_summary
from lora2_search.config.run_info import RunInfo
from lora2_search.config.space.schema import Space
from lora2_search.experiments.catalog import find_item
from lora2_search.experiments.cleaning import garbage
from lora2_search.experiments.find_run import find_run
from lora2_search.experiments.progress import study_progress
from lora2_search.experiments.tune import _seed_tags, reported_scores
from lora2_search.report.pages.study import write_study_page
from lora2_search.report.pages.study_files import trial_table
from lora2_search.search.ask_tell import AskTell
from lora2_search.search.steering import STOP
from lora2_search.search.storage import open_study
from lora2_search.search.study import Study, load_study, run_study
from lora2_search.search.trial import StudyTrial, read_trials
from lora2_search.store.record import RunRecord, readable_record
from tests.support.spaces import refusals, space_of
from tests.support.stand_in import Recorder, StandIn
from tests.support.trials import confirm, finished

# The best setting first, then ever worse ones: what a race is for.
FALLING = [12, 11, 4, 3, 10, 2]


def seeded(ks: list[int] = FALLING, **changes: Any) -> Space:
    first = [{"adapter.k": k} for k in ks]
    given: dict[str, Any] = {
        "trials": len(ks),
        "try_first": first,
        "seeds": 3,
        "scheduler": {"name": "none"},
        "sampler": {"name": "random"},
    }
    return space_of(**{**given, **changes})


MEASURED = seeded(
    [12, 4],
    objectives=[{"metric": "accuracy"}, {"metric": "compressed_parameters"}],
    constraints={"kept_parameters": {"max": 12_250}},
)


def worth(run: RunInfo) -> float:
    """A hundredth for each k, a seed's own luck, and a little that is neither's."""
    k, seed = run.config.adapter.k, run.config.seed
    noise = np.random.default_rng([seed, k]).normal(0, 0.006)
    return round(0.5 + k / 100 + 0.03 * (seed % 3) + float(noise), 6)


def search(
    folder: Path,
    space: Space,
    score: Callable[[RunInfo], float] = worth,
    most: int | None = None,
    failing: str = "",
    made_by: Callable[[RunInfo], RunRecord] = finished,
) -> tuple[tuple[StudyTrial, ...], list[str]]:
    """Run a study's trials here; leave after ``most`` runs, with the next one handed out.

    Returns:
        All trials, and the keys of the runs that were made now.
    """
    folder.mkdir(parents=True, exist_ok=True)
    space.write(folder)
    made: list[str] = []
    with open_study(folder, space.name, goals=space.goals) as (study, storage):
        source = AskTell(study, storage, space, folder, (), lambda: False)
        while (run := source.next()) is not None and len(made) != most:
            record = readable_record(run.folder)
            if record is None:
                record = made_by(run)
                record.scores["validation/accuracy"] = score(run)
                record.scores["test/accuracy"] = score(run) - 0.1
                record.timings = {"training": 10.0}
                record.write(run.folder)
                made.append(run.key)
            if run.key == failing:
                source.ended(run, "FAIL", None, "diverged")
                continue
            source.reported(run, 1, record.scores["validation/accuracy"])
            source.ended(run, "COMPLETE", record.scores["validation/accuracy"], "")
        assert run is not None or not source.waits()
    return read_trials(folder, space.name), made


@pytest.fixture
def study(tmp_path: Path) -> Study:
    search(tmp_path / "studies" / "tiny", seeded())
    return load_study("tiny", tmp_path)


def test_without_a_race_every_trial_scores_the_mean_of_all_its_seeds(tmp_path: Path) -> None:
    trials, made = search(tmp_path, seeded(race=False, seed=7))
    assert made[:4] == ["00000", "0-seed8", "0-seed9", "00001"]
    assert len(made) == 3 * len(FALLING)
    for trial in trials:
        runs = [tmp_path / "trials" / f"{trial.number:05d}"]
        runs += [tmp_path / "seeds" / f"{trial.number}-seed{seed}" for seed in (8, 9)]
        records = [readable_record(folder) for folder in runs]
        scores = [record.scores["validation/accuracy"] for record in records if record]
        assert [record.config["seed"] for record in records if record] == [7, 8, 9]
        assert trial.seed_scores == dict(zip((7, 8, 9), scores, strict=True))
        assert trial.state == "COMPLETE" and trial.score == pytest.approx(np.mean(scores))


def test_a_race_ends_what_is_behind_on_the_same_seeds_and_keeps_what_is_near(study: Study) -> None:
    ran = {trial.number: len(trial.seed_scores) for trial in study.trials}
    assert ran == {0: 3, 1: 3, 2: 3, 3: 1, 4: 1, 5: 1}  # three are needed to know the noise
    reasons = {trial.number: trial.reason for trial in study.trials if trial.state == "PRUNED"}
    assert sorted(reasons) == [3, 4, 5]
    assert reasons[3].startswith("raced out after 1 of 3 seeds: 0.0")
    assert "below trial 0 on seed 0, p " in reasons[3]
    assert study.best is not None and study.best.number == 0
    seconds = read_study_table(study.folder).study.trials[0].user_attrs["seconds"]
    assert seconds == 30


@pytest.mark.parametrize("most", range(1, 12))
def test_a_study_that_is_resumed_after_any_run_ends_as_one_that_was_not(
    study: Study, tmp_path: Path, most: int
) -> None:
    folder = tmp_path / "again"
    _, before = search(folder, seeded(), most=most)
    trials, after = search(folder, seeded())
    assert [t.seed_scores for t in trials] == [t.seed_scores for t in study.trials]
    assert [(t.state, t.score, t.reason) for t in trials] == [
        (t.state, t.score, t.reason) for t in study.trials
    ]
    assert Counter(before + after).most_common(1)[0][1] == 1  # no run was made twice


def test_a_trial_with_a_seed_that_fails_has_failed(tmp_path: Path) -> None:
    trials, made = search(tmp_path, seeded([12, 11], seeds=3), failing="0-seed1")
    assert made == ["00000", "0-seed1", "00001", "1-seed1", "1-seed2"]
    assert (trials[0].state, trials[0].reason) == ("FAIL", "seed 1: diverged")
    assert trials[1].state == "COMPLETE"


def grown(run: RunInfo) -> RunRecord:
    """A record whose sizes grow with the seed: their mean is none of them."""
    record = finished(run)
    size = 1000 * run.config.adapter.k + 300 * run.config.seed
    record.counts = dict.fromkeys(record.counts, size)
    return record


def test_objectives_and_constraints_are_means_too(tmp_path: Path) -> None:
    trials, made = search(tmp_path, MEASURED, made_by=grown)
    assert len(made) == 6  # several objectives: nobody is raced out
    outcomes = [trial.outcome for trial in trials]
    assert [item.values[1] for item in outcomes if item] == [12_300, 4_300]
    broken = [item.broken for item in outcomes if item]
    assert broken == [{"kept_parameters max": pytest.approx(50)}, {}]


def test_a_trial_whose_results_have_no_mean_any_more_has_failed(tmp_path: Path) -> None:
    search(tmp_path, MEASURED, most=2, made_by=grown)
    (tmp_path / "trials" / "00000" / "record.json").write_text("{")
    trials, _ = search(tmp_path, MEASURED, made_by=grown)
    assert [trial.state for trial in trials] == ["FAIL", "COMPLETE"]
    assert "cannot be read" in trials[0].reason


def test_collecting_leaves_what_a_resume_goes_on_with(tmp_path: Path) -> None:
    folder = tmp_path / "studies" / "tiny"
    search(folder, seeded(), most=2)
    for run in (folder / "trials" / "00000", folder / "seeds" / "0-seed1"):
        (run / "adapter").mkdir()
    assert garbage("tiny", tmp_path, keep=1) == []
    search(folder, seeded())
    assert len(garbage("tiny", tmp_path, keep=1)) == 1  # of the winner the other seed's


def test_a_trial_that_is_to_stop_begins_no_further_seed(tmp_path: Path) -> None:
    space = seeded([12, 11])
    with open_study(tmp_path, "tiny") as (study, storage):
        source = AskTell(study, storage, space, tmp_path, (), lambda: False)
        run = source.next()
        assert run is not None
        study.trials  # noqa: B018  # as another process reads it
        storage.set_trial_user_attr(study.trials[0]._trial_id, STOP, "asked for")
        source.ended(run, "COMPLETE", worth(run), "")
        following = source.next()
        assert following is not None and following.key == "00001"
    trials = read_trials(tmp_path, "tiny")
    assert (trials[0].state, trials[0].reason) == (
        "PRUNED",
        "stopped after 1 of 3 seeds: asked for",
    )


def test_samplers_that_learn_from_whole_trials_alone_are_not_raced_unasked() -> None:
    assert seeded().is_raced
    assert not seeded(sampler={"name": "gp"}).is_raced
    assert seeded(sampler={"name": "gp"}, race=True).is_raced


def test_fresh_seeds_follow_those_of_the_search(tmp_path: Path) -> None:
    space = seeded([12, 11, 2], winner={"top": 2, "seeds": 2}, references={})
    assert space.fresh_seeds is not None
    assert space.fresh_seeds.search == (0, 1, 2)
    assert (space.fresh_seeds.choice, space.fresh_seeds.report) == ((3, 4), (5, 6))
    assert space.runs == 3 * 3 + space.fresh_runs
    folder = tmp_path / "studies" / "tiny"
    search(folder, space)
    keys = confirm(folder, space)
    assert keys[:4] == ["0-seed3", "1-seed3", "0-seed4", "1-seed4"]
    winner = load_study("tiny", tmp_path).winner
    assert winner is not None and winner.is_complete


def test_every_page_and_table_says_what_the_seeds_came_to(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = study.frame()
    best = frame.loc[0]
    scores = list(study.trials[0].seed_scores.values())
    assert best["seeds"] == 3
    assert best["score"] == pytest.approx(np.mean(scores))
    assert best["seeds_low"] < best["score"] < best["seeds_high"]
    assert frame.loc[3, "seeds"] == 1
    rows = trial_table(read_study_table(study.folder))
    assert rows[0]["seeds_mean"] == pytest.approx(np.mean(scores))
    said = (
        "A trial's score is the mean of its runs on seeds 0 to 2; its sizes, curves and test score "
        "are those of seed 0. head-only ran on seed 0 alone. 3 of 6 trials were stopped before all "
        "their seeds had run; 12 runs are complete."
    )
    assert said in study.notes
    page = write_study_page(study.folder).read_text()
    assert said.replace("'", "&#39;") in page
    print_study(study, study_summary(study, tmp_path, "sqlite:///none.db"))
    assert said in " ".join(capsys.readouterr().out.split())
    assert study_progress(study.folder).state == "complete"
    assert set(study.side().runs) == {0, 1, 2}
    told = reported_scores(study)
    assert told is not None
    assert told["score"] == pytest.approx(np.mean(scores)) and told["winner/seeds"] == 3
    assert told["test/accuracy"] == pytest.approx(np.mean(scores) - 0.1)
    tags = _seed_tags(study.trials[3], study.space)
    assert tags.pop("trial.reason").startswith("raced out after 1 of 3 seeds")
    mean = f"{study.trials[3].seed_scores[0]:.4f}"
    assert tags == {"trial.state": "PRUNED", "trial.seeds": "1 of 3", "trial.score": mean}
    assert find_run("tiny/0-seed2", tmp_path).record.config["seed"] == 2
    item = find_item("tiny", tmp_path)
    assert "trial 0, seed 2" in [name for name, _ in item.records()]


def test_on_ray_a_worker_waits_for_seeds_that_a_trial_may_still_need(
    tmp_path: Path, ray_here: None
) -> None:
    space = seeded([9, 8, 2], race=False, resources={"concurrent": 2})
    seen, again = Recorder(), Recorder()
    run_study(space, storage=tmp_path, observers=[seen], trainable=StandIn)
    started = Counter(list(seen.of("started")))
    seeds = [f"{trial}-seed{seed}" for trial in range(3) for seed in (1, 2)]
    assert started == Counter(["head-only", "00000", "00001", "00002", *seeds])
    study = load_study("tiny", tmp_path)
    assert [trial.state for trial in study.trials] == ["COMPLETE"] * 3
    more = seeded([9, 8, 2], race=False, resources={"concurrent": 2}, trials=4)
    run_study(more, resume=True, storage=tmp_path, observers=[again], trainable=StandIn)
    assert set(again.of("started")) == {"head-only", "00003", "3-seed1", "3-seed2"}
    for folder in (study.folder / "seeds").iterdir():
        assert len((folder / "steps.jsonl").read_text().splitlines()) == 5


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({"seeds": 0}, "seeds", "greater than or equal to 1"),
        ({"seeds": [0, 1]}, "seeds", "integer"),
        ({"seeds": 1, "race": True}, "race", "set `seeds`, 2 or more"),
        ({"seed": 2**32 - 2}, "seeds", "the greatest seed is 4,294,967,295"),
        ({"scheduler": {"name": "halving"}}, "seeds", "does not go with halving"),
        (
            {"objectives": [{"metric": "accuracy"}, {"metric": "seconds"}], "race": True},
            "race",
            "several objectives",
        ),
        (
            {"search": {"seed": {"type": "int", "low": 0, "high": 9}}, "try_first": []},
            "search.seed",
            "cannot be searched with `seeds`",
        ),
    ],
)
def test_seeds_that_do_not_go_with_the_rest_are_refused_where_they_are_written(
    changes: dict[str, Any], key: str, words: str
) -> None:
    assert words in refusals(seeded, **changes)[key]


def raced(folder: Path, space: Space, score: Callable[[RunInfo], float]) -> tuple[bool, int]:
    """Run a study in memory alone; return whether its best setting was raced out, and its runs."""
    storage, runs = optuna.storages.InMemoryStorage(), 0
    study = optuna.create_study(storage=storage, direction="maximize")
    source = AskTell(study, storage, space, folder, (), lambda: False)
    while (run := source.next()) is not None:
        runs += 1
        source.ended(run, "COMPLETE", score(run), "")
    best = max(study.trials, key=lambda trial: trial.params["adapter.k"])
    return best.state.name == "PRUNED", runs


@pytest.mark.parametrize(
    ("apart", "seeds", "most", "lost"),
    [(3.0, 5, 0.6, 0.01), (1.0, 5, 0.85, 0.01), (0.1, 3, 1, 0.05)],
)
def test_a_race_spends_fewer_runs_where_settings_differ_and_seldom_loses_the_best(
    tmp_path: Path, apart: float, seeds: int, most: float, lost: float
) -> None:
    rng, spent, gone, studies = np.random.default_rng(5), 0, 0, 100
    for _ in range(studies):
        luck = rng.normal(0, 0.01, size=(17, seeds))

        def score(run: RunInfo, luck: np.ndarray = luck) -> float:
            k, seed = run.config.adapter.k, run.config.seed
            return 0.5 + apart * 0.01 * k + float(luck[k, seed])  # in deviations of a run

        space = seeded(rng.permutation(np.arange(1, 17))[:10].tolist(), seeds=seeds)
        is_lost, runs = raced(tmp_path, space, score)
        spent += runs
        gone += is_lost
    assert spent / (studies * 10 * seeds) <= most
    assert gone / studies <= lost
