from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna

from lora2_search.experiments.cleaning import kept_trials
from lora2_search.search.study import Study
from tests.support.spaces import space_of
from tests.support.trials import drive

SEARCH = {
    "adapter.k": {"type": "int", "low": 1, "high": 16},
    "training.lr": {"type": "float", "low": 1e-3, "high": 1e-2, "log": True},
}

TWO = [{"metric": "accuracy"}, {"metric": "compressed_parameters", "direction": "minimize"}]


def two(**changes: Any) -> Any:
    return space_of(search=SEARCH, objectives=TWO, trials=16, **changes)


def test_a_study_of_two_objectives_resumes_to_what_the_unbroken_one_finds(tmp_path: Path) -> None:
    def stopped(number: int) -> bool:  # TPE models them too
        return number % 5 == 3

    whole = drive(tmp_path / "whole", two(), pruned=stopped)
    drive(tmp_path / "broken", two(), most=12, pruned=stopped)
    broken = drive(tmp_path / "broken", two(), pruned=stopped)
    assert [trial.params for trial in broken] == [trial.params for trial in whole]
    assert [trial.outcome for trial in broken] == [trial.outcome for trial in whole]
    assert broken[3].state == "PRUNED"
    assert list(broken[3].values) == [1]

    stored = optuna.load_study(
        study_name="tiny", storage=f"sqlite:///{tmp_path / 'broken' / 'study.db'}"
    )
    assert [direction.name for direction in stored.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert stored.metric_names == ["accuracy", "compressed_parameters"]
    study = Study("tiny", tmp_path / "broken", two(), broken)
    assert {trial.number for trial in study.pareto} <= {t.number for t in stored.best_trials}
    scores = [trial.score for trial in study.pareto]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) > 1
    frame = study.frame()
    assert set(frame.loc[frame["pareto"] == True, "number"]) == {  # noqa: E712 (None among them)
        trial.number for trial in study.pareto
    }


def test_the_winner_is_the_smallest_within_the_drop_of_the_best(tmp_path: Path) -> None:
    trials = drive(tmp_path, two(sampler={"name": "random"}))
    complete = [trial.outcome for trial in trials if trial.outcome]
    best = max(item.values[0] for item in complete)
    for drop in (0.0, 0.05, 1.0):
        winner = Study("tiny", tmp_path, two(pick={"max_drop": drop}), trials).best
        near = [item.values[1] for item in complete if item.values[0] >= best - drop - 1e-12]
        assert winner is not None
        assert winner.outcome is not None
        assert winner.outcome.values[1] == min(near)


def test_winner_and_front_are_among_the_feasible_and_optuna_knows_which(tmp_path: Path) -> None:
    space = two(constraints={"compressed_parameters": {"max": 6_000}, "accuracy": {"min": 0.1}})
    study = Study("tiny", tmp_path, space, drive(tmp_path, space))
    sizes = {t.number: 1000 * t.params["adapter.k"] for t in study.trials}
    assert {True, False} == {t.outcome.is_feasible for t in study.trials if t.outcome}
    for trial in study.trials:
        assert trial.outcome is not None
        assert trial.outcome.is_feasible == (sizes[trial.number] <= 6_000)
    assert all(sizes[trial.number] <= 6_000 for trial in study.pareto)
    assert study.best in study.pareto
    stored = optuna.load_study(study_name="tiny", storage=f"sqlite:///{tmp_path / 'study.db'}")
    for trial in stored.trials:
        assert trial.constraints["compressed_parameters max"] == sizes[trial.number] - 6_000


def test_gc_keeps_what_is_on_the_front_and_the_last_trial(tmp_path: Path) -> None:
    space = two()
    study = Study("tiny", tmp_path, space, drive(tmp_path, space))
    front = {trial.number for trial in study.pareto}
    assert 1 < len(front) < len(study.trials) - 1
    assert kept_trials(study, 1) == front | {study.trials[-1].number}


def test_constraints_that_nothing_meets_are_said_after_ten_trials_and_leave_no_winner(
    tmp_path: Path,
) -> None:
    lines: list[str] = []
    space = space_of(search=SEARCH, trials=12, constraints={"compressed_parameters": {"max": 10}})
    study = Study("tiny", tmp_path, space, drive(tmp_path, space, say=lines.append))
    (line,) = lines
    assert "none of the 10 complete trials meets the constraints: compressed_parameters" in line
    assert "must be at most 10 and misses that by" in line
    assert study.best is None
    assert study.notes[0].startswith("none of the 12 complete trials")


def test_no_trial_breaks_a_rule_and_a_resume_proposes_the_same(tmp_path: Path) -> None:
    ranks = {name: {"type": "int", "low": 1, "high": 16} for name in ("adapter.r", "adapter.k")}
    target = {"adapter.target_rank": {"type": "int", "low": 1, "high": 16}}
    space = space_of(
        search={**ranks, **target},
        trials=16,
        rules=["adapter.target_rank <= adapter.r", "adapter.k * 2 < 20 - adapter.r"],
    )
    whole = drive(tmp_path / "whole", space)
    for trial in whole:
        values = trial.params
        assert trial.state == "COMPLETE"
        assert values["adapter.target_rank"] <= values["adapter.r"]
        assert values["adapter.k"] * 2 < 20 - values["adapter.r"]
    drive(tmp_path / "broken", space, most=12)
    broken = drive(tmp_path / "broken", space)
    assert [trial.params for trial in broken] == [trial.params for trial in whole]
