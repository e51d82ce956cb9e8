from __future__ import annotations

from typing import Any

import pytest

from lora2_search.config.space.grace import grace_period, notes, settled_at
from tests.support.spaces import space_of


def grace(**changes: Any) -> int:
    space = space_of(**changes)
    return grace_period(space.run_config(), space.search, space.scheduler.grace)


TARGET = {"adapter.target_rank": {"type": "int", "low": 1, "high": 8}}
BY_NAME = {"method": "peft", "peft": {"peft_type": "ADALORA"}}
FINAL = {"peft.tfinal": {"type": "int", "low": 30, "high": 50}}
LATE = {"adapter.t_final": {"type": "float", "low": 0.2, "high": 0.6}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 1),  # nothing is pruned
        ({"adapter": {"target_rank": 8}}, 1),
        ({"adapter": {"target_rank": 4, "t_final": 0.5}}, 3),
        ({"adapter": {"target_rank": 4, "t_final": 0.6}}, 2),
        ({"adapter": {"target_rank": 4, "t_final": 0.59}}, 3),
        ({"adapter": {"target_rank": 4, "t_final": 0.0}}, 5),
        ({"adapter": {"target_rank": 4, "scoring": "none"}}, 1),
        ({"adapter": {"target_rank": 4}, "method": "lora"}, 1),
        ({"adapter": {"target_rank": 4, "t_final": 30}}, 5),  # epochs: unknown before the data
        ({"adapter": {"target_rank": 4, "t_final": 30}, "training": {"steps": 100}}, 4),
        (BY_NAME, 5),  # its tfinal is 0
        ({**BY_NAME, "peft": {"peft_type": "LOHA"}}, 1),
        ({**BY_NAME, "training": {"steps": 100}, "search": FINAL}, 4),
        ({"search": TARGET}, 3),
        ({"search": {**TARGET, **LATE}}, 4),  # the latest end of all its schedules
        ({"search": LATE}, 1),
        ({"search": LATE, "scheduler": {"grace": 2}}, 2),
    ],
)
def test_no_trial_is_stopped_before_the_end_of_the_longest_budget_schedule(
    changes: dict[str, Any], expected: int
) -> None:
    assert grace(**changes) == expected


@pytest.mark.parametrize("steps", range(5, 60))
@pytest.mark.parametrize("t_final", [0.3, 0.5, 7])
def test_at_the_end_of_grace_the_mask_is_final_and_one_evaluation_earlier_it_is_not(
    steps: int, t_final: float
) -> None:
    from lora2_search.config.schema import TrainingConfig
    from lora2_search.training.loop.plan import plan

    if isinstance(t_final, int) and t_final + 0.1 * steps >= steps:
        return
    space = space_of(
        adapter={"target_rank": 2, "t_final": t_final}, training={"steps": steps, "evaluations": 7}
    )
    stops = plan(TrainingConfig(steps=steps, evaluations=7), 100).stops
    end = steps - (t_final if isinstance(t_final, int) else int(t_final * steps))
    reached = settled_at(space.run_config())
    assert stops[reached - 1] >= end
    assert reached == 1 or stops[reached - 2] < end


def test_a_space_in_which_nobody_can_be_stopped_says_so() -> None:
    space = space_of(adapter={"target_rank": 4, "t_final": 0.1}, training={"evaluations": 4})
    (note,) = notes(space.run_config(), space.search, None)
    assert "cannot stop any trial early" in note
    assert "evaluation 4 of 4" in note
    assert notes(space_of().run_config(), {}, None) == []
