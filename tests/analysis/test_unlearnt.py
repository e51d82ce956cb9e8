"""Arms that carry no verdict, arms that are not tuned, and what a suite lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lora2_search.analysis.comparison import Analysis, analyse
from lora2_search.analysis.factorial import effects
from lora2_search.analysis.records import read_suite
from lora2_search.report.tables.csv import comparison_table, csv_text
from lora2_search.report.tables.latex import arms_table
from lora2_search.report.tables.suite import arm_table, equality_table, seed_table, sentence_table
from lora2_search.report.words.verdict import details, headline
from tests.support.suites import draws, suite, write_suite

LORA: dict[str, Any] = {"lora": {"method": "lora"}, "head-only": {"method": "head-only"}}
RATES = {"base": 0.9, "lora": 0.5, "head-only": 0.6}


def analysed(folder: Path, rates: dict[str, float] = RATES, **changes: Any) -> Analysis:
    plan = suite(**{"arms": LORA, "training": {"lr": 1e-2}, **changes})
    return analyse(read_suite(write_suite(folder, plan, draws(rates, spread=0.003))))


def test_an_arm_at_the_constant_answer_is_flagged_and_carries_no_verdict(tmp_path: Path) -> None:
    claims = [{"arm": "lora", "reference": "base", "margin": 0.9}]
    analysis = analysed(tmp_path, equivalence=claims)
    [item] = analysis.family
    assert item.paired_holm is not None and item.paired_holm < 0.001  # the test itself rejects
    assert not item.differs and item.unlearnt == ("lora",)
    assert "No verdict on lora − base: lora (" in headline(analysis)
    assert "does no better than the constant answer (50.00 %)" in headline(analysis)
    assert "scores" not in headline(analysis).partition("No verdict")[2]
    assert all("it scores" not in line for line in details(analysis))
    rows = {row["arm"]: row["remarks"] for row in arm_table(analysis).texts}
    assert "no better than the constant answer (50.00 %)" in rows["lora"]
    assert rows["base"] == rows["head-only"] == "–"
    assert (
        seed_table(analysis).texts[0]["remarks"].startswith("no verdict: lora does no better than")
    )
    assert "no verdict: lora" in csv_text(comparison_table({"": analysis}))
    assert not next(effect for effect in effects(analysis) if effect.kind == "named").differs
    assert [equal.shown for equal in analysis.equivalence] == [False]
    [row] = equality_table(analysis).texts
    assert (row["shown"], row["remarks"]) == (
        "–",
        "lora does no better than the constant answer",
    )


def test_arms_that_learnt_get_no_column_of_remarks(tmp_path: Path) -> None:
    arms = {"gamma": {"adapter.gamma": 0.2}, "head-only": {"method": "head-only"}}
    rates = {"base": 0.9, "gamma": 0.8, "head-only": 0.5}
    analysis = analysed(tmp_path, rates, arms=arms)
    assert analysis.unlearnt == ()
    rows = [*arm_table(analysis).texts, *seed_table(analysis).texts]
    assert not any("remarks" in row for row in rows)
    assert "gamma (adapter.gamma: 0.2 instead of 0.1) scores" in headline(analysis)


def test_a_base_at_the_constant_answer_is_not_trained_enough(tmp_path: Path) -> None:
    # It beats a head that is worse than the constant answer, which says nothing.
    rates = {"base": 0.5, "lora": 0.9, "head-only": 0.3}
    verdict = headline(analysed(tmp_path, rates))
    assert verdict.startswith("Not trained enough to tell: the base (")
    assert "does no better than the constant answer (50.00 %). So there is no verdict" in verdict
    assert "Too little training, it seems" in verdict


@pytest.mark.parametrize(
    ("changes", "untuned"),
    [
        ({}, True),
        ({"arms": {**LORA, "lora": {"method": "lora", "training.lr": 1e-2}}}, True),
        ({"arms": {**LORA, "lora": {"method": "lora", "training.lr": 1e-3}}}, False),
        ({"tuning": {"arms": {"lora": {"training.lr": [1e-3, 1e-2]}}}}, False),
    ],
    ids=["the base's", "the same, written", "its own", "tuned"],
)
def test_another_method_at_the_base_s_rate_is_called_untuned_beside_the_number(
    tmp_path: Path, changes: dict[str, Any], untuned: bool
) -> None:
    analysis = analysed(tmp_path, {**RATES, "lora": 0.8}, **changes)
    said = "untuned: at the base's training.lr, 0.01"
    assert (said in headline(analysis)) == untuned
    assert (said in details(analysis)[0]) == untuned
    rows = {row["arm"]: row.get("remarks", "") for row in arm_table(analysis).texts}
    assert ("untuned" in rows["lora"]) == untuned and "untuned" not in rows["head-only"]
    assert ("untuned" in seed_table(analysis).texts[0].get("remarks", "")) == untuned
    assert ("untuned" in arms_table(analysis, {})) == untuned
    assert len(analysis.family) == 1 and analysis.family[0].differs


def test_what_trains_nothing_has_no_rate_to_tune(tmp_path: Path) -> None:
    arms = {name: {"method": name} for name in ("lora", "no-training")}
    plan = suite(task="reviews", floor="no-training", arms=arms, seeds=3)
    rates = {"base": 0.8, "lora": 0.8, "no-training": 0.5}
    special = {(arm, seed): {"metric": "exact_match"} for arm in rates for seed in range(3)}
    analysis = analyse(read_suite(write_suite(tmp_path, plan, draws(rates, 50), special)))
    assert [arm.name for arm in analysis.arms if arm.untuned is not None] == ["lora"]


# A suite in its test's folder, which is not the home.
LONGER = "training.epochs=6 --storage "


def constant(rate: float, seeds: int, jitter: float) -> list[float]:
    return [rate + jitter * (-1) ** seed for seed in range(seeds)]


@pytest.mark.parametrize(
    ("base", "seeds", "words", "command"),
    [
        (constant(0.66, 3, 0.05), 3, "in 80 % of suites takes", "--add-seeds"),
        (constant(0.59, 6, 0.005), 6, "no higher than its head alone", LONGER),
        (constant(0.602, 6, 0.04), 6, "would take more than 20 seeds", LONGER),
    ],
    ids=["few seeds", "below the head", "hardly above the head"],
)
def test_too_few_seeds_are_told_from_too_little_training(
    tmp_path: Path, base: list[float], seeds: int, words: str, command: str
) -> None:
    folder = tmp_path / "suites" / "small"
    plan = suite(seeds=seeds, training={"epochs": 3.0})

    def answers(arm: str, seed: int) -> np.ndarray:
        rate = base[seed] if arm == "base" else 0.8 if arm == "random-allocation" else 0.6
        return np.arange(1000) < 1000 * rate

    verdict = headline(analyse(read_suite(write_suite(folder, plan, answers))))
    short = "seeds" if "--add-seeds" in command else "training"
    assert f"Too {'few' if short == 'seeds' else 'little'} {short}, it seems: " in verdict
    assert words in verdict and command in verdict
    told = "--resume small --storage" if short == "seeds" else "--set name=small-longer"
    assert told in verdict


def test_a_suite_with_runs_to_come_is_to_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "suites" / "small"
    draw = draws(
        {"base": 0.5, "no-regularisation": 0.8, "random-allocation": 0.8, "head-only": 0.6}
    )
    answers = lambda arm, seed: None if (arm, seed) == ("base", 5) else draw(arm, seed)  # noqa: E731
    verdict = headline(analyse(read_suite(write_suite(folder, suite(), answers))))
    assert "resume it with `lora2-search ablate --resume small --storage" in verdict


def test_seeds_that_do_not_vary_are_said_in_the_verdict_and_beside_the_numbers(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "suites" / "small"
    rates = {"base": 1.0, "no-regularisation": 0.9, "random-allocation": 0.9, "head-only": 0.5}
    right = {arm: np.arange(1000) < 1000 * rate for arm, rate in rates.items()}
    analysis = analyse(read_suite(write_suite(folder, suite(), lambda arm, _: right[arm])))
    verdict = headline(analysis)
    assert "No test is possible: no seed variation" in verdict and "Train longer" not in verdict
    for row in seed_table(analysis).texts:
        assert "no seed variation" in row["remarks"]
    (folder / "runs" / "base-seed0" / "predictions.parquet").unlink()
    remarks = sentence_table(analyse(read_suite(folder))).texts[0]["remarks"]
    assert remarks == "the predictions of seed 0 are missing"


def test_a_language_model_is_compared_with_itself_untrained(tmp_path: Path) -> None:
    arms = {name: {"method": name} for name in ("lora", "no-training")}
    plan = suite(task="reviews", floor="no-training", arms=arms, seeds=6)
    base = constant(0.59, 6, 0.005)
    special = {
        (arm, seed): {"metric": "exact_match"} for arm in ("base", *arms) for seed in range(6)
    }

    def answers(arm: str, seed: int) -> np.ndarray:
        return np.arange(1000) < 1000 * (base[seed] if arm == "base" else 0.6)

    verdict = headline(analyse(read_suite(write_suite(tmp_path, plan, answers, special))))
    assert "no higher than the untrained model" in verdict and "head" not in verdict
