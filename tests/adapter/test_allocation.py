from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lora2_search.adapter.allocation import (
    RankAllocator,
    kept_in_values,
    shares,
    survivors,
    survivors_within,
)
from lora2_search.adapter.factors import Factors
from lora2_search.adapter.schedule import BudgetSchedule
from lora2_search.adapter.scoring.interface import ScoringError
from lora2_search.adapter.scoring.priority import RandomScoring
from tests.support.adapters import matrices


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=40), st.integers(0, 50))
def test_exactly_the_budget_survives_and_ties_go_to_the_earlier(
    scores: list[int], budget: int
) -> None:
    mask = survivors(torch.tensor(scores, dtype=torch.float64), budget)
    ranking = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    assert mask.nonzero().flatten().tolist() == sorted(ranking[:budget])


def dealt(budget: int, ranks: list[int]) -> list[int]:
    """One singular value at a time, round after round."""
    given = [0] * len(ranks)
    while budget > 0 and given != ranks:
        for m, rank in enumerate(ranks):
            if budget > 0 and given[m] < rank:
                given[m] += 1
                budget -= 1
    return given


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=9), st.integers(0, 60))
def test_a_budget_is_dealt_like_cards_and_no_share_ever_shrinks(
    ranks: list[int], budget: int
) -> None:
    mine = shares(budget, ranks)
    assert mine == dealt(budget, ranks)
    assert sum(mine) == min(budget, sum(ranks))
    assert all(a <= b for a, b in zip(mine, shares(budget + 1, ranks), strict=True))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_each_matrix_keeps_its_own_best(data: st.DataObject, ranks: list[int]) -> None:
    scores = data.draw(
        st.lists(
            st.sampled_from([-float("inf"), 0.0, 1.0, 2.0]),
            min_size=sum(ranks),
            max_size=sum(ranks),
        )
    )
    budgets = [data.draw(st.integers(0, rank)) for rank in ranks]
    mask = survivors_within(torch.tensor(scores), ranks, budgets)
    alone = [
        survivors(part, budget)
        for part, budget in zip(torch.tensor(scores).split(ranks), budgets, strict=True)
    ]
    assert torch.equal(mask, torch.cat(alone))


class Fixed:
    """A scoring that ranks by numbers given beforehand and counts its updates."""

    def __init__(self, scores: Sequence[float]) -> None:
        self._scores = torch.tensor(scores)
        self.updates = 0

    def update(self, matrices: Sequence[Factors]) -> None:
        self.updates += 1

    def scores(self) -> Tensor:
        return self._scores

    def state(self) -> dict[str, Tensor]:
        return {"fixed": self._scores}

    def load_state(self, state: dict[str, Tensor]) -> None:
        self._scores = state["fixed"]


def revive(factors: list[Factors]) -> None:
    for matrix in factors:
        matrix.values.data.fill_(1.0)


def alive(factors: list[Factors]) -> list[list[int]]:
    return [matrix.values.detach().nonzero().flatten().tolist() for matrix in factors]


def allocator(
    schedule: BudgetSchedule, scoring: Fixed | RandomScoring
) -> tuple[RankAllocator, list[Factors]]:
    return RankAllocator([3, 2], scoring, schedule), (
        matrices([2], 3, [(4, 4)]) + matrices([2], 2, [(4, 4)])
    )


SCORES = [0.1, 0.9, 0.5, 0.5, 0.7]


def test_between_masks_values_regrow_and_after_the_last_they_do_not() -> None:
    schedule = BudgetSchedule(5, 2, total_steps=12, t_init=2, t_final=4, delta_t=3)
    allocate, factors = allocator(schedule, Fixed(SCORES))
    seen = {}
    for step in range(1, 13):
        revive(factors)  # as the optimiser's momentum would
        allocate.step(step, factors)
        seen[step] = (sum(map(len, alive(factors))), sum(allocate.kept_ranks()))
    full, third, sixth = (5, 5), (3, 3), (2, 2)
    assert [seen[t] for t in (1, 2)] == [full, full]
    assert schedule.budget(3) == 3 and seen[3] == third
    assert seen[4] == (5, 3) and seen[5] == (5, 3)
    assert seen[6] == sixth and seen[7] == (5, 2)
    assert [seen[t] for t in range(8, 13)] == [(2, 2)] * 5
    assert alive(factors) == [[1], [1]]


def test_the_last_mask_comes_even_where_delta_t_does_not_divide() -> None:
    schedule = BudgetSchedule(5, 2, total_steps=10, t_init=1, t_final=3, delta_t=100)
    allocate, factors = allocator(schedule, Fixed(SCORES))
    for step in range(1, 11):
        revive(factors)
        allocate.step(step, factors)
        assert sum(map(len, alive(factors))) == (5 if step < 7 else 2)


