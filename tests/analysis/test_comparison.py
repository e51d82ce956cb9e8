from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from lora2_search.analysis.comparison import Analysis, analyse
from lora2_search.analysis.evidence import gather
from lora2_search.analysis.records import read_predictions, read_suite
from lora2_search.config.suite.schema import Suite
from lora2_search.errors import UserError
from lora2_search.report.pages.suite import suite_page
from lora2_search.report.pages.suite_files import report_texts
from lora2_search.report.tables.latex import arms_table
from lora2_search.report.tables.suite import arm_table
from lora2_search.report.words.verdict import notes
from lora2_search.stats.significance import crossed
from tests.support.suites import draws, record, suite, three_classes, write_run, write_suite

RATES = {"base": 0.8, "no-regularisation": 0.72, "random-allocation": 0.8, "head-only": 0.6}
DIVERGED = {"status": "failed", "error": "Diverged: the loss is no longer finite at step 3"}


def analysed(folder: Path, plan: Suite, answers, special=None) -> Analysis:
    return analyse(read_suite(write_suite(folder, plan, answers, special)))


def test_differences_are_those_of_the_stored_predictions(tmp_path: Path) -> None:
    plan = suite()
    analysis = analysed(tmp_path, plan, draws(RATES))
    by_hand = {}
    for arm in plan.arms:
        by_hand[arm] = []
        for seed in range(6):
            run = read_suite(tmp_path).runs[arm, seed]
            said = read_predictions(run, "test")
            assert said is not None
            by_hand[arm].append(np.mean(said.labels == said.predictions))
    for item in (*analysis.family, analysis.floor):
        test = stats.ttest_rel(by_hand[item.arm], by_hand[item.reference])
        assert item.paired.p == pytest.approx(test.pvalue, abs=1e-8)
        difference = np.subtract(by_hand[item.arm], by_hand[item.reference])
        assert list(item.differences.values()) == pytest.approx(difference.tolist())
    assert [(i.arm, i.reference) for i in analysis.family] == plan.pairs


def test_the_crossed_test_is_fed_with_correctness_sentence_by_sentence(tmp_path: Path) -> None:
    answers = draws(RATES, examples=50)
    item = analysed(tmp_path, suite(), answers).family[0]
    d = [answers(item.arm, s).astype(int) - answers("base", s).astype(int) for s in range(6)]
    assert item.crossed == crossed(np.array(d))


def test_the_floor_is_tested_apart_and_holm_spans_the_named_family_only(tmp_path: Path) -> None:
    analysis = analysed(tmp_path, suite(), draws(RATES))
    assert analysis.floor is not None and analysis.trained is True
    assert analysis.floor.paired_holm == analysis.floor.paired.p
    smallest = min(analysis.family, key=lambda item: item.paired.p or 1)
    assert smallest.paired_holm == pytest.approx(2 * (smallest.paired.p or 1))
    assert smallest.sign_flip is None and smallest.sign_flip_seeds == 7
    assert analysis.floor.sign_flip == pytest.approx(2 / 64)


def test_a_base_no_better_than_head_only_was_not_trained(tmp_path: Path) -> None:
    assert analysed(tmp_path, suite(), draws({**RATES, "base": 0.6})).trained is False


def test_a_base_worse_than_head_only_by_test_was_not_trained_either(tmp_path: Path) -> None:
    assert analysed(tmp_path, suite(), draws({**RATES, "base": 0.4})).trained is False


def test_a_suite_without_a_floor_does_not_know(tmp_path: Path) -> None:
    arms = {"no-regularisation": {"adapter.gamma": 0.0}}
    analysis = analysed(tmp_path, suite(arms=arms, floor=None), draws(RATES))
    assert analysis.trained is None and analysis.floor is None


@pytest.mark.parametrize("error", [DIVERGED["error"], "diverged: the score is NaN at step 20"])
def test_a_diverged_run_counts_as_the_commonest_class(tmp_path: Path, error: str) -> None:
    rare = np.tile([True, True, True, False], 100)  # class 1 is right half as often

    def answers(arm: str, seed: int) -> np.ndarray | None:
        return None if (arm, seed) == ("no-regularisation", 2) else rare

    special = {("no-regularisation", 2): {**DIVERGED, "error": error, "scores": {}}}
    analysis = analysed(tmp_path, suite(), answers, special)
    arm = analysis.arms[1]
    assert arm.diverged == (2,) and arm.scores[2] == 0.5 and len(arm.scores) == 6
    assert analysis.family[0].differences[2] == pytest.approx(-0.25)
    assert analysis.family[0].crossed.n == 6 and arm.failed == {}


