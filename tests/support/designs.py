"""Small suites with a design, with several tasks, and in every state of disrepair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lora2_search.config.suite.schema import Suite
from tests.support.suites import Answers, draws, suite, write_suite

RATES = {"base": 0.8, "no-regularisation": 0.65, "random-allocation": 0.8, "head-only": 0.5}
FACTORS = {
    "planes": {"one-plane": {"adapter.k": []}, "two-planes": {}},
    "regularisation": {"unregularised": {"adapter.gamma": 0.0}, "regularised": {}},
}


def crossed_suite(**changes: Any) -> Suite:
    """Two factors crossed, a margin of equality, and the head alone."""
    given: dict[str, Any] = {
        "design": "crossed",
        "factors": FACTORS,
        "arms": {"head-only": {"method": "head-only"}},
        "comparisons": [["one-plane", "base"]],
        "equivalence": [{"arm": "one-plane", "reference": "base", "margin": 0.05}],
        "seeds": 4,
    }
    return suite(**{**given, **changes})


def crossed_answers(examples: int = 200) -> Answers:
    """Return answers of a crossed suite in which only regularisation matters."""
    rates = {"base": 0.8, "one-plane": 0.8, "unregularised": 0.7, "one-plane.unregularised": 0.7}
    return draws({**rates, "head-only": 0.5}, examples)


def write_crossed(folder: Path, **changes: Any) -> Path:
    """Write a crossed suite whose runs have all ended."""
    return write_suite(folder, crossed_suite(**changes), crossed_answers())


def in_disrepair(folder: Path, state: str) -> Path:
    """Write a suite in one of the ``STATES``."""
    plan, answers, special = suite(seeds=3), draws(RATES, 60), {}
    if state == "just begun":
        answers = _none
    elif state == "interim":
        answers = _some(answers)
    elif state == "one seed, no comparison":
        arms = {"no-regularisation": {"adapter.gamma": 0.0}}
        plan = suite(arms=arms, floor=None, seeds=1, comparisons=[])
    elif state == "all diverged":
        told = {"status": "failed", "error": "Diverged: the loss is nan", "scores": {}}
        special = {(arm, seed): told for arm in plan.arms for seed in plan.seed_list}
        answers = _none
    elif state == "one arm failed":
        told = {"status": "failed", "error": "OSError: disk full", "history": []}
        special = {("random-allocation", seed): told for seed in plan.seed_list}
        answers = _without(answers, "random-allocation")
    elif state == "all tie":
        answers = _the_same
    elif state == "two tasks":
        plan = suite(seeds=3, tasks={"short": {}, "long": {"data.max_length": 64}})
    elif state == "contrasts, half done":
        plan, answers = crossed_suite(seeds=3), _without(crossed_answers(60), "unregularised")
    return write_suite(folder, plan, answers, special)


STATES = (
    *("just begun", "interim", "one seed, no comparison", "all diverged", "one arm failed"),
    *("all tie", "two tasks", "contrasts, half done"),
)


def _none(arm: str, seed: int) -> np.ndarray | None:
    return None


def _the_same(arm: str, seed: int) -> np.ndarray:
    return np.arange(60) < 40


def _some(answers: Answers) -> Answers:
    return lambda arm, seed: answers(arm, seed) if seed < 1 + (arm == "base") else None


def _without(answers: Answers, missing: str) -> Answers:
    return lambda arm, seed: None if arm == missing else answers(arm, seed)
