from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from lora2_search.errors import UserError
from lora2_search.verification.measurements import Measurements, ScoreResult
from lora2_search.verification.plan import CHECKS, Part, Plan, make_plan
from tests.support.measured import MERGED


def test_the_default_verifies_the_packaged_model_on_the_packaged_sentences() -> None:
    plan = make_plan()
    assert (plan.config.task, plan.config.model.name_or_path) == ("sentiment", "minilm")
    assert (len(plan.seeds), plan.checks) == (6, tuple(CHECKS))
    arms = {"start", "pruned", "recommended", "unpruned", "head-only", "no-regulariser", "cross"}
    assert {part.arm for part in plan.parts()} == arms
    assert len(plan.parts()) == 6 * len(arms)


def test_only_what_a_check_needs_is_run_and_each_run_once() -> None:
    parts = make_plan(only=("merge", "ranking", "scoring"), seeds=1).parts()
    assert [(p.arm, set(p.probes)) for p in parts] == [
        ("pruned", {"agreement", "merge"}),
        ("unpruned", {"agreement"}),
    ]


def test_more_seeds_or_other_checks_go_on_with_the_same_verification() -> None:
    plan = make_plan()
    assert make_plan(only=("merge",), seeds=2).name == plan.name
    assert make_plan(margin=0.01).name != plan.name
    assert make_plan(overrides=("adapter.k=4",)).name != plan.name
    assert make_plan(quick=True).name != plan.name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"only": ("marge",)}, 'did you mean "merge"'),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"margin": 0.0}, "margin must be greater than 0"),
        ({"data": "a.csv", "task": "rte"}, "exclude each other"),
        ({"overrides": ("method=lora",)}, "method: must be lora2"),
        ({"overrides": ("adapter.target_rank=8",)}, "adapter.target_rank: must be below r=8"),
        ({"overrides": ("adapter.k=[]",)}, "adapter.k: must give two planes"),
        ({"overrides": ("adapter.score_loss=task",)}, "adapter.score_loss: must be total"),
        ({"overrides": ("adapter.gama=0",)}, "adapter.gama"),
    ],
)
def test_mistakes_are_told_before_anything_runs(arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        make_plan(**arguments)


def test_a_part_is_read_back_only_when_it_holds_all_that_is_asked_for(tmp_path: Path) -> None:
    part = Part("pruned", 3, ("score",))
    assert part.read(tmp_path) is None
    scored = Measurements(score=ScoreResult("accuracy", 0.5, 0.4, 8))
    part.write(tmp_path, scored)
    assert part.read(tmp_path) == scored
    more = replace(part, probes=("score", "merge"))
    assert more.read(tmp_path) is None
    more.write(tmp_path, MERGED)
    assert part.read(tmp_path) == more.read(tmp_path) == scored.updated(MERGED)


def test_quick_is_smaller_and_says_so() -> None:
    quick, whole = make_plan(quick=True), make_plan()
    assert quick.quick and "quick" in quick.name
    assert len(quick.seeds) < len(whole.seeds)
    assert quick.truth_sentences < whole.truth_sentences


def test_a_plan_of_every_arm_is_a_valid_run(plan: Plan) -> None:
    seeds = {plan.run_config(part.arm, part.seed).seed for part in plan.parts()}
    assert seeds == set(plan.seeds)
