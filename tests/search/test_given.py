"""Trials that were given: they go first, count, and leave the sampler's own sequence alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lora2_search.cli.commands.tune_dry_run import sampled
from lora2_search.config.space.schema import Space
from lora2_search.search.study import Study
from tests.support.spaces import space_of
from tests.support.trials import drive

K = {"adapter.k": {"type": "int", "low": 1, "high": 4}}
LR = {"training.lr": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}}
FIRST = [{"adapter.k": 3, "training.lr": 2e-3}, {"adapter.k": 2}]


def given(sampler: str, **changes: Any) -> Space:
    options: dict[str, Any] = {"popsize": 4} if sampler == "cmaes" else {}
    by = {"name": sampler, "startup_trials": 4, "options": options}
    return space_of(**{"search": K | LR, "trials": 12, "sampler": by, **changes})


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "nsgaii", "qmc", "random"])
def test_first_trials_go_first_and_a_resume_goes_on_as_the_unbroken_study(
    tmp_path: Path, sampler: str
) -> None:
    space = given(sampler, try_first=FIRST)
    whole = drive(tmp_path / "whole", space)
    assert [trial.params["adapter.k"] for trial in whole[:2]] == [3, 2]
    assert whole[0].params["training.lr"] == 2e-3
    assert [trial.given_by for trial in whole[:3]] == ["try_first", "try_first", ""]
    assert len(whole) == 12
    drive(tmp_path / "broken", space, most=1)  # the driver dies in the second of them
    drive(tmp_path / "broken", space, most=6)
    broken = drive(tmp_path / "broken", space)
    assert [trial.params for trial in broken] == [trial.params for trial in whole]


def test_a_grid_still_visits_each_of_its_points(tmp_path: Path) -> None:
    space = given("grid", search=K, try_first=[{"adapter.k": 3}], trials=None, hours=1.0)
    trials = drive(tmp_path, space)
    assert trials[0].params == {"adapter.k": 3}
    assert sorted(trial.params["adapter.k"] for trial in trials[1:]) == [1, 2, 3, 4]


def test_a_partial_first_trial_is_completed_so_that_the_rules_hold(tmp_path: Path) -> None:
    ranks = {name: {"type": "int", "low": 1, "high": 16} for name in ("adapter.r", "adapter.k")}
    rules = ["adapter.r <= adapter.k"]
    space = given("random", search=ranks, rules=rules, try_first=[{"adapter.k": 2}], trials=4)
    trials = drive(tmp_path, space)
    assert trials[0].params["adapter.k"] == 2
    assert trials[0].params["adapter.r"] <= 2


def test_a_study_says_which_trials_were_given_and_a_dry_run_shows_them(tmp_path: Path) -> None:
    space = given("random", try_first=FIRST[:1], trials=3)
    study = Study("tiny", tmp_path, space, drive(tmp_path, space))
    assert study.notes[0] == "Settings were given, not proposed, to trial 0 (try_first)."
    assert [row for row in sampled(space, 3)] == [dict(trial.params) for trial in study.trials]
