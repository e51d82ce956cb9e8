from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import optuna
import pytest

from lora2_search.config.space.samplers import OPTIONS, chosen_sampler
from lora2_search.config.space.schema import Space
from lora2_search.store.layout import JOURNAL_FILE
from tests.support.spaces import space_of
from tests.support.trials import drive

NUMBERS = {
    "adapter.k": {"type": "int", "low": 1, "high": 16},
    "training.lr": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True},
}

SCORING = {"adapter.scoring": {"type": "categorical", "choices": ["full", "reduced"]}}

STEPPED = {"adapter.k": {"type": "int", "low": 1, "high": 4}, **SCORING}

SIZE = {"objectives": [{"metric": "accuracy"}, {"metric": "compressed_parameters"}]}


def searching(name: str, trials: int = 12, **changes: Any) -> Space:
    options = changes.pop("options", {})
    sampler = {"name": name, "startup_trials": 4, "seed": 3, "options": options}
    return space_of(**{"search": NUMBERS, "trials": trials, "sampler": sampler, **changes})


@pytest.mark.parametrize(
    "space",
    [
        searching("gp", search=NUMBERS | SCORING, **SIZE, trials=8),
        searching("cmaes", options={"popsize": 4}),
        searching("nsgaii", options={"population_size": 4}, **SIZE),
        searching("qmc", search=NUMBERS | SCORING),
        searching("grid", search=STEPPED, trials=8),
        searching("random"),
        searching("tpe", search=NUMBERS | SCORING),
        searching("auto", trials=8, scheduler={"name": "none"}),
    ],
    ids=lambda space: space.sampler.name,
)
@pytest.mark.parametrize("shared", [False, True], ids=["local", "shared"])
def test_a_resumed_study_proposes_what_the_unbroken_one_does(
    tmp_path: Path, space: Space, shared: bool
) -> None:
    whole = drive(tmp_path / "whole", space)
    drive(tmp_path / "broken", space, most=6, shared=shared)
    broken = drive(tmp_path / "broken", space, shared=shared)
    assert (tmp_path / "broken" / JOURNAL_FILE).exists() == shared
    assert len(whole) == space.trials
    assert [trial.params for trial in broken] == [trial.params for trial in whole]
    assert len({str(sorted(trial.params.items())) for trial in whole}) > 6


def test_cmaes_comes_nearer_to_the_best_than_its_random_start(tmp_path: Path) -> None:
    trials = drive(tmp_path, searching("cmaes", trials=28, options={"popsize": 6}))
    scores = [trial.score or 0.0 for trial in trials]
    assert max(scores[:4]) < sum(scores[-6:]) / 6


def test_a_grid_tries_each_point_once_in_the_seeds_order_and_then_ends(tmp_path: Path) -> None:
    space = searching("grid", search=STEPPED, trials=None, hours=1.0)
    trials = drive(tmp_path, space)
    points = {(trial.params["adapter.k"], trial.params["adapter.scoring"]) for trial in trials}
    assert len(trials) == len(points) == 8
    other = space.model_copy(update={"sampler": space.sampler.model_copy(update={"seed": 4})})
    again = drive(tmp_path / "other", other)
    assert [trial.params for trial in again] != [trial.params for trial in trials]


def test_qmc_fills_the_space_evenly(tmp_path: Path) -> None:
    trials = drive(tmp_path, searching("qmc", trials=16))
    assert {trial.params["adapter.k"] for trial in trials} == set(range(1, 17))


@pytest.mark.parametrize(
    ("name", "rivals"),
    [("tpe", "TPE"), ("gp", "GP"), ("cmaes", "CmaEs"), ("nsgaii", "NSGAII"), ("qmc", "QMC")],
)
def test_options_are_those_of_optuna_with_its_defaults(name: str, rivals: str) -> None:
    theirs = inspect.signature(getattr(optuna.samplers, f"{rivals}Sampler")).parameters
    for option, field in OPTIONS[name].model_fields.items():
        assert option in theirs
        if option != "scramble":
            assert theirs[option].default == field.default


@pytest.mark.parametrize(
    ("changes", "name", "why"),
    [
        ({"search": STEPPED, "trials": 8}, "grid", "its 8 points"),
        ({"search": STEPPED, "trials": 7, "scheduler": {"name": "none"}}, "gp", "at most 500"),
        ({"trials": 30}, "tpe", "stopped early"),
        ({"trials": 30, "rules": ["adapter.k < 9"]}, "tpe", "depend on each other"),
        ({"trials": 2000}, "cmaes", "numbers alone"),
        ({"trials": 2000, **SIZE}, "nsgaii", "several objectives"),
        ({"trials": 2000, "search": NUMBERS | SCORING}, "tpe", "stopped early"),
        ({"trials": None, "hours": 1.0}, "tpe", "stopped early"),
    ],
)
def test_auto_follows_its_rule(changes: dict[str, Any], name: str, why: str) -> None:
    chosen, reason = chosen_sampler(space_of(**{"search": NUMBERS, **changes}).search_task)
    assert chosen == name
    assert why in reason


def test_auto_stays_with_its_choice_when_a_resume_has_more_trials(tmp_path: Path) -> None:
    lines: list[str] = []
    space = searching("auto", search=STEPPED, trials=8)
    drive(tmp_path, space, most=2, say=lines.append)
    longer = space.model_copy(update={"trials": 30})
    assert len(drive(tmp_path, longer, say=lines.append)) == 8
    assert lines == ["sampler: grid (its 8 points are no more than the 8 trials)"]
