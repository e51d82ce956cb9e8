from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from lora2_search.analysis.comparison import Analysis, analyse, analyse_tasks
from lora2_search.analysis.factorial import effect_of
from lora2_search.analysis.records import read_suite, read_tasks
from lora2_search.errors import UserError
from lora2_search.stats.equivalence import tost, tost_crossed
from lora2_search.stats.sequential import repeated_p
from lora2_search.stats.significance import crossed, holm
from tests.support.designs import crossed_suite
from tests.support.suites import Answers, draws, suite, write_suite

RATES = {
    **{"base": 0.8, "one-plane": 0.76, "unregularised": 0.7, "one-plane.unregularised": 0.55},
    "head-only": 0.5,
}
INTERACTION = "planes × regularisation: one-plane, unregularised"


def analysed(folder: Path, answers: Answers | None = None, **changes: object) -> Analysis:
    plan = crossed_suite(**{"seeds": 6, "comparisons": [], **changes})
    return analyse(read_suite(write_suite(folder, plan, answers or draws(RATES, 100))))


def test_a_main_effect_is_one_number_a_seed_and_a_t_test_with_one_df_less(tmp_path: Path) -> None:
    analysis = analysed(tmp_path)
    scores = {arm.name: np.array(list(arm.scores.values())) for arm in analysis.arms}
    with_one = (scores["one-plane"] + scores["one-plane.unregularised"]) / 2
    with_two = (scores["base"] + scores["unregularised"]) / 2
    item = {item.name: item for item in analysis.family}["planes: one-plane"]
    assert list(item.differences.values()) == pytest.approx((with_one - with_two).tolist())
    test = stats.ttest_rel(with_one, with_two)
    assert item.paired.p == pytest.approx(test.pvalue, abs=1e-8) and test.df == 5


def test_an_interaction_is_the_difference_of_differences_sentence_by_sentence_too(
    tmp_path: Path,
) -> None:
    answers = draws(RATES, 100)
    item = {item.name: item for item in analysed(tmp_path, answers).family}[INTERACTION]
    right = {arm: np.array([answers(arm, s) for s in range(6)], dtype=float) for arm in RATES}
    d = (right["one-plane.unregularised"] - right["unregularised"]) - (
        right["one-plane"] - right["base"]
    )
    assert list(item.differences.values()) == pytest.approx(d.mean(axis=1).tolist())
    ours, theirs = item.crossed, crossed(d)
    assert (ours.p, ours.low, ours.df) == pytest.approx((theirs.p, theirs.low, theirs.df))


@pytest.mark.parametrize("metric", ["accuracy", "exact_match"])
def test_a_share_of_right_answers_is_tested_by_the_crossed_test(
    metric: str, tmp_path: Path
) -> None:
    draw = draws({"base": 0.8, "lora": 0.7}, 50)
    right = {arm: np.array([draw(arm, seed) for seed in range(6)]) for arm in ("base", "lora")}
    plan = suite(
        task="reviews" if metric == "exact_match" else "sentiment",
        floor=None,
        arms={"lora": {"method": "lora"}},
        equivalence=[{"arm": "lora", "margin": 0.05}],
    )
    special = {run: {"metric": metric} for run in product(right, range(6))}
    analysis = analyse(read_suite(write_suite(tmp_path, plan, draw, special)))
    (item,), (claim,) = analysis.family, analysis.equivalence
    expected = crossed(right["lora"].astype(float) - right["base"])
    assert (item.crossed.p, item.crossed.df) == pytest.approx((expected.p, expected.df))
    assert claim.on_new_sentences.p == pytest.approx(tost_crossed(expected, 0.05).p)


def test_pairs_and_contrasts_are_one_family(tmp_path: Path) -> None:
    analysis = analysed(tmp_path, comparisons=[["one-plane", "base"]])
    assert [item.name for item in analysis.family][0] == "one-plane − base"
    assert len(analysis.family) == analysis.tests == 4
    corrected = holm([item.paired.p for item in analysis.family])
    assert [item.paired_holm for item in analysis.family] == corrected


def test_a_contrast_needs_all_its_arms_and_a_pair_only_its_own(tmp_path: Path) -> None:
    draw = draws(RATES, 100)

    def answers(arm: str, seed: int) -> np.ndarray | None:
        return None if (arm, seed) == ("unregularised", 0) else draw(arm, seed)

    analysis = analysed(tmp_path, answers, comparisons=[["one-plane", "base"]])
    assert [item.paired.n for item in analysis.family] == [6, 5, 5, 5]
    assert [item.crossed.n for item in analysis.family] == [6, 5, 5, 5]


