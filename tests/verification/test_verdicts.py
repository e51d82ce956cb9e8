from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lora2_search.stats.equivalence import Equivalence, tost
from lora2_search.stats.result import TestResult
from lora2_search.stats.significance import Paired, paired
from lora2_search.verification.page.rows import Row
from lora2_search.verification.plan import Plan, chosen_plan
from lora2_search.verification.results import Results
from lora2_search.verification.verdicts import pruning, ranking, scoring, start, truth
from lora2_search.verification.verdicts.planes import rows as planes_rows

PLAN = chosen_plan(seeds=6)
LEARNT = paired([0.10, 0.11, 0.09, 0.10, 0.12, 0.10])


def results(parts: Mapping[tuple[str, int], Mapping[str, Any]], plan: Plan = PLAN) -> Results:
    return Results(plan, parts)


def judged(differences: list[float], floor: Paired = LEARNT, quick: bool = False) -> str:
    return pruning.verdict(floor, paired(differences), tost(differences, 0.02), quick)


@pytest.mark.parametrize(
    ("differences", "words"),
    [
        ([0.001, -0.002, 0.0, 0.003, -0.001, 0.0], "holds: no difference beyond the margin"),
        ([-0.05, -0.06, -0.04, -0.05, -0.055, -0.05], "does not hold here: the pruned runs"),
        ([0.05, 0.06, 0.04, 0.05, 0.055, 0.05], "more than holds here"),
        ([-0.01, -0.011, -0.009, -0.01, -0.012, -0.01], "scores lower, by less than the margin"),
        ([0.05, -0.06, 0.04, -0.05, 0.03, -0.02], "not told: neither"),
        ([0.0] * 6, "not told: no seed variation"),
    ],
)
def test_pruning_is_judged_in_words_that_its_tests_allow(
    differences: list[float], words: str
) -> None:
    assert judged(differences).startswith(words)


def test_without_a_learnt_adapter_there_is_no_verdict_on_pruning() -> None:
    equal = [0.001, -0.002, 0.0, 0.003, -0.001, 0.0]
    assert judged(equal, paired([0.01, -0.02, 0.01, 0.0, 0.02, -0.01])) == (
        "not trained enough to tell"
    )
    assert judged(equal, paired([-0.1, -0.11, -0.12, -0.1, -0.1, -0.1])) == (
        "not trained enough to tell"
    )
    assert judged(equal, Paired(n=1, estimate=0.1)) == "not trained enough to tell"


def test_a_quick_verification_proves_nothing_by_statistics() -> None:
    assert judged([0.001, -0.002, 0.0], quick=True) == "too little to tell"
    assert pruning.verdict(LEARNT, LEARNT, Equivalence(n=6, margin=0.02, p=0.001), True) == (
        "too little to tell"
    )


def test_diverged_runs_count_as_the_commonest_answer_and_are_named() -> None:
    def scored(value: float) -> dict[str, Any]:
        return {"score": {"metric": "accuracy", "score": value, "majority": 0.5}}

    parts: dict[tuple[str, int], dict[str, Any]] = {}
    for seed in range(3):
        parts["unpruned", seed] = scored(0.8 + seed / 100)
        parts["head-only", seed] = scored(0.6)
        parts["pruned", seed] = scored(0.8)
    parts["pruned", 2] = {"diverged": "the loss is no longer finite", "majority": 0.5}
    row = pruning.rows(results(parts))[0]
    assert row.numbers["score_pruned"] == pytest.approx(0.7)
    assert "pruned, seed 2" in row.says


def started(value: float, moved: float = 1.0) -> Row:
    found = {"gaussian, k=1, r=1": value, "gaussian, k=8, r=8": 0.0}
    found |= {"differs": moved, "sentences": 32}
    return start.rows(results({("start", 0): {"start": found}}))[0]


@pytest.mark.parametrize(
    ("value", "moved", "verdict"),
    [(0.0, 1.0, "holds"), (1e-9, 1.0, "does not hold"), (0.0, 0.0, "does not hold")],
)
def test_the_start_holds_only_to_the_last_bit(value: float, moved: float, verdict: str) -> None:
    assert started(value, moved).verdict == verdict


def agreement(
    tau: float = 0.9, kept: float = 0.8, swapped: int = 0, spread: float = 0.0
) -> dict[str, Any]:
    pair = {"tau": tau, "kept": kept}
    point = {
        "step": 5,
        "budget": 10,
        "full": {"reduced": pair, "values": pair},
        "reduced": {"full": pair, "values": pair},
        "within": {
            "pairs": 28,
            "swapped": swapped,
            "kept": 1.0 if not swapped else 0.9,
            "offset_spread_within": spread,
            "offset_sd_across": 0.5,
            "offset_median": 1.0,
            "reduced_sd": 1.0,
        },
    }
    return {
        "points": [point],
        "microseconds": {"full": 300.0, "reduced": 100.0, "values": 50.0},
        "averaged": {"full": 1000, "reduced": 20, "values": 8},
        "step_microseconds": 200_000.0,
        "scored_full": 1000,
        "scored_reduced": 20,
    }