LANGUAGE_ARMS = {
    "no-regularisation": {"adapter.gamma": 0.0},
    "no-training": {"method": "no-training"},
}


@pytest.mark.parametrize("task", ["reviews", "commonsense"])
@pytest.mark.parametrize("left", ["predictions", "nothing"])
def test_a_diverged_run_of_a_language_model_has_no_answer_right(
    tmp_path: Path, task: str, left: str
) -> None:
    plan = suite(task=task, arms=LANGUAGE_ARMS, floor="no-training", seeds=4)
    metric = plan.language_metrics[0]
    options = 1 if task == "reviews" else 5
    for run in plan.runs(tmp_path):
        arm, seed = run.arm, run.config.seed
        told = {"metric": metric, "majority": None}
        if (arm, seed) == ("no-regularisation", 2):
            write_run(run.folder, run.config, **told, **DIVERGED, scores={})
            continue
        labels = np.ones(40) if options == 1 else np.arange(40) % options * 1.0
        right = np.arange(40) < (10 if arm == "no-training" else 30)
        wrong = 0.0 if options == 1 else (labels + 2) % options
        answers = np.where(right, labels, wrong)
        write_run(run.folder, run.config, labels=labels, predictions=answers, **told)
        if left == "nothing":
            (run.folder / "predictions.parquet").unlink()
    plan.write(tmp_path)
    analysis = analyse(read_suite(tmp_path))
    arm = analysis.arms[1]
    assert arm.diverged == (2,) and arm.scores[2] == 0.0
    assert analysis.family[0].differences[2] == pytest.approx(-0.75)
    assert analysis.floor is not None and analysis.floor.differences[0] == pytest.approx(0.5)
    if left == "predictions":
        assert analysis.family[0].crossed.n == 4
    assert "has no answer right" in " ".join(notes(analysis))


def test_a_run_whose_score_is_not_finite_diverged(tmp_path: Path) -> None:
    special = {("base", 0): {"scores": {"test/accuracy": float("nan")}}}
    analysis = analysed(tmp_path, suite(), draws(RATES), special)
    assert analysis.arms[0].diverged == (0,)


def test_failed_running_and_missing_runs_are_told_and_only_pairs_are_compared(
    tmp_path: Path,
) -> None:
    draw = draws(RATES)
    left_out = {("base", 0), ("base", 1), ("base", 2)}

    def answers(arm: str, seed: int) -> np.ndarray | None:
        return None if (arm, seed) in left_out else draw(arm, seed)

    special = {
        ("base", 1): {"status": "failed", "error": "OSError: disk full", "scores": {}},
        ("base", 2): {"status": "running", "scores": {}},
    }
    analysis = analysed(tmp_path, suite(), answers, special)
    base = analysis.arms[0]
    assert base.failed == {1: "OSError: disk full"} and base.unfinished == (0, 2)
    assert sorted(analysis.family[0].differences) == [3, 4, 5]
    assert analysis.family[0].paired.n == 3 and analysis.family[0].crossed.n == 3


def test_runs_tested_on_other_sentences_are_not_compared_sentence_by_sentence(
    tmp_path: Path,
) -> None:
    draw, short = draws(RATES), draws(RATES, examples=300)
    item = analysed(
        tmp_path, suite(), lambda arm, seed: (short if arm == "base" else draw)(arm, seed)
    ).family[0]
    assert item.paired.p is not None
    assert item.crossed.p is None and "not tested on the same sentences" in item.crossed.note


def test_an_aa_suite_of_the_same_predictions_differs_in_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    fixed = rng.random((6, 200)) < 0.8

    def answers(arm: str, seed: int) -> np.ndarray:
        return fixed[seed]

    for item in analysed(tmp_path, suite(), answers).family:
        assert (item.paired.p, item.paired.low, item.paired.high) == (1.0, 0.0, 0.0)
        assert (item.crossed.p, item.crossed.low, item.crossed.high) == (1.0, 0.0, 0.0)
        assert item.paired.ties == 6


def test_a_correlation_is_bootstrapped_over_seeds_and_sentences(tmp_path: Path) -> None:
    plan = suite(task="ratings", seeds=3)
    plan.write(tmp_path)
    labels = np.random.default_rng(0).normal(size=80)
    noise = {"base": 0.5, "head-only": 3.0, "no-regularisation": 2.0, "random-allocation": 0.5}
    for run in plan.runs(tmp_path):
        arm, seed = run.arm, run.config.seed
        said = labels + noise[arm] * np.random.default_rng([seed, len(arm)]).normal(size=80)
        write_run(run.folder, run.config, labels=labels, predictions=said, metric="pearson")
    analysis = analyse(read_suite(tmp_path))
    assert analysis.suite.metric == "pearson" and analysis.trained
    first, second = analysis.family
    assert (first.crossed.high or 0) < 0 and "bootstrap" in first.crossed.note
    assert (second.crossed.low or 0) < 0.05 and (second.crossed.p or 0) > 0.05


