from __future__ import annotations

from pathlib import Path

import pytest

from lora2_search.ablation.runner import SuiteResult
from lora2_search.ablation.sequential import run_until_decided, with_first_seeds
from lora2_search.config.suite.schema import Suite
from lora2_search.errors import UserError
from tests.ablation.test_runner import suite

PLAN = {"first": 2, "every": 3, "most": 7}


class Runner:
    """Runs nothing; notes the seeds that it was asked for, and is interrupted when told to."""

    def __init__(self, interrupted_at: int = 0) -> None:
        self.asked: list[list[int]] = []
        self._at = interrupted_at

    def run(self, plan: Suite) -> SuiteResult:
        self.asked.append(plan.seed_list)
        interrupted = len(plan.seed_list) == self._at
        return SuiteResult(plan.name, Path(), plan, (), interrupted)


def decided_at(seeds: int):
    return lambda result: {
        "a": "different",
        "b": "equivalent" if len(result.suite.seed_list) >= seeds else "undecided",
    }


@pytest.mark.parametrize(
    ("decided", "looks"), [(2, [2]), (3, [2, 5]), (5, [2, 5]), (6, [2, 5, 7]), (99, [2, 5, 7])]
)
def test_seeds_are_added_until_all_is_decided_or_none_are_left(
    decided: int, looks: list[int]
) -> None:
    runner = Runner()
    result = run_until_decided(
        with_first_seeds(suite(seeds=[10, 11, 12], sequential=PLAN)),
        runner.run,
        decided_at(decided),
    )
    assert [len(seeds) for seeds in runner.asked] == looks
    assert result.suite.seed_list == list(range(10, 10 + looks[-1]))


def test_what_was_interrupted_is_not_looked_at() -> None:
    runner = Runner(interrupted_at=5)
    result = run_until_decided(
        with_first_seeds(suite(sequential=PLAN)),
        runner.run,
        lambda result: pytest.fail("it looked") if result.interrupted else {"a": "undecided"},
    )
    assert result.interrupted and [len(seeds) for seeds in runner.asked] == [2, 5]


def test_later_looks_run_the_arms_as_they_were_tuned() -> None:
    grid = {"training.lr": [0.1, 0.2]}
    asked: list[Suite] = []

    def run(plan: Suite) -> SuiteResult:
        asked.append(plan)
        settled = plan if plan.tuned else plan.with_tuned({"narrow": {"training.lr": 0.2}})
        return SuiteResult(plan.name, Path(), settled, ())

    plan = suite(sequential=PLAN, tuning={"arms": {"narrow": grid}, "seeds": 2})
    run_until_decided(with_first_seeds(plan), run, decided_at(5))
    assert [item.tuned for item in asked] == [None, {"narrow": {"training.lr": 0.2}}]
    assert asked[1].arms["narrow"]["training.lr"] == 0.2


def test_a_suite_that_goes_on_begins_where_it_was() -> None:
    runner = Runner()
    stored = suite(seeds=5, sequential=PLAN, until_decided=True)
    run_until_decided(stored, runner.run, decided_at(99))
    assert [len(seeds) for seeds in runner.asked] == [5, 7]


@pytest.mark.parametrize(
    ("seeds", "first"), [(6, [0, 1]), ([3, 9, 5], [3, 9]), (2, [0, 1]), ([8, 4], [8, 4])]
)
def test_the_first_look_has_the_first_seeds_of_the_file(
    seeds: int | list[int], first: list[int]
) -> None:
    made = with_first_seeds(suite(seeds=seeds, sequential=PLAN))
    assert made.until_decided and made.seed_list == first


def test_a_first_look_of_more_seeds_than_the_file_has_takes_those_after_them() -> None:
    assert with_first_seeds(suite(seeds=[3, 9])).seed_list == [3, 9, 10, 11]


def test_a_suite_that_names_nothing_cannot_be_decided() -> None:
    with pytest.raises(UserError, match="names no comparison, contrast or equivalence"):
        with_first_seeds(suite(comparisons=[]))