@pytest.mark.parametrize(
    ("measured", "within", "across"),
    [
        (agreement(tau=1.0, kept=1.0), "holds", "holds"),
        (agreement(), "holds", "does not hold"),
        (agreement(swapped=1, spread=1e-7), "holds but for rounding", "does not hold"),
        (agreement(swapped=1, spread=0.1), "does not hold", "does not hold"),
    ],
)
def test_an_unaffected_ranking_is_one_without_a_single_swap(
    measured: dict[str, Any], within: str, across: str
) -> None:
    found = ranking.rows(results({("unpruned", 0): {"agreement": measured}}))
    assert [row.verdict for row in found] == [within, across]


def test_counts_and_time_are_told_apart() -> None:
    count, time, others = scoring.rows(results({("pruned", 0): {"agreement": agreement()}}))
    assert count.numbers["saved"] == pytest.approx(0.98)
    assert "98.00%" in count.verdict and "not 98.5 %" in count.verdict
    assert time.numbers["time_saved"] == pytest.approx(2 / 3)
    assert time.numbers["step_microseconds"] == 200_000
    assert others.numbers["values_numbers"] == 8


def truths(correlated: float, seeds: int = 6) -> dict[tuple[str, int], dict[str, Any]]:
    """A truth, and a reduced score that is it plus noise; the full one is all noise."""
    parts = {}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        change = rng.normal(size=200)
        halves = [change + rng.normal(size=200), change + rng.normal(size=200)]
        scores = {
            "reduced": correlated * change + rng.normal(size=200),
            "full": rng.normal(size=200),
        }
        point = {
            "step": 4,
            "change": change.tolist(),
            "halves": [half.tolist() for half in halves],
            "scores": {name: score.tolist() for name, score in scores.items()},
            "seconds": 1.0,
        }
        parts["unpruned", seed] = {"truth": {"points": [point], "sentences": 48}}
    return parts


def test_a_score_that_follows_the_truth_is_found_and_one_that_does_not_is_not() -> None:
    tracks, full = truth.rows(results(truths(2.0)))
    assert tracks.verdict.endswith("and follows which way (ΔL)")
    assert tracks.numbers["rho_reduced"] > 0.7
    assert tracks.numbers["rho_repeated"] > 0.5
    assert full.verdict == "reduced scoring is nearer to the truth (paired t)"
    noise, both = truth.rows(results(truths(0.0)))
    assert noise.verdict == (
        "reduced scoring is not shown to follow how much zeroing changes the loss (|ΔL|); "
        "which way (ΔL) is not shown"
    )
    assert both.verdict == "not shown to differ"


def rho(estimate: float, low: float | None = None, high: float | None = None) -> TestResult:
    return TestResult(estimate=estimate, low=low, high=high)


def test_a_score_can_follow_how_much_without_following_which_way() -> None:
    found = truth.tracks_verdict(rho(0.0, -0.1, 0.1), rho(0.7, 0.6, 0.8))
    assert found == (
        "reduced scoring follows how much zeroing changes the loss (|ΔL|); "
        "which way (ΔL) is not shown"
    )
    against = truth.tracks_verdict(rho(-0.2, -0.3, -0.1), rho(0.7, 0.6, 0.8))
    assert against.endswith("and ranks against which way (ΔL)")
    assert truth.tracks_verdict(rho(0.5), rho(0.5)) == "too little to tell"


def test_a_quick_truth_is_too_little_to_tell() -> None:
    quick = replace(PLAN, quick=True)
    assert {row.verdict for row in truth.rows(results(truths(2.0, 2), quick))} == {
        "too little to tell"
    }


def planes(end: float, flips: float = 0.1) -> dict[str, Any]:
    point = {
        "step": 0,
        "overlap": 0.01,
        "with_increment": None,
        "angle": 1e-11,
        "contrast": 89.0,
        "error_outer": 2.0,
        "error_inner": 2.5,
    }
    last = point | {"step": 9, "overlap": end, "with_increment": 0.02}
    flipped = {"increment": 0.0, "mean": flips, "largest": flips, "flips": 8}
    return {"planes": {"points": [point, last], "flips": flipped}}


def test_the_overlap_is_compared_by_seed_and_the_planes_never_part() -> None:
    parts: dict[tuple[str, int], dict[str, Any]] = {}
    for seed in range(6):
        parts["unpruned", seed] = planes(0.01 + seed / 1000)
        parts["no-regulariser", seed] = planes(0.10 + seed / 900)
        parts["cross", seed] = planes(0.005 + seed / 1000)
    angles, overlap, increment, errors, flips = planes_rows(results(parts))
    assert angles.verdict == "does not hold"
    assert overlap.verdict.startswith("lower with the regularisers")
    assert overlap.numbers["cross_minus_without"] == pytest.approx(-0.005)
    assert increment.numbers["with_increment_unpruned"] == pytest.approx(0.02)
    assert errors.numbers["error_outer_unpruned"] == 2.0
    assert flips.verdict == "does not hold"
