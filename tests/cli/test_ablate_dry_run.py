from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lora2_search.ablation.sequential import with_first_seeds
from lora2_search.cli.commands.ablate import _runs
from lora2_search.cli.commands.ablate_dry_run import (
    difference_lines,
    forecast,
    power_lines,
    untestable,
)
from lora2_search.stats.power import paired_power
from tests.ablation.test_runner import suite
from tests.cli.test_tune_dry_run import ESTIMATE as TEN_SECONDS
from tests.support.finished import HERE, leave, made

TWENTY_SECONDS = replace(TEN_SECONDS, seconds_per_step=2.0)
GRID = {"training.lr": [0.1, 0.2]}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"seeds": 2}, {"runs": 6, "left": 6, "seconds": 30, "disk_mb": 6 * 2 + 2 * 12}),
        ({"seeds": 3}, {"runs": 9, "left": 9, "seconds": 50}),
        (
            {"seeds": 2, "tuning": {"arms": {"base": GRID}, "seeds": 3}},
            {"runs": 12, "tuning_runs": 6, "seconds": 60},
        ),
    ],
)
def test_a_forecast_counts_runs_seconds_and_disk(
    changes: dict[str, Any], expected: dict[str, float], tmp_path: Path
) -> None:
    told = forecast(suite(**changes), {"": TEN_SECONDS}, tmp_path, 2, None)
    assert {key: getattr(told, key) for key in expected} == expected
    assert list(tmp_path.iterdir()) == []


def test_the_live_table_counts_the_trials_that_a_total_promises() -> None:
    plan = suite(seeds=2, tuning={"arms": {"base": GRID}, "seeds": 3, "total": 5})
    assert _runs(plan) == 3 * 2 + 5 * 3


def test_every_task_is_forecast_by_a_run_of_its_own(tmp_path: Path) -> None:
    tasks: dict[str, Any] = {"short": {}, "long": {"data.max_length": 64}}
    plan = suite(seeds=2, tasks=tasks)
    told = forecast(plan, {"short": TEN_SECONDS, "long": TWENTY_SECONDS}, tmp_path, 1, None)
    assert (told.runs, told.seconds) == (12, 6 * 10 + 6 * 20)


def test_runs_that_are_there_or_are_taken_over_cost_nothing(
    tmp_path: Path, reviews_csv: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    plan = suite(
        task="custom",
        data={"path": str(reviews_csv), "text": ["review"], "label": "verdict"},
        model={"name_or_path": str(model)},
    )
    runs = {run.key: run for run in plan.runs(tmp_path / "suites" / "tiny")}
    leave(runs["base-seed0"].folder, made(runs["base-seed0"].config))
    leave(tmp_path / "suites/other/runs/x", made(runs["narrow-seed1"].config))
    told = forecast(plan, {"": TEN_SECONDS}, tmp_path, 2, HERE)
    assert (told.already_there, told.taken_over, told.left) == (1, 1, 4)
    assert told.seconds == 20
    assert forecast(plan, {"": TEN_SECONDS}, tmp_path, 2, None).left == 5


def test_a_suite_with_looks_is_forecast_at_its_first_and_its_last(tmp_path: Path) -> None:
    plan = with_first_seeds(suite(sequential={"first": 2, "every": 2, "most": 10}))
    told = forecast(plan, {"": TEN_SECONDS}, tmp_path, 1, None)
    assert (told.seconds, told.seconds_at_most) == (60, 300)
    assert any("with 10 seeds" in line for line in told.power)


def test_power_is_told_for_the_family_of_all_tasks_together() -> None:
    tasks: dict[str, Any] = {"short": {}, "long": {"data.max_length": 64}}
    expected = f"{paired_power(1.0, 8, 0.05 / 2):.0%}"
    assert any(expected in line for line in power_lines(suite(seeds=8, tasks=tasks)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"floor": None}, "learns more than its head alone: there is no head-only arm"),
        (
            {"floor": None, "task": "reviews", "arms": {"narrow": {"adapter.k": 1}}},
            "learns more than it knew untrained: there is no no-training arm",
        ),
        ({"comparisons": []}, "any difference"),
        ({"comparisons": [["head-only", "base"]]}, "narrow: no comparison names it"),
        ({}, "no equivalence margin is named"),
    ],
)
def test_what_a_suite_cannot_say_is_said_before_it_runs(
    changes: dict[str, Any], words: str
) -> None:
    assert any(words in line for line in untestable(suite(**changes)))


def test_a_suite_that_names_all_leaves_nothing_untold() -> None:
    assert untestable(suite(equivalence=[{"arm": "narrow", "margin": 0.02}])) == []


def test_each_arm_is_told_by_what_it_changes() -> None:
    assert difference_lines(suite()) == [
        "  narrow: adapter.k 8 -> 2",
        '  head-only: method "lora2" -> "head-only"',
    ]
