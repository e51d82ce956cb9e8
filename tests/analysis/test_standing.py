from __future__ import annotations

import pytest

from lora2_search.analysis.study import caveats
from lora2_search.config.run import RunConfig
from tests.support.suites import record

NO_BETTER = "The winner is no better than head-only on the validation split."


@pytest.mark.parametrize(
    ("scores", "floor", "said"),
    [
        ({}, 0.5, []),
        ({0: None}, 0.5, []),
        ({0: 0.6, 1: 0.7}, 0.5, []),
        ({0: 0.6, 1: 0.7}, None, []),
        ({0: 0.5}, 0.5, [NO_BETTER]),
        ({0: 0.4, 1: 0.3}, 0.5, [NO_BETTER]),
        ({2: 0.6, 0: 0.6, 1: 0.5, 3: None}, 0.5, ["Trials 0, 2 tie; the first is shown."]),
        (
            dict.fromkeys(range(10), 0.6),
            0.5,
            ["Trials 0, 1, 2, 3, 4, 5, 6, 7 and 2 more tie; the first is shown."],
        ),
    ],
)
def test_ties_and_a_floor_that_is_not_beaten_are_said(
    scores: dict[int, float | None], floor: float | None, said: list[str]
) -> None:
    config = RunConfig(task="rte", method="head-only")
    reference = floor and record(config, scores={"validation/accuracy": floor})
    assert caveats(scores, reference or None, "accuracy") == said


def test_a_head_only_run_that_goes_on_is_no_floor_yet() -> None:
    config = RunConfig(task="rte", method="head-only")
    running = record(config, scores={"validation/accuracy": 0.9}, status="running")
    assert caveats({0: 0.5}, running, None) == []


def test_a_reference_that_is_not_beaten_is_said_by_its_name() -> None:
    config = RunConfig(task="rte", method="lora")
    lora = record(config, scores={"validation/accuracy": 0.8})
    failed = record(config, scores={"validation/accuracy": 0.9}, status="failed")
    said = caveats({0: 0.75}, None, "accuracy", {"lora": lora, "broken": failed})
    assert said == ["The winner is no better than lora on the validation split."]
    assert caveats({0: 0.85}, None, "accuracy", {"lora": lora}) == []