def test_averages_stop_at_the_last_mask() -> None:
    scoring = Fixed(SCORES)
    allocate, factors = allocator(BudgetSchedule(5, 2, 10, 1, 3, 1), scoring)
    for step in range(1, 11):
        allocate.step(step, factors)
    assert scoring.updates == 6


def test_a_skipped_last_mask_is_made_up_for() -> None:
    allocate, factors = allocator(BudgetSchedule(5, 2, 10, 1, 3, 100), Fixed(SCORES))
    revive(factors)
    allocate.step(8, factors)
    assert alive(factors) == [[1], [1]]


@pytest.mark.parametrize(("target", "expected"), [(0, [[], []]), (5, [[0, 1, 2], [0, 1]])])
def test_the_budget_may_be_nothing_or_everything(target: int, expected: list[list[int]]) -> None:
    allocate, factors = allocator(BudgetSchedule(5, target, 4, 0, 1, 1), Fixed(SCORES))
    for step in range(1, 5):
        revive(factors)
        allocate.step(step, factors)
    assert alive(factors) == expected


def test_random_masks_are_nested_through_the_schedule() -> None:
    schedule = BudgetSchedule(5, 1, 20, 0, 2, 1)
    allocate, factors = allocator(schedule, RandomScoring(["a", "b"], [3, 2], 0))
    masks = []
    for step in range(1, 21):
        revive(factors)
        allocate.step(step, factors)
        masks.append({(m, i) for m, row in enumerate(alive(factors)) for i in row})
    assert all(later <= earlier for earlier, later in zip(masks, masks[1:], strict=False))
    assert len(masks[-1]) == 1 and len({len(mask) for mask in masks}) > 2


def test_state_comes_back_and_is_not_shared() -> None:
    schedule = BudgetSchedule(5, 2, 10, 1, 3, 1)
    allocate, factors = allocator(schedule, Fixed(SCORES))
    allocate.step(5, factors)
    state = allocate.state()
    other, _ = allocator(schedule, Fixed([0.0] * 5))
    other.load_state(state)
    assert other.kept_ranks() == allocate.kept_ranks() != [3, 2]
    state["mask"].fill_(False)
    assert other.kept_ranks() == allocate.kept_ranks()


def test_the_last_mask_holds_whatever_the_scores_say_afterwards() -> None:
    schedule = BudgetSchedule(5, 2, 10, 1, 3, 1)
    allocate, factors = allocator(schedule, Fixed(SCORES))
    mask = torch.tensor([True, False, True, False, False])
    allocate.load_state({"mask": mask, "fixed": torch.tensor(SCORES)})
    revive(factors)
    allocate.step(8, factors)
    assert alive(factors) == [[0, 2], []]


def test_per_matrix_allocation_shares_the_budget_and_global_does_not() -> None:
    kept = {}
    for allocation in ("global", "per-matrix"):
        schedule = BudgetSchedule(5, 3, 10, 1, 3, 1)
        factors = matrices([2], 3, [(4, 4)]) + matrices([2], 2, [(4, 4)])
        allocate = RankAllocator([3, 2], Fixed([0.1, 0.2, 0.3, 0.9, 0.8]), schedule, allocation)
        for step in range(1, 11):
            revive(factors)
            allocate.step(step, factors)
        kept[allocation] = alive(factors)
    assert kept == {"global": [[2], [0, 1]], "per-matrix": [[1, 2], [0]]}


@pytest.mark.parametrize("scores", [[0.1] * 4, [0.1] * 6, 0.5])
def test_scores_of_another_length_are_refused_with_both_lengths(scores: Any) -> None:
    allocate, factors = allocator(BudgetSchedule(5, 2, 10, 1, 3, 1), Fixed(scores))
    given = re.escape(str(tuple(torch.tensor(scores).shape)))
    with pytest.raises(ScoringError, match=rf"Fixed\.scores.*\(5,\), but gave {given}"):
        allocate.step(2, factors)


def test_a_state_that_does_not_fit_is_refused_by_name() -> None:
    allocate, _ = allocator(BudgetSchedule(5, 2, 10, 1, 3, 1), Fixed(SCORES))
    with pytest.raises(ValueError, match=r"missing keys \['fixed'\].*unexpected keys \['other'\]"):
        allocate.load_state({"mask": torch.ones(5), "other": torch.ones(1)})
    with pytest.raises(ValueError, match=r"'mask' must have shape \(5,\), but got \(4,\)"):
        allocate.load_state({"mask": torch.ones(4), "fixed": torch.ones(5)})


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([[0.0, 2.0], [-1.0, 3.0]], [1, 2]),
        ([[0.0, 0.0], [1.0, 0.0]], [0, 1]),
        ([[0.0, 0.0], [0.0, 0.0]], [2, 2]),
        ([[-0.0, 1.0], []], [1, 0]),
    ],
)
def test_lambda_alone_tells_what_was_kept(values: list[list[float]], kept: list[int]) -> None:
    assert kept_in_values([torch.tensor(value) for value in values]) == kept
