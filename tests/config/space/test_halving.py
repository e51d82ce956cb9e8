"""How a run is shortened to a rung, and what cannot be halved."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from lora2_search.config.run import RunConfig
from lora2_search.config.space.halving import at_share, runs_above, shares
from lora2_search.config.space.schema import Scheduler
from lora2_search.errors import ConfigError
from tests.support.spaces import space_of

NINTH = Fraction(1, 9)


def config(**changes: Any) -> RunConfig:
    return RunConfig.model_validate({"task": "sentiment", **changes})


def test_the_last_rung_is_the_run_itself_and_each_one_below_a_factor_shorter() -> None:
    halving = Scheduler(name="halving", factor=3, rungs=3)
    assert shares(halving) == [NINTH, Fraction(1, 3), Fraction(1)]
    assert at_share(config(), Fraction(1), "steps") == config()
    assert runs_above(27, halving) == [9, 3]
    assert runs_above(10, halving) == [4, 2]


def test_steps_and_every_schedule_in_steps_shrink_while_fractions_stand() -> None:
    whole = config(
        training={"steps": 900, "warmup": 90, "evaluations": 9},
        adapter={"target_rank": 2, "t_init": 180, "t_final": 0.4, "delta_t": 18},
    )
    short = at_share(whole, NINTH, "steps")
    assert (short.training.steps, short.training.warmup, short.training.evaluations) == (100, 10, 1)
    adapter = short.adapter
    assert (adapter.t_init, adapter.t_final, adapter.delta_t) == (20, 0.4, 2)
    kept = {"training": {"steps", "warmup", "evaluations"}, "adapter": {"t_init", "delta_t"}}
    assert short.model_dump(exclude=kept) == whole.model_dump(exclude=kept)


def test_passes_shrink_by_steps_and_examples_by_data() -> None:
    whole = config(training={"epochs": 4.5})
    assert at_share(whole, NINTH, "steps").training.epochs == 0.5
    by_data = at_share(whole, NINTH, "data")
    assert by_data.training.epochs == 4.5
    assert by_data.data.train_size == pytest.approx(1 / 9)
    assert at_share(config(data={"train_size": 900}), NINTH, "data").data.train_size == 100
    half = at_share(config(data={"train_size": 0.5}), NINTH, "data").data.train_size
    assert half == pytest.approx(1 / 18)


def test_adalora_by_peft_keeps_its_schedules_shape() -> None:
    own = {"peft_type": "ADALORA", "tinit": 90, "tfinal": 180}
    short = at_share(config(method="peft", peft=own, training={"steps": 900}), NINTH, "steps")
    assert short.peft.own() == {"tinit": 10, "tfinal": 20}


HALVING = {"name": "halving"}


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({"scheduler": {"name": "pbt"}}, "scheduler.name", "it changes settings while a trial"),
        ({"scheduler": {"name": "HyperBand"}}, "scheduler.name", "as many trials at once as its"),
        (
            {"scheduler": {"name": "median"}},
            "scheduler.name",
            "must be 'asha', 'halving' or 'none'",
        ),
        (
            {"scheduler": {"factor": 4}},
            "scheduler",
            "`factor` is for halving, but the name is asha",
        ),
        ({"scheduler": {**HALVING, "grace": 2}}, "scheduler", "`grace` is for asha"),
        ({"scheduler": {**HALVING, "factor": 1}}, "scheduler.factor", "greater than or equal to 2"),
        ({"scheduler": {**HALVING, "by": "epochs"}}, "scheduler.by", "must be 'steps' or 'data'"),
        (
            {"scheduler": HALVING, "training": {"steps": 8}},
            "scheduler.rungs",
            "less than a step: 1/9 of 8",
        ),
        (
            {
                "scheduler": HALVING,
                "training": {"steps": 18},
                "adapter": {"target_rank": 1, "t_init": 7, "t_final": 7},
            },
            "scheduler.rungs",
            "in the first rung, 1/9 of a run: adapter.",
        ),
        (
            {
                "scheduler": HALVING,
                "objectives": [{"metric": "accuracy"}, {"metric": "kept_parameters"}],
            },
            "scheduler.name",
            "halving ranks by one score",
        ),
        (
            {
                "scheduler": HALVING,
                "search": {"training.epochs": {"type": "float", "low": 1.0, "high": 2.0}},
            },
            "scheduler.name",
            "training.epochs is searched",
        ),
    ],
)
def test_what_cannot_be_halved_is_refused_with_the_reason(
    changes: dict[str, Any], key: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        space_of(**changes)
    assert [problem.key for problem in caught.value.problems] == [key]
    assert words in caught.value.problems[0].message


def test_a_halved_space_knows_its_runs_and_what_they_take() -> None:
    space = space_of(scheduler=HALVING, trials=27)
    assert space.runs == 27 + 9 + 3 + 1  # head-only
    assert space.whole_runs == pytest.approx(27 / 9 + 9 / 3 + 3 + 1)
    assert not space.rung_config({}, 1).training.score_test
    assert not space.rung_config({}, 2).training.score_test
    assert space.rung_config({}, 3) == space.run_config()
    assert space.trial_config({}) == space.rung_config({}, 1)
    assert not space.search_task.is_pruned