def test_f1_is_that_of_the_tasks_classes_though_the_test_set_lacks_one(tmp_path: Path) -> None:
    three_classes(tmp_path)
    analysis = analyse(read_suite(tmp_path))
    item = analysis.family[0]
    assert item.crossed.estimate == pytest.approx(item.paired.estimate)
    # Always class 0: 2/3 of class 0 alone, none of class 1 alone, the mean of both is between.
    assert analysis.arms[1].diverged == (2,)
    assert analysis.arms[1].scores[2] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("classes", "shown"),
    [
        (["ham", "spam"], "test f1 (positive: spam)"),
        (["ham", "spam", "eggs"], "test f1 (mean over 3 classes)"),
        ([], "test f1"),
    ],
)
def test_the_score_of_an_arm_is_told_with_the_class_that_it_is_of(
    classes: list[str], shown: str, tmp_path: Path
) -> None:
    plan = suite(task="mrpc", metric="f1", seeds=2)
    plan.write(tmp_path)
    for run in plan.runs(tmp_path):
        write_run(run.folder, run.config, np.arange(20) % 3 > 0, metric="f1", classes=classes)
    analysis = analyse(read_suite(tmp_path))
    assert shown in arm_table(analysis).titles
    assert f"{shown} &" in arms_table(analysis, {})
    # Tables and number are in both.
    evidence = gather(tmp_path)
    assert f"| {shown} |" in report_texts(evidence)["report.md"]
    assert f">{shown}</button>" in suite_page(evidence)


def test_the_commonest_class_is_no_score_of_another_metric(tmp_path: Path) -> None:
    plan = suite(task="cola", seeds=2)
    plan.write(tmp_path)
    for run in plan.runs(tmp_path):
        told = {"metric": "matthews", "majority": 0.69}
        write_run(run.folder, run.config, status="failed", error="Diverged: x", **told)
    assert all(not arm.scores for arm in analyse(read_suite(tmp_path)).arms)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from(["ok", "none", "diverged", "failed"]), min_size=8, max_size=8))
def test_whatever_became_of_the_runs_no_number_is_nan(
    tmp_path_factory: pytest.TempPathFactory, fates: list[str]
) -> None:
    plan = suite(seeds=2)
    fate = dict(zip([(r.arm, r.config.seed) for r in plan.runs(Path())], fates, strict=True))
    special = {key: DIVERGED for key, word in fate.items() if word == "diverged"}
    special |= {key: {"status": "failed"} for key, word in fate.items() if word == "failed"}
    draw = draws(RATES, examples=20)
    folder = tmp_path_factory.mktemp("suite")
    analysis = analysed(
        folder, plan, lambda arm, s: draw(arm, s) if fate[arm, s] == "ok" else None, special
    )
    for item in analysis.family:
        for test in (item.paired, item.crossed):
            assert (test.p is None) <= bool(test.note)
            assert test.estimate is None or np.isfinite(test.estimate)


def test_a_broken_record_is_named(tmp_path: Path) -> None:
    write_suite(tmp_path, suite(), draws(RATES))
    (tmp_path / "runs" / "base-seed1" / "record.json").write_text("{")
    assert read_suite(tmp_path).unreadable == ("base-seed1",)


def test_a_folder_without_a_suite_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no suite"):
        read_suite(tmp_path)


def test_predictions_come_in_the_order_of_the_examples(tmp_path: Path) -> None:
    import pandas as pd

    plan = suite()
    write_run(tmp_path / "r", plan.run_config("base", 0))
    rows = {"split": ["test"] * 3 + ["validation"], "example": [2, 0, 1, 0]}
    pd.DataFrame({**rows, "label": [0.0, 1, 2, 3], "prediction": [4.0, 5, 6, 7]}).to_parquet(
        tmp_path / "r" / "predictions.parquet"
    )
    from lora2_search.analysis.records import Run

    said = read_predictions(Run(tmp_path / "r", record(plan.run_config("base", 0))), "test")
    assert said is not None and said.labels.tolist() == [1, 2, 0]
    assert said.predictions.tolist() == [5, 6, 4]
