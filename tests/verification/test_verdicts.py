from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from lora2_search.config.run import RunConfig
from lora2_search.stats.equivalence import Equivalence, tost
from lora2_search.stats.result import TestResult
from lora2_search.stats.significance import Paired, paired
from lora2_search.verification.measurements import (
    AgreementPoint,
    AgreementResult,
    GrowthPoint,
    GrowthResult,
    Measurements,
    Pair,
    PlanesPoint,
    PlanesResult,
    ScoreResult,
    SignFlips,
    StartResult,
    TruthPoint,
    TruthResult,
    Within,
)
from lora2_search.verification.page.rows import Row
from lora2_search.verification.plan import Plan, make_plan
from lora2_search.verification.results import Results
from lora2_search.verification.verdicts import learning, pruning, ranking, scoring, start, truth
from lora2_search.verification.verdicts.planes import rows as planes_rows

PLAN = make_plan(seeds=6)
LEARNT = paired([0.10, 0.11, 0.09, 0.10, 0.12, 0.10])


def results(parts: Mapping[tuple[str, int], Measurements], plan: Plan = PLAN) -> Results:
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
        ([0.05, -0.06, 0.04, -0.05, 0.03, -0.02], "undecided: neither"),
        ([0.0] * 6, "undecided: no seed variation"),
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
    assert judged([0.001, -0.002, 0.0], quick=True) == "too few runs to tell"
    assert pruning.verdict(LEARNT, LEARNT, Equivalence(n=6, margin=0.02, p=0.001), True) == (
        "too few runs to tell"
    )


def test_diverged_runs_count_as_the_commonest_answer_and_are_named() -> None:
    def scored(value: float) -> Measurements:
        return Measurements(score=ScoreResult("accuracy", value, majority=0.5, kept_rank=8))

    parts: dict[tuple[str, int], Measurements] = {}
    for seed in range(3):
        parts["unpruned", seed] = scored(0.8 + seed / 100)
        parts["head-only", seed] = scored(0.6)
        parts["pruned", seed] = scored(0.8)
    parts["pruned", 2] = Measurements(diverged="the loss is no longer finite", majority=0.5)
    row = pruning.rows(results(parts))[0]
    assert row.numbers["score_pruned"] == pytest.approx(0.7)
    assert "pruned, seed 2" in row.says


def test_a_diverged_run_of_a_language_model_counts_as_no_answer_right() -> None:
    plan = replace(PLAN, config=RunConfig(task="reviews"))
    parts = {
        ("pruned", 0): Measurements(diverged="the loss is no longer finite", majority=None),
        ("pruned", 1): Measurements(score=ScoreResult("exact_match", 0.8, None, kept_rank=8)),
    }
    assert results(parts, plan).scores("pruned") == {0: 0.0, 1: 0.8}


def started(value: float, moved: float = 1.0) -> Row:
    differences = {"gaussian, k=1, r=1": value, "gaussian, k=8, r=8": 0.0}
    found = Measurements(start=StartResult(differences, moved, 32))
    return start.rows(results({("start", 0): found}))[0]


@pytest.mark.parametrize(
    ("value", "moved", "verdict"),
    [(0.0, 1.0, "holds"), (1e-9, 1.0, "does not hold"), (0.0, 0.0, "does not hold")],
)
def test_the_start_holds_only_to_the_last_bit(value: float, moved: float, verdict: str) -> None:
    assert started(value, moved).verdict == verdict


def agreement(
    tau: float = 0.9, kept: float = 0.8, swapped: int = 0, spread: float = 0.0
) -> Measurements:
    pair = Pair(tau, kept)
    within = Within(
        pairs=28,
        swapped=swapped,
        kept=1.0 if not swapped else 0.9,
        offset_spread_within=spread,
        offset_sd_across=0.5,
        offset_median=1.0,
        reduced_sd=1.0,
    )
    full, reduced = {"reduced": pair, "values": pair}, {"full": pair, "values": pair}
    found = AgreementResult(
        points=(AgreementPoint(5, 10, full, reduced, within),),
        microseconds={"full": 300.0, "reduced": 100.0, "values": 50.0},
        averaged={"full": 1000, "reduced": 20, "values": 8},
        step_microseconds=200_000.0,
        scored_full=1000,
        scored_reduced=20,
    )
    return Measurements(agreement=found)


@pytest.mark.parametrize(
    ("measured", "within", "across"),
    [
        (agreement(tau=1.0, kept=1.0), "holds", "holds"),
        (agreement(), "holds", "does not hold"),
        (agreement(swapped=1, spread=1e-7), "holds up to rounding", "does not hold"),
        (agreement(swapped=1, spread=0.1), "does not hold", "does not hold"),
    ],
)
def test_an_unaffected_ranking_is_one_without_a_single_swap(
    measured: Measurements, within: str, across: str
) -> None:
    found = ranking.rows(results({("unpruned", 0): measured}))
    assert [row.verdict for row in found] == [within, across]


