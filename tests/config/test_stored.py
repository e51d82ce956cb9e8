from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lora2_search.config.stored import stored_plan
from lora2_search.config.suite.schema import Suite, typed_suite
from lora2_search.config.yaml import Source, read_yaml
from tests.support.suites import suite

RESULTS = Path(__file__).parents[2] / "docs" / "results"
ARCHIVED = sorted(RESULTS.glob("*/suite.yaml"))


def plan(**changes: Any) -> dict[str, Any]:
    tuning = {"arms": {"base": {"training.lr": [1e-3, 2e-3]}}, "unequal": True}
    claim = {"arm": "random-allocation", "margin": 0.02}
    return suite(seeds=3, tuning=tuning, equivalence=[claim]).spelled_out() | changes


def test_a_plan_of_this_version_is_the_suite_that_wrote_it() -> None:
    stored = plan()
    assert stored_plan(Suite, stored) == typed_suite(Source(stored))


@pytest.mark.parametrize("path", ARCHIVED, ids=lambda path: path.parent.name)
def test_the_archived_plans_are_read_as_the_suites_they_are(path: Path) -> None:
    data = read_yaml(path).data
    read, typed = stored_plan(Suite, data), typed_suite(Source(data))
    assert read.spelled_out() == typed.spelled_out()


def test_archived_plans_are_found() -> None:
    assert len(ARCHIVED) >= 8


def test_what_came_later_has_its_default_and_what_is_gone_is_left_out() -> None:
    older = plan(colour="red")
    for name in ("after", "sequential", "open_ends", "tasks", "cells", "added_seeds"):
        del older[name]
    older["training"] = {"lr": 0.5, "momentum": 0.9}
    older["tuning"] |= {"sampler": "grid"}
    read = stored_plan(Suite, older)
    assert read.training.lr == 0.5 and read.training.epochs == 3.0
    assert read.sequential.first == 4 and read.task_names == [""] and read.open_ends == {}
    assert read.tuning is not None and read.tuning.seed_list == [1000, 1001]


def test_settings_that_no_rule_allows_any_more_stand_as_they_were_written() -> None:
    stored = plan(method="lora3", equivalence=[{"arm": "a", "margin": 1.5}])
    stored["adapter"] |= {"r": -1}
    read = stored_plan(Suite, stored)
    assert (read.method, read.adapter.r, read.equivalence[0].margin) == ("lora3", -1, 1.5)


@pytest.mark.parametrize(
    ("key", "value"),
    [("arms", 5), ("arms", {"base": None}), ("comparisons", "base"), ("floor", []), ("tuned", 1)],
)
def test_a_key_of_suites_that_holds_something_else_is_refused(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match="valid"):
        stored_plan(Suite, plan(**{key: value}))


def test_a_claim_without_its_margin_is_refused_by_name() -> None:
    with pytest.raises(KeyError, match="margin"):
        stored_plan(Suite, plan(equivalence=[{"arm": "a"}]))


def test_a_task_lays_its_settings_over_those_of_the_suite() -> None:
    tasks = {"long": {"data.max_length": 64, "task": "ratings"}, "short": {}}
    read = stored_plan(Suite, plan(tasks=tasks))
    long, short = read.on_task("long"), read.on_task("short")
    assert (long.task, long.data.max_length) == ("ratings", 64)
    assert short == read == read.on_task("")


def test_a_task_s_setting_of_a_section_that_is_gone_is_left_out() -> None:
    read = stored_plan(Suite, plan(tasks={"short": {"gone.depth": 1, "training.lr": 0.25}}))
    assert read.on_task("short").training.lr == 0.25
