from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from lora2_search.analysis.comparison import analyse, analyse_tasks
from lora2_search.analysis.evidence import gather
from lora2_search.analysis.records import read_suite
from lora2_search.config.suite.schema import load_suite
from lora2_search.report.pages.markdown import tasks_report
from lora2_search.report.tables.markdown import markdown_table
from lora2_search.report.tables.suite import seed_table, suite_tables
from lora2_search.report.tables.table import NONE
from lora2_search.report.tables.text import interval, level, p_value, signed
from lora2_search.report.words.provenance import again
from lora2_search.report.words.verdict import headline
from tests.support.suites import Answers, draws, suite, three_classes, write_suite

RATES = {"base": 0.8, "no-regularisation": 0.65, "random-allocation": 0.8, "head-only": 0.5}


def write_without(
    folder: Path, draw: Answers, special: Mapping[tuple[str, int], Mapping[str, Any]]
) -> None:
    """Write a suite of which the special runs left no predictions, only what is told of them."""
    write_suite(
        folder,
        suite(),
        lambda arm, seed: None if (arm, seed) in special else draw(arm, seed),
        special,
    )


def told(folder: Path) -> str:
    return tasks_report(gather(folder))


def report(folder: Path, rates: dict[str, float], special: Any = None, **changes: Any) -> str:
    write_suite(folder, suite(**changes), draws(rates), special)
    return told(folder)


def test_a_part_that_helps_is_named_with_test_n_and_correction(tmp_path: Path) -> None:
    text = report(tmp_path, RATES)
    verdict = text.splitlines()[2]
    assert verdict.startswith("> Trained enough to tell: the base beats head-only (+")
    assert re.search(
        r"no-regularisation \(adapter.gamma: 0.0 instead of 0.1\) scores 1\d\.\d\d", text
    )
    assert "points lower than base (on new sentences too)" in verdict
    assert "random-allocation" not in verdict and "1 of 2 comparisons, Holm-corrected" in verdict
    assert "random-allocation against base" in text and "not shown to differ" in text


def test_when_nothing_was_learnt_there_is_no_verdict_on_any_part(tmp_path: Path) -> None:
    text = report(tmp_path, {**RATES, "base": 0.5, "no-regularisation": 0.4})
    assert "Not trained enough to tell" in text.splitlines()[2]
    assert "no verdict on any part" in text
    assert "*no-regularisation against base*" not in text


def test_without_a_test_of_the_base_it_is_not_called_untrained(tmp_path: Path) -> None:
    memory = {"status": "failed", "error": "OutOfMemoryError: 3 GiB"}
    special = {("head-only", seed): memory for seed in range(6)}
    draw = draws(RATES)
    write_without(tmp_path, draw, special)
    text = told(tmp_path)
    assert text.splitlines()[2].startswith("> Not known to be trained enough to tell: the base")
    assert "no seed has a finished run of both arms" in text
    assert "no verdict on any part" in text and "Not trained enough" not in text


def test_comparisons_that_could_not_be_tested_are_counted(tmp_path: Path) -> None:
    draw = draws({**RATES, "no-regularisation": 0.8})
    answers = lambda arm, seed: None if arm == "random-allocation" else draw(arm, seed)  # noqa: E731
    write_suite(tmp_path, suite(), answers)
    assert "n = 0 to 6 seeds; 1 could not be tested)" in told(tmp_path).splitlines()[2]


def test_a_comparison_of_two_arms_says_what_both_change(tmp_path: Path) -> None:
    text = report(tmp_path, RATES, comparisons=[["no-regularisation", "random-allocation"]])
    assert "(no-regularisation: adapter.gamma: 0.0 instead of 0.1; random-allocation: " in text


def test_a_setting_that_an_arm_shares_with_the_base_is_no_change(tmp_path: Path) -> None:
    same = {"adapter.gamma": 0.0, "training.lr": 0.001}  # as tuning writes them
    arms = {"no-regularisation": same, "head-only": {"method": "head-only"}}
    text = report(tmp_path, RATES, arms=arms, training={"lr": 0.001})
    assert "(adapter.gamma: 0.0 instead of 0.1)" in text