def test_counts_and_time_are_told_apart() -> None:
    count, time, others = scoring.rows(results({("pruned", 0): agreement()}))
    assert count.numbers["saved"] == pytest.approx(0.98)
    assert "98.00%" in count.verdict and "not 98.5 %" in count.verdict
    assert time.numbers["time_saved"] == pytest.approx(2 / 3)
    assert time.numbers["step_microseconds"] == 200_000
    assert others.numbers["values_numbers"] == 8


def truths(correlated: float, seeds: int = 6) -> dict[tuple[str, int], Measurements]:
    """A truth, and a reduced score that is it plus noise; the full one is all noise."""
    parts = {}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        change = rng.normal(size=200)
        one, other = change + rng.normal(size=200), change + rng.normal(size=200)
        scores = {
            "reduced": tuple(correlated * change + rng.normal(size=200)),
            "full": tuple(rng.normal(size=200)),
        }
        point = TruthPoint(4, tuple(change), (tuple(one), tuple(other)), scores, seconds=1.0)
        parts["unpruned", seed] = Measurements(truth=TruthResult((point,), sentences=48))
    return parts


def test_a_score_that_follows_the_truth_is_found_and_one_that_does_not_is_not() -> None:
    tracks, full = truth.rows(results(truths(2.0)))
    assert tracks.verdict.endswith("and in which direction (ΔL)")
    assert tracks.numbers["rho_reduced"] > 0.7
    assert tracks.numbers["rho_repeated"] > 0.5
    assert full.verdict == "reduced scoring is closer to the truth (paired t)"
    noise, both = truth.rows(results(truths(0.0)))
    assert noise.verdict == (
        "reduced scoring is not shown to follow how much zeroing changes the loss (|ΔL|); "
        "the direction (ΔL) is not shown"
    )
    assert both.verdict == "not shown to differ"


def rho(estimate: float, low: float | None = None, high: float | None = None) -> TestResult:
    return TestResult(estimate=estimate, low=low, high=high)


def test_a_score_can_follow_how_much_without_following_which_way() -> None:
    found = truth.tracks_verdict(rho(0.0, -0.1, 0.1), rho(0.7, 0.6, 0.8))
    assert found == (
        "reduced scoring follows how much zeroing changes the loss (|ΔL|); "
        "the direction (ΔL) is not shown"
    )
    against = truth.tracks_verdict(rho(-0.2, -0.3, -0.1), rho(0.7, 0.6, 0.8))
    assert against.endswith("but ranks against the direction (ΔL)")
    assert truth.tracks_verdict(rho(0.5), rho(0.5)) == "too few runs to tell"


def test_a_quick_truth_is_too_little_to_tell() -> None:
    quick = replace(PLAN, quick=True)
    assert {row.verdict for row in truth.rows(results(truths(2.0, 2), quick))} == {
        "too few runs to tell"
    }


def planes(end: float, flips: float = 0.1) -> Measurements:
    point = PlanesPoint(
        step=0,
        overlap=0.01,
        with_increment=None,
        angle=1e-11,
        contrast=89.0,
        errors={"outer": 2.0, "inner": 2.5},
    )
    last = replace(point, step=9, overlap=end, with_increment=0.02)
    flipped = SignFlips(increment=0.0, mean=flips, largest=flips, flips=8)
    return Measurements(planes=PlanesResult((point, last), flipped))


def test_the_overlap_is_compared_by_seed_and_the_planes_never_part() -> None:
    parts: dict[tuple[str, int], Measurements] = {}
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


def growth(scores: list[float], returned: int) -> dict[int, Measurements]:
    found = GrowthResult({1: {"u": 0.5, "λ": 0.0}}, (GrowthPoint(63, 2.0),), 144, returned)
    return {
        seed: Measurements(growth=found, score=ScoreResult("accuracy", score, 0.5, 72))
        for seed, score in enumerate(scores)
    }


@pytest.mark.parametrize(
    ("recommended", "verdict"),
    [
        ([0.75, 0.76, 0.74, 0.77], "the recommended one scores higher (paired t)"),
        ([0.60, 0.61, 0.62, 0.60], "the recommended one scores lower (paired t)"),
        ([0.70, 0.72, 0.69, 0.71], "not shown to differ"),
    ],
)
def test_the_initialisation_is_judged_by_a_paired_test(
    recommended: list[float], verdict: str
) -> None:
    published = growth([0.70, 0.71, 0.70, 0.71], returned=61)
    arms = {"pruned": published, "recommended": growth(recommended, returned=1)}
    parts = {(arm, seed): found for arm, seeds in arms.items() for seed, found in seeds.items()}
    (row,) = learning.rows(results(parts))
    assert row.verdict == verdict
    assert "published: gradients u 0.5, λ 0; ‖ΔW‖ at the end 2; 244 of 576 masked" in row.measured
    assert row.numbers["returned_recommended"] == 4
    quick = results(parts, replace(PLAN, quick=True))
    assert learning.rows(quick)[0].verdict == "too few runs to tell"
