from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora2_search.adapter.schedule import BudgetSchedule, as_steps
from lora2_search.config.vocabulary import BUDGETS


@st.composite
def schedules(draw: st.DrawFn) -> BudgetSchedule:
    full = draw(st.integers(0, 600))
    total = draw(st.integers(1, 300))
    t_init = draw(st.integers(0, total - 1))
    return BudgetSchedule(
        full=full,
        target=draw(st.integers(0, full)),
        total_steps=total,
        t_init=t_init,
        t_final=draw(st.integers(0, total - 1 - t_init)),
        delta_t=draw(st.integers(1, 20)),
        descent=draw(st.sampled_from(BUDGETS)),
    )


@settings(max_examples=100, deadline=None)
@given(schedules())
def test_budgets_fall_from_full_to_target_and_stay_between(schedule: BudgetSchedule) -> None:
    budgets = [schedule.budget(t) for t in range(1, schedule.total_steps + 1)]
    assert budgets == sorted(budgets, reverse=True)
    assert budgets[: schedule.t_init] == [schedule.full] * schedule.t_init
    final = budgets[schedule.last_mask - 1 :]
    assert final == [schedule.target] * (schedule.t_final + 1)
    assert all(schedule.target <= b <= schedule.full for b in budgets)


@settings(max_examples=100, deadline=None)
@given(schedules())
def test_between_the_edges_the_budget_is_the_integer_part_of_its_curve(
    schedule: BudgetSchedule,
) -> None:
    curves = {"cubic": lambda x: (1 - x) ** 3, "linear": lambda x: 1 - x, "constant": lambda x: 0}
    span = schedule.total_steps - schedule.t_init - schedule.t_final
    for t in range(schedule.t_init + 1, schedule.last_mask + 1):
        falling = curves[schedule.descent](Fraction(t - schedule.t_init, span))
        exact = schedule.target + (schedule.full - schedule.target) * falling
        assert schedule.budget(t) == int(exact)


@settings(max_examples=100, deadline=None)
@given(schedules())
def test_masks_come_every_delta_t_inside_and_always_at_the_last_step(
    schedule: BudgetSchedule,
) -> None:
    steps = [t for t in range(1, schedule.total_steps + 1) if schedule.masks_at(t)]
    inside = range(schedule.t_init + 1, schedule.last_mask)
    assert steps == [t for t in inside if t % schedule.delta_t == 0] + [schedule.last_mask]
    scored = [t for t in range(1, schedule.total_steps + 1) if schedule.scores_at(t)]
    assert scored == list(range(1, schedule.last_mask))


def test_early_rungs_of_a_published_run_cannot_tell_target_ranks_apart() -> None:
    # METHOD.md's figures for RTE with r = 8 and 72 matrices.
    def budget(target: int, step: int) -> int:
        return BudgetSchedule(576, 72 * target, 3900, 600, 1800, 1).budget(step)

    assert {budget(target, 3900 // 9) for target in (1, 3, 6)} == {576}
    assert (budget(1, 1300), budget(6, 1300)) == (148, 453)


def test_an_impossible_window_names_all_three_numbers() -> None:
    with pytest.raises(ValueError, match="t_init=600, t_final=1800, total steps=2400"):
        BudgetSchedule(72, 36, 2400, 600, 1800, 1)


@pytest.mark.parametrize("step", [0, -1, 11])
def test_a_step_outside_the_run_is_an_error(step: int) -> None:
    with pytest.raises(ValueError, match=f"step={step}, total steps=10"):
        BudgetSchedule(8, 4, 10, 1, 1, 1).budget(step)


@pytest.mark.parametrize(
    ("setting", "steps"), [(600, 600), (0, 0), (0.154, 600), (0.462, 1801), (0.0, 0)]
)
def test_settings_are_steps_or_a_part_of_the_run(setting: float, steps: int) -> None:
    assert as_steps(setting, 3900) == steps


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 500), st.floats(0, 0.99), st.floats(0, 0.99))
def test_fractions_below_one_in_sum_fit_a_run_of_any_length(
    total: int, t_init: float, t_final: float
) -> None:
    if t_init + t_final < 1:
        BudgetSchedule(8, 4, total, as_steps(t_init, total), as_steps(t_final, total), 1)
