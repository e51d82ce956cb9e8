"""What a study takes over from an older one, and that a resume of it goes on the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest

from lora2_search.analysis.landscape import importances
from lora2_search.analysis.study import open_study as read_study
from lora2_search.config.space.schema import Space
from lora2_search.config.yaml import Source
from lora2_search.errors import UserError
from lora2_search.experiments.request import Resolved
from lora2_search.experiments.tune import resolve_warm_start
from lora2_search.search.older_study import warm_start
from lora2_search.search.study import Study
from tests.support.spaces import space_of
from tests.support.trials import drive

K = {"adapter.k": {"type": "int", "low": 1, "high": 16}}
LR = {"training.lr": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}}
WIDER = {"training.lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True}}


def older(folder: Path, **changes: Any) -> Study:
    space = space_of(**{"name": "old", "search": K | LR, "trials": 12, **changes})
    return Study("old", folder, space, drive(folder, space, pruned=lambda number: number == 5))


def newer(sampler: str = "tpe", **changes: Any) -> Space:
    by = {"name": sampler, "startup_trials": 4, "seed": changes.pop("draws", 9)}
    return space_of(**{"search": K | WIDER, "trials": 6, "sampler": by, "seed": 3, **changes})


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_a_resume_proposes_what_the_unbroken_study_would_have_with_the_older_one_gone(
    tmp_path: Path, sampler: str
) -> None:
    space = newer(sampler)
    warm = warm_start(older(tmp_path / "old"), space)
    assert len(warm.prior) == 11  # the pruned one has no score
    assert warm.line == "Warm start: 11 trials of study old as prior."
    whole = drive(tmp_path / "whole", space, warm=warm)
    shutil.rmtree(tmp_path / "old")
    drive(tmp_path / "broken", space, most=2, warm=warm)
    broken = drive(tmp_path / "broken", space)
    assert [trial.params for trial in broken] == [trial.params for trial in whole]
    cold = drive(tmp_path / "cold", space)
    assert [trial.params for trial in cold] != [trial.params for trial in whole]


def test_a_prior_informs_but_cannot_win_and_is_shown_nowhere(tmp_path: Path) -> None:
    old, space = older(tmp_path / "old"), newer("tpe", trials=4)
    warm = warm_start(old, space)
    study = Study("tiny", tmp_path / "new", space, drive(tmp_path / "new", space, warm=warm))
    assert [trial.number for trial in study.trials] == [11, 12, 13, 14]
    assert study.best is not None
    assert study.best.number >= 11
    stored = optuna.load_study(
        study_name="tiny", storage=f"sqlite:///{tmp_path / 'new' / 'study.db'}"
    )
    prior = stored.trials[:11]
    assert [t.user_attrs["prior"] for t in prior][:2] == ["trial 0 of old", "trial 1 of old"]
    known = {trial.number: trial for trial in old.trials}
    for trial, item in zip(prior, warm.prior, strict=True):
        assert trial.value == known[item.number].score
        assert trial.params == known[item.number].params
        assert trial.distributions == space.distributions()
    # fANOVA sees the four trials of the study alone.
    assert importances(read_study(tmp_path / "new", "tiny")).trials == 4


def test_a_driver_that_dies_while_it_takes_over_leaves_the_rest_to_the_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = newer("tpe", try_first=[{"adapter.k": 3}])
    warm = warm_start(older(tmp_path / "old"), space)
    add, calls = optuna.study.Study.add_trial, 0

    def dying(study: Any, trial: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 7:
            raise KeyboardInterrupt
        add(study, trial)

    with monkeypatch.context() as patched:
        patched.setattr(optuna.study.Study, "add_trial", dying)
        with pytest.raises(KeyboardInterrupt):
            drive(tmp_path / "broken", space, warm=warm)
    broken = drive(tmp_path / "broken", space)
    whole = drive(tmp_path / "whole", space, warm=warm)
    assert [trial.params for trial in broken] == [trial.params for trial in whole]
    assert broken[0].params["adapter.k"] == 3


@pytest.mark.parametrize(
    ("space", "why"),
    [
        (newer(training={"epochs": 1.0}), "it differs in training.epochs"),
        # Scores of shortened runs say little of whole ones.
        (newer(scheduler={"name": "halving"}), "it differs in training.epochs"),
        (newer("random"), "sampler random learns from no prior"),
    ],
)
def test_where_trials_cannot_be_a_prior_the_best_settings_go_first(
    tmp_path: Path, space: Space, why: str
) -> None:
    old = older(tmp_path / "old")
    warm = warm_start(old, space)
    assert warm.line == f"Warm start: the best of study old first (3 trials), since {why}."
    trials = drive(tmp_path / "new", space, warm=warm)
    ranked = sorted(old.trials, key=lambda trial: -(trial.score or 0.0))
    assert [trial.params for trial in trials[:3]] == [trial.params for trial in ranked[:3]]
    assert trials[0].given_by == f"trial {ranked[0].number} of old"
    assert trials[3].given_by == ""


def test_a_seed_that_would_repeat_older_random_trials_is_told(tmp_path: Path) -> None:
    old = older(tmp_path / "old")
    warm = warm_start(old, newer("random", draws=0))
    assert warm.line.endswith("random trials repeat older ones; set another.")


def test_trials_outside_the_space_stay_out_and_a_fixed_setting_counts_with_its_value(
    tmp_path: Path,
) -> None:
    old = older(tmp_path / "old", adapter={"k": 5}, search=LR)
    narrow = {"training.lr": {"type": "float", "low": 3e-3, "high": 1e-2, "log": True}}
    warm = warm_start(old, newer(search=K | narrow))
    fit = [t for t in old.trials if t.score is not None and t.params["training.lr"] >= 3e-3]
    assert 0 < len(fit) < 11
    assert [item.number for item in warm.prior] == [trial.number for trial in fit]
    assert all(item.params["adapter.k"] == 5 for item in warm.prior)
    assert f"{11 - len(fit)} others do not fit this space" in warm.line


def test_values_and_constraints_of_the_new_study_come_from_the_older_records(
    tmp_path: Path,
) -> None:
    space = newer(
        objectives=[{"metric": "accuracy"}, {"metric": "compressed_parameters"}],
        constraints={"compressed_parameters": {"max": 6000}},
    )
    warm = warm_start(older(tmp_path / "old"), space)
    for item in warm.prior:
        assert item.values[1] == 1000 * item.params["adapter.k"]
        assert item.constraints == {"compressed_parameters max": item.values[1] - 6000}
    drive(tmp_path / "new", space, warm=warm)
    stored = optuna.load_study(
        study_name="tiny", storage=f"sqlite:///{tmp_path / 'new' / 'study.db'}"
    )
    assert stored.trials[0].constraints == warm.prior[0].constraints


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (space_of(task="cola", search=K), "scores by accuracy and this one by matthews"),
        (space_of(search={"adapter.k": {"type": "int", "low": 20, "high": 30}}), "must be from 20"),
    ],
)
def test_what_says_nothing_here_is_refused(tmp_path: Path, space: Space, words: str) -> None:
    with pytest.raises(UserError, match=words):
        warm_start(older(tmp_path / "old"), space)
    empty = Study("old", tmp_path, newer(), ())
    with pytest.raises(UserError, match="no trial is complete yet"):
        warm_start(empty, newer())


def test_a_resume_takes_nothing_over_again(tmp_path: Path) -> None:
    resumed = Resolved(newer(), Source({}), resumed=True)
    assert resolve_warm_start(None, resumed) is None
    with pytest.raises(UserError, match="leave warm_start out of a resume"):
        resolve_warm_start("old", resumed)
    with pytest.raises(UserError, match="no study named old"):
        resolve_warm_start("old", Resolved(newer(), Source({})), tmp_path)