def test_an_arm_with_weight_zero_need_not_have_run(tmp_path: Path) -> None:
    weights = {"one-plane": 2.0, "base": -2.0, "unregularised": 0.0}
    draw = draws(RATES, 100)
    analysis = analysed(
        tmp_path,
        lambda arm, seed: None if arm == "unregularised" else draw(arm, seed),
        contrasts={"twice": weights},
    )
    item = next(item for item in analysis.family if item.name == "twice")
    assert item.paired.n == 6 and set(item.weights) == {"one-plane", "base"}


def test_effects_are_read_from_the_cells(tmp_path: Path) -> None:
    suite_runs = analysed(tmp_path).suite
    main = effect_of(suite_runs.plan.contrasts["planes: one-plane"], suite_runs)
    assert main is not None
    assert (main.levels, main.bases) == (("one-plane",), ("two-planes",))
    assert main.others == ("regularisation",)
    both = effect_of(suite_runs.plan.contrasts[INTERACTION], suite_runs)
    assert both is not None and both.bases == ("two-planes", "regularised") and both.others == ()


@pytest.mark.parametrize(
    "weights",
    [{"one-plane": 1.0, "base": -1.0}, {"one-plane": 1.0, "unregularised": -1.0}],
)
def test_a_contrast_is_no_main_effect_by_its_name_alone(
    tmp_path: Path, weights: dict[str, float]
) -> None:
    suite_runs = analysed(tmp_path).suite
    assert effect_of(weights, suite_runs) is None
    doubled = {arm: 2 * by for arm, by in suite_runs.plan.contrasts["planes: one-plane"].items()}
    assert effect_of(doubled, suite_runs) is None


def test_claims_of_equality_are_tested_on_both_questions_and_corrected_together(
    tmp_path: Path,
) -> None:
    claims = [
        {"arm": arm, "reference": "base", "margin": margin}
        for arm, margin in (("one-plane", 0.2), ("unregularised", 0.05))
    ]
    answers = draws(RATES, 100)
    analysis = analysed(tmp_path, answers, equivalence=claims)
    first, second = analysis.equivalence
    assert first.on_this_set == tost(list(first.differences.values()), 0.2)
    assert first.shown and not second.shown
    assert first.on_this_set_holm == pytest.approx(2 * (first.on_this_set.p or 1))
    d = [answers("one-plane", s).astype(float) - answers("base", s) for s in range(6)]
    both = crossed(np.array(d))
    sides = [
        stats.t.sf((0.2 + s * (both.estimate or 0)) / (both.error or 1), both.df) for s in (1, -1)
    ]
    assert first.on_new_sentences.p == pytest.approx(max(sides), abs=1e-8)


def test_arms_that_nothing_names_are_exploratory_and_outside_the_family(tmp_path: Path) -> None:
    arms = {
        "gamma-0.2": {"adapter.gamma": 0.2},
        "gamma-0.3": {"adapter.gamma": 0.3},
        "head-only": {"method": "head-only"},
    }
    plan = suite(arms=arms, comparisons=[["gamma-0.2", "base"]])
    rates = {"base": 0.8, "gamma-0.2": 0.8, "gamma-0.3": 0.7, "head-only": 0.5}
    analysis = analyse(read_suite(write_suite(tmp_path, plan, draws(rates, 100))))
    assert [item.name for item in analysis.exploratory] == ["gamma-0.3 − base"]
    assert analysis.exploratory[0].paired_holm is None and analysis.tests == 1


def test_holm_spans_all_tasks(tmp_path: Path) -> None:
    plan = crossed_suite(seeds=6, tasks={"short": {}, "long": {"data.max_length": 64}})
    found = analyse_tasks(write_suite(tmp_path, plan, draws(RATES, 100)))
    assert list(found) == ["short", "long"]
    p_values = [item.paired.p for analysis in found.values() for item in analysis.family]
    corrected = [item.paired_holm for analysis in found.values() for item in analysis.family]
    assert corrected == holm(p_values) and len(p_values) == 8
    assert found["long"].suite.plan.data.max_length == 64
    assert [analysis.claims for analysis in found.values()] == [2, 2]
    with pytest.raises(UserError, match="2 tasks"):
        read_suite(tmp_path)


