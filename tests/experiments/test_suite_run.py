from __future__ import annotations

from typing import Any

import pytest

from lora2_search.errors import ConfigError
from lora2_search.experiments.ablate import check_suite_inputs, suite_parent
from lora2_search.tracking.spool.params import flat
from tests.ablation.test_runner import suite

TASKS: dict[str, Any] = {"short": {}, "long": {"data.max_length": 64}}
TUNING = {"arms": {"base": {"training.lr": [0.1, 0.2]}}, "seeds": 2}


@pytest.mark.parametrize(
    ("changes", "groups", "columns"),
    [
        ({}, ("arm",), ("adapter.k", "method")),
        ({"tasks": TASKS}, ("task", "arm"), ("adapter.k", "method", "data.max_length")),
        ({"tuning": TUNING}, ("phase", "arm"), ("adapter.k", "method", "training.lr")),
    ],
)
def test_a_view_groups_what_may_be_averaged_and_shows_what_varies(
    changes: dict[str, Any], groups: tuple[str, ...], columns: tuple[str, ...]
) -> None:
    parent = suite_parent(suite(**changes))
    assert (parent.groups, parent.columns) == (groups, columns)


def test_what_may_change_on_the_way_is_no_param_that_mlflow_keeps_for_ever() -> None:
    before = suite(tuning=TUNING)
    after = before.with_tuned({"base": {"training.lr": 0.2}})
    after = after.model_copy(update={"seeds": [0, 1, 2], "added_seeds": [2]})
    params = [
        {**flat(parent.config.model_dump(mode="json")), **flat(parent.params)}
        for parent in map(suite_parent, (before, after))
    ]
    differing = {key for key in params[0] if params[0][key] != params[1][key]}
    assert differing == {"training.lr", "seeds"}
    assert "training.lr" in suite_parent(before).columns


@pytest.mark.parametrize("where", ["arms", "tuning"])
def test_an_arm_whose_schedule_does_not_fit_its_steps_is_refused_before_anything_runs(
    where: str,
) -> None:
    late = {"adapter.t_init": 20, "adapter.t_final": 9000}
    grid = {"arms": {"base": {"adapter.t_final": [0.4, 9000]}}, "seeds": 2}
    changes = {"arms": {"late": late}, "floor": None} if where == "arms" else {"tuning": grid}
    plan = suite(**{"adapter": {"target_rank": 4}, **changes})
    key = "arms.late.adapter.t_final" if where == "arms" else "tuning.arms.base.adapter.t_final"
    with pytest.raises(ConfigError, match="total steps=") as caught:
        check_suite_inputs(plan)
    assert [problem.key for problem in caught.value.problems] == [key]