def test_when_t_and_sign_flip_disagree_the_words_say_so(tmp_path: Path) -> None:
    # One far seed takes the t test's certainty, but not the signs'.
    steps = [1, 1, 1, 1, 1, 1, 1, 60]

    def answers(arm: str, seed: int) -> np.ndarray:
        right = {"base": 300, "no-regularisation": 300 - steps[seed]}.get(arm, 200 + seed)
        return np.arange(400) < right

    arms = {"no-regularisation": {"adapter.gamma": 0.0}, "head-only": {"method": "head-only"}}
    write_suite(tmp_path, suite(arms=arms, seeds=8), answers)
    text = told(tmp_path)
    assert "The exact sign-flip test disagrees (p = 0.00781, Holm over 1: 0.00781)" in text


def test_t_and_sign_flip_are_compared_after_correction(tmp_path: Path) -> None:
    # Both p's are below 0.05, and after Holm's correction only that of the t test is.
    steps = [8, 2, 1, 10, 0, 0, 7, 6]

    def answers(arm: str, seed: int) -> np.ndarray:
        right = {"no-regularisation": 300 + steps[seed], "head-only": 200 + seed}.get(arm, 300)
        return np.arange(400) < right

    write_suite(tmp_path, suite(seeds=8), answers)
    text = told(tmp_path)
    assert "paired t, p = 0.019, Holm over 2: 0.038, n = 8 seeds" in text
    assert "sign-flip test disagrees (p = 0.031, Holm over 2: 0.062)" in text
    row = seed_table(analyse(read_suite(tmp_path))).texts[0]
    assert (row["p_sign_flip"], row["p_sign_flip_holm"]) == ("0.031", "0.062")


def test_an_unfinished_suite_says_so_first_and_counts_the_seeds_it_has(tmp_path: Path) -> None:
    draw = draws(RATES)

    def answers(arm: str, seed: int) -> np.ndarray | None:
        return draw(arm, seed) if seed < 4 + (arm != "random-allocation") else None

    write_suite(tmp_path, suite(), answers)
    verdict = told(tmp_path).splitlines()[2]
    assert verdict.startswith("> Interim: 19 of 24 runs are complete. Trained enough to tell")
    assert "n = 4 to 5 seeds" in verdict and "6 seeds" not in verdict


@pytest.mark.parametrize("looking", [True, False])
def test_only_a_report_of_looks_says_that_its_p_values_hold_for_all_of_them(
    tmp_path: Path, looking: bool
) -> None:
    claim = {"arm": "random-allocation", "margin": 0.1}
    text = report(tmp_path, RATES, seeds=6, until_decided=looking, equivalence=[claim])
    assert ("looks so far: at 4, 6 seeds." in text) is looking
    assert ("decided or there are 20\nseeds" in text) is looking
    assert ("Its p value holds for all looks" in text) is looking
    assert ("Its 90 % interval lies within" in text) is not looking


def test_a_suite_whose_runs_all_ended_is_no_interim_one(tmp_path: Path) -> None:
    special = {("base", 1): {"status": "failed", "error": "OSError: disk full"}}
    draw = draws({**RATES, "no-regularisation": 0.8})
    write_without(tmp_path, draw, special)
    verdict = told(tmp_path).splitlines()[2]
    assert verdict.startswith("> Trained enough to tell") and "n = 5 seeds)" in verdict


def test_a_suite_in_which_nothing_can_be_tested_yet_says_why(tmp_path: Path) -> None:
    arms = {"no-regularisation": {"adapter.gamma": 0.0}}
    draw = draws(RATES)
    write_suite(
        tmp_path,
        suite(arms=arms, floor=None),
        lambda arm, seed: draw(arm, seed) if seed == 0 else None,
    )
    verdict = told(tmp_path).splitlines()[2]
    assert verdict.startswith("> Interim: 2 of 12 runs are complete.")
    assert "No comparison can be tested: one seed: no test is possible." in verdict


def test_nothing_found_is_not_called_equal(tmp_path: Path) -> None:
    text = report(tmp_path, {**RATES, "no-regularisation": 0.8})
    assert "None of 2 comparison(s) shows a difference" in text
    assert "That is no proof that the parts do nothing" in text
    assert "no difference" not in text.lower() and "significan" not in text.lower()
    assert "no test of equality was made" in text


def test_missing_failed_and_diverged_runs_are_named(tmp_path: Path) -> None:
    special = {
        ("base", 1): {"status": "failed", "error": "OSError: disk full"},
        ("random-allocation", 4): {"status": "failed", "error": "Diverged: the loss"},
        ("head-only", 0): {"status": "running"},
    }
    text = report(tmp_path, RATES, special)
    assert "base, seed 1: failed: OSError: disk full" in text
    assert "random-allocation: 1 of 6 runs diverged (seed 4)" in text
    assert "head-only: no finished run of seed 0" in text