def until_decided(folder: Path, seeds: int, answers: Answers) -> Analysis:
    plan = crossed_suite(comparisons=[], seeds=seeds, until_decided=True)
    return analyse(read_suite(write_suite(folder, plan, answers)))


def test_what_looking_often_leaves_is_what_the_looks_give_one_by_one(tmp_path: Path) -> None:
    analysis = until_decided(tmp_path, 8, draws({**RATES, "unregularised": 0.74}, 60, 0.03))
    assert analysis.looks == (4, 6, 8)
    assert all((item.paired_holm or 1) <= 0.05 for item in analysis.family)
    assert not analysis.equivalence[0].shown
    p_values = [item.paired.p for item in analysis.family]
    assert [item.paired_holm for item in analysis.family] == holm(p_values)
    claim = analysis.equivalence[0]
    pairs = list(claim.differences.values())
    each = [tost(pairs[:n], claim.claim.margin).p for n in (4, 6, 8)]
    assert claim.on_this_set.p == repeated_p(each, [4, 6, 8], 20, sides=1)
    for item in analysis.family:
        d = list(item.differences.values())
        each = [stats.ttest_1samp(d[:n], 0).pvalue for n in (4, 6, 8)]
        assert item.paired.p == pytest.approx(repeated_p(each, [4, 6, 8], 20), rel=1e-6)
        fixed = stats.ttest_1samp(d, 0).confidence_interval(0.95)
        assert (item.paired.low or 0) < fixed.low and (item.paired.high or 0) > fixed.high
        assert item.paired.method == "repeated t"
    # Told in the forest plot beside them, so it must hold for all looks too.
    assert claim.paired.method == "repeated t"


def test_a_look_whose_runs_have_not_all_ended_has_not_been_taken(tmp_path: Path) -> None:
    draw = draws(RATES, 60)

    def answers(arm: str, seed: int) -> np.ndarray | None:
        return None if (arm, seed) == ("one-plane", 5) else draw(arm, seed)

    analysis = until_decided(tmp_path, 8, answers)
    assert analysis.looks == (4,)
    assert {item.paired.n for item in analysis.family} == {4}


def test_a_seed_that_failed_is_left_out_of_its_look_and_no_other_moves_up(tmp_path: Path) -> None:
    plan = crossed_suite(comparisons=[], seeds=6, until_decided=True)
    draw = draws(RATES, 60, 0.03)
    lost = ("one-plane", 1)
    told = {lost: {"status": "failed", "error": "OSError: disk full", "scores": {}}}
    folder = write_suite(
        tmp_path, plan, lambda arm, seed: None if (arm, seed) == lost else draw(arm, seed), told
    )
    item = analyse(read_suite(folder)).family[0]
    d = list(item.differences.values())
    assert list(item.differences) == [0, 2, 3, 4, 5] and item.paired.n == 5
    each = [stats.ttest_1samp(d[:n], 0).pvalue for n in (3, 5)]
    assert item.paired.p == pytest.approx(repeated_p(each, [3, 5], 20), rel=1e-6)


def test_before_the_first_look_nothing_is_tested(tmp_path: Path) -> None:
    draw = draws(RATES, 60)
    analysis = until_decided(tmp_path, 4, lambda arm, seed: draw(arm, seed) if seed else None)
    assert analysis.looks == () and analysis.trained is None and not analysis.gives_verdicts
    for item in (*analysis.family, analysis.floor):
        assert (
            item is not None
            and item.paired.p is None
            and "first interim analysis" in item.paired.note
        )
        assert item.crossed.p is None and "first interim analysis" in item.crossed.note
    assert "first interim analysis" in analysis.equivalence[0].on_this_set.note


def test_the_sign_flip_test_waits_for_the_look_at_which_it_can_reject(tmp_path: Path) -> None:
    item = until_decided(tmp_path, 8, draws(RATES, 60)).family[0]
    # 2^-9 is above the bound at 10 seeds, 0.00193, and 2^-11 below that at 12, 0.00266.
    assert item.sign_flip is None and item.sign_flip_seeds == 12


def test_a_folder_of_one_task_is_read_as_one(tmp_path: Path) -> None:
    write_suite(tmp_path, crossed_suite(), draws(RATES, 20))
    assert list(read_tasks(tmp_path)) == [""]
    assert read_suite(tmp_path).plan.equivalence[0].margin == 0.05
