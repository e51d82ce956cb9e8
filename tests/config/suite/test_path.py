from __future__ import annotations

from typing import Any

import pytest

from lora2_search.config.run import RunConfig, with_settings
from lora2_search.config.space.schema import Space, load_space, validate_space
from lora2_search.config.suite.ablation_path import path_suite
from lora2_search.config.suite.schema import Suite, validate_suite
from lora2_search.config.yaml import Source
from lora2_search.errors import UserError

WINNER = {
    "training.lr": 0.01,
    "adapter.k": 16,
    "adapter.target_rank": 4,
    "adapter.gamma": 0.5,
}


def path(space: RunConfig, winner: RunConfig, seeds: int | list[int] = 6) -> Suite:
    return validate_suite(Source(path_suite(space, winner, "way", seeds)))


def space(search: dict[str, Any], **settings: Any) -> Space:
    data = {"name": "s", "task": "sentiment", "trials": 2, "search": search, **settings}
    return validate_space(Source(data))


def choices(*values: Any) -> dict[str, Any]:
    return {"type": "categorical", "choices": list(values)}


def test_a_path_takes_over_one_setting_after_another_in_the_order_of_the_search() -> None:
    start = load_space("quickstart")
    made = path(start, start.run_config(WINNER))
    steps = [arm for arm in made.arms if arm.startswith("step-")]
    assert steps == [f"step-{n}-{setting}" for n, setting in enumerate(start.search, 1)]
    assert list(made.arms[steps[1]]) == ["training.lr", "adapter.k"]
    assert made.run_config("base", 0) == start.run_config()
    assert made.run_config(steps[-1], 0) == start.run_config(WINNER)
    assert made.pairs[:4] == [
        ("step-1-training.lr", "base"),
        ("step-2-adapter.k", "step-1-training.lr"),
        ("step-3-adapter.target_rank", "step-2-adapter.k"),
        ("step-4-adapter.gamma", "step-3-adapter.target_rank"),
    ]


def test_the_way_back_puts_one_setting_back_and_repeats_no_run() -> None:
    start = load_space("quickstart")
    made = path(start, start.run_config(WINNER))
    back = [arm for arm in made.arms if arm.startswith("without-")]
    # Without its last step the winner is the step before: that pair is on the path already.
    assert back == ["without-training.lr", "without-adapter.k", "without-adapter.target_rank"]
    assert made.pairs[4:] == [(arm, "step-4-adapter.gamma") for arm in back]
    assert made.run_config(back[0], 0).training.lr == start.training.lr
    assert made.run_config(back[0], 0).adapter == made.run_config("step-4-adapter.gamma", 0).adapter
    assert made.arms["head-only"] == {"method": "head-only"} and made.floor == "head-only"


def test_a_setting_that_changes_nothing_is_left_out() -> None:
    start = space(
        {"adapter.beta1": choices(0.85, 0.5), "adapter.k": choices(4, 8)},
        adapter={"target_rank": 4, "scoring": "random"},
    )
    made = path(start, start.run_config({"adapter.beta1": 0.5, "adapter.k": 4}))
    assert list(made.arms) == ["base", "step-1-adapter.k", "head-only"]
    assert made.pairs == [("step-1-adapter.k", "base")]


def test_a_setting_that_changes_nothing_yet_waits_for_the_one_that_lets_it() -> None:
    search = {"adapter.t_init": choices(0.1, 0.2), "adapter.target_rank": choices(4, 8)}
    start = space(search, adapter={"target_rank": 8})
    made = path(start, start.run_config({"adapter.t_init": 0.2, "adapter.target_rank": 4}))
    assert list(made.arms)[1:3] == ["step-1-adapter.target_rank", "step-2-adapter.t_init"]


def test_a_setting_that_cannot_be_changed_yet_waits_too() -> None:
    base = RunConfig(task="sentiment")
    start = with_settings(base, {"adapter.r": 4, "adapter.target_rank": 3})
    winner = with_settings(base, {"adapter.r": 8, "adapter.target_rank": 6})
    ordered = path(start, winner)
    assert list(ordered.arms)[1:3] == ["step-1-adapter.r", "step-2-adapter.target_rank"]
    # With the target put back the winner is step 1; with the rank put back it cannot run.
    assert [arm for arm in ordered.arms if arm.startswith("without")] == []


def test_settings_that_only_go_together_are_one_step() -> None:
    base = RunConfig(task="sentiment")
    start = with_settings(base, {"adapter.k": [], "adapter.gamma": [0.1]})
    winner = with_settings(base, {"adapter.k": [8], "adapter.gamma": [0.2, 0.3]})
    made = path(start, winner)
    assert list(made.arms) == ["base", "step-1-adapter.k-and-adapter.gamma", "head-only"]
    assert made.pairs == [("step-1-adapter.k-and-adapter.gamma", "base")]


def test_the_studys_metric_resources_and_seeds_go_along() -> None:
    start = space(
        {"adapter.k": choices(4, 8)},
        task="ratings",
        seed=3,
        objective={"metric": "spearman"},
        resources={"cpus_per_trial": 2},
    )
    winner = with_settings(start.run_config({"adapter.k": 4}), {"seed": 12})
    made = path(start, winner)
    assert made.metric == "spearman" and made.resources.cpus_per_trial == 2
    assert made.seed_list == [3, 4, 5, 6, 7, 8] and path(start, winner, [1, 9]).seed_list == [1, 9]


def test_a_winner_that_is_the_start_has_no_path() -> None:
    start = load_space("quickstart")
    with pytest.raises(UserError, match="nothing to compare"):
        path_suite(start, with_settings(start.run_config(), {"seed": 4}), "way", 6)