def test_a_suite_that_has_just_begun_says_that_nothing_can_be_said(tmp_path: Path) -> None:
    write_suite(tmp_path, suite(), lambda arm, seed: None)
    text = told(tmp_path)
    assert "Nothing can be said: no run of the base has finished" in text
    assert not re.search(r"\bnan\b", text.partition("## Check it by hand")[0])


def test_without_a_floor_the_report_says_what_it_does_not_know(tmp_path: Path) -> None:
    arms = {"no-regularisation": {"adapter.gamma": 0.0}}
    text = report(tmp_path, RATES, arms=arms, floor=None)
    assert "not known: the suite has no head-only arm" in text


def test_one_seed_without_tests_gives_a_table_and_no_verdict(tmp_path: Path) -> None:
    arms = {"no-regularisation": {"adapter.gamma": 0.0}}
    text = report(tmp_path, RATES, arms=arms, floor=None, seeds=1, comparisons=[])
    assert "names no comparison" in text and "| base |" in text


def test_the_table_can_be_recomputed_by_the_code_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = draws(RATES)
    special = {("no-regularisation", 4): {"status": "failed", "error": "Diverged: x", "scores": {}}}
    write_without(tmp_path, draw, special)
    text = told(tmp_path)
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    exec(code[1], scope)
    scores: pd.DataFrame = scope["scores"]
    for item in analyse(read_suite(tmp_path)).family:
        by_hand = scores[item.arm] - scores[item.reference]
        assert np.allclose(by_hand, list(item.differences.values()))
        shown = signed(by_hand.mean(), "accuracy").removesuffix(" points")
        assert f"| {shown} |" in text


def test_the_code_in_the_report_knows_how_many_classes_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_classes(tmp_path)
    evidence = gather(tmp_path)
    text = tasks_report(evidence)
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    exec(code[1], scope)
    arms = evidence[""].analysis.arms
    assert [len(arm.scores) for arm in arms] == [3] * 4
    for arm in arms:
        assert scope["scores"][arm.name].to_dict() == arm.scores


def test_the_command_in_the_report_runs_the_same_suite(tmp_path: Path) -> None:
    report(tmp_path / "a b", RATES)
    found = read_suite(tmp_path / "a b")
    assert again(found).startswith("lora2-search ablate --suite '")
    same = load_suite(str(tmp_path / "a b" / "suite.yaml"))
    assert [r.config for r in same.runs(tmp_path)] == [r.config for r in suite().runs(tmp_path)]
    assert yaml.safe_load((tmp_path / "a b" / "suite.yaml").read_text())["seeds"] == list(range(6))


def test_words_and_table_agree(tmp_path: Path) -> None:
    text = report(tmp_path, RATES)
    for row in seed_table(analyse(read_suite(tmp_path))).texts:
        assert text.count(row["interval"]) >= 2
        assert row["difference"].lstrip("+-") in text


def test_the_command_line_gets_the_tables_of_the_report(tmp_path: Path) -> None:
    text = report(tmp_path, RATES)
    tables = suite_tables(analyse_tasks(tmp_path))
    assert set(tables) == {"arms", "seeds", "sentences"}
    for table in tables.values():
        assert markdown_table(table) in text


@pytest.mark.parametrize(
    "p, text",
    [(None, NONE), (0.0, "< 0.0001"), (0.00123, "0.00123"), (0.0499, "0.050"), (1, "1.000")],
)
def test_p_values_are_never_shown_as_zero(p: float | None, text: str) -> None:
    assert p_value(p) == text


def test_accuracy_is_told_in_points_and_correlations_as_they_are() -> None:
    assert signed(0.0123, "accuracy") == "+1.23 points" and signed(-0.0123, "pearson") == "-0.0123"
    assert interval(-0.01, 0.02, "accuracy") == "-1.00 to +2.00"
    assert signed(-1e-9, "accuracy") == "+0.00 points" and signed(-1e-9, "pearson") == "+0.0000"
    assert level(0.777, "accuracy") == "77.70 %" and level(None, "pearson") == NONE


def test_the_headline_is_one_line(tmp_path: Path) -> None:
    report(tmp_path, RATES)
    assert "\n" not in headline(analyse(read_suite(tmp_path)))
