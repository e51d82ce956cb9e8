from __future__ import annotations

import math
from typing import Any

import pytest
from ray.tune.experiment import Trial

from lora2_search.execution.result import FAILED, INTERVAL, SCORE, STANDARD_ERROR
from lora2_search.execution.schedulers import ResumableASHA, make_scheduler


def trial(name: str, past: list[list[float]] | None = None, judged: bool = True) -> Trial:
    item = Trial("run", trial_id=name, stub=True)
    item.config = {"past": past or [], "judged": judged}
    return item


def result(interval: int, score: float, **more: Any) -> dict[str, Any]:
    return {INTERVAL: interval, SCORE: score, FAILED: "", **more}


def verdict(asha: ResumableASHA, item: Trial, interval: int, score: float) -> str:
    return asha.on_trial_result(None, item, result(interval, score))


PAST = [{1: 0.5, 2: 0.6, 3: 0.7}, {1: 0.4, 2: 0.5, 3: 0.6}, {1: 0.3, 2: 0.3}]


@pytest.mark.parametrize(("score", "expected"), [(0.3, "STOP"), (0.9, "CONTINUE")])
def test_after_a_resume_a_trial_is_compared_with_those_that_ended_before(
    score: float, expected: str
) -> None:
    asha = ResumableASHA(last=9, grace=3, reduction_factor=3, past=PAST)
    item = trial("new")
    asha.on_trial_add(None, item)
    assert verdict(asha, item, 1, 0.0) == "CONTINUE"  # grace
    assert verdict(asha, item, 2, 0.0) == "CONTINUE"
    assert verdict(asha, item, 3, score) == expected


def test_a_trial_taken_up_again_stands_in_a_rung_once() -> None:
    asha = ResumableASHA(last=9, grace=3, reduction_factor=3)
    weak, again = trial("weak"), trial("again", past=[[1, 0.5], [2, 0.5], [3, 0.9]])
    asha.on_trial_add(None, again)
    asha.on_trial_add(None, again)  # its process died: Tune adds it once more
    verdict(asha, again, 3, 0.9)
    asha.on_trial_add(None, weak)
    assert asha.rungs[3] == {"again": 0.9}
    assert verdict(asha, weak, 3, 0.8) == "STOP"


def test_failures_and_references_enter_no_rung() -> None:
    asha = ResumableASHA(last=9, grace=1, reduction_factor=3)
    failed, reference, good = trial("failed"), trial("reference", judged=False), trial("good")
    for item in (failed, reference, good):
        asha.on_trial_add(None, item)
    assert verdict(asha, reference, 1, 0.99) == "CONTINUE"
    asha.on_trial_complete(None, failed, result(1, math.nan, failed="diverged"))
    asha.on_trial_complete(None, reference, result(9, 0.99))
    assert verdict(asha, good, 1, 0.1) == "CONTINUE"
    assert all(set(recorded) <= {"good"} for recorded in asha.rungs.values())


def test_without_a_scheduler_everything_goes_on() -> None:
    scheduler = make_scheduler("none", 9, 1, 3, PAST)
    assert scheduler.on_trial_result(None, trial("weak"), result(3, 0.0)) == "CONTINUE"


def test_a_trial_within_noise_of_one_that_goes_on_is_not_stopped() -> None:
    asha = ResumableASHA(last=4, grace=2, reduction_factor=3)
    verdicts = {}
    for name, score in (("a", 0.762), ("b", 0.760), ("c", 0.758), ("d", 0.646)):
        item = trial(name)
        asha.on_trial_add(None, item)
        noise = {STANDARD_ERROR: math.sqrt(score * (1 - score) / 500)}
        verdicts[name] = asha.on_trial_result(None, item, result(2, score, **noise))
    assert verdicts == {"a": "CONTINUE", "b": "CONTINUE", "c": "CONTINUE", "d": "STOP"}


@pytest.mark.parametrize("resumed", [False, True])
def test_a_trial_that_ties_with_one_that_went_on_goes_on(resumed: bool) -> None:
    scores = [{2: 0.70, 4: 0.72}, {2: 0.80, 4: 0.82}, {2: 0.60}]
    asha = ResumableASHA(4, 2, 3, past=scores if resumed else ())
    if not resumed:
        for number, past in enumerate(scores):
            verdict(asha, trial(f"t{number}"), 2, past[2])
    assert verdict(asha, trial("as the first"), 2, 0.70) == "CONTINUE"
    assert verdict(asha, trial("as the stopped"), 2, 0.60) == "STOP"
