from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lora2_search.analysis.across_tasks import overall
from lora2_search.analysis.comparison import Analysis, analyse, analyse_tasks
from lora2_search.analysis.records import read_suite
from lora2_search.config.suite.terms import Sequential
from lora2_search.report.words.across_tasks import overall_words
from lora2_search.report.words.comparison import paragraph
from lora2_search.report.words.prospective import before_the_run
from lora2_search.report.words.provenance import again
from lora2_search.report.words.verdict import details, headline, next_step, not_tested, notes
from lora2_search.stats.equivalence import tost
from lora2_search.stats.power import paired_equivalence_power, paired_power
from lora2_search.stats.significance import holm
from tests.support.designs import STATES, crossed_suite, in_disrepair
from tests.support.suites import Answers, draws, suite, three_classes, write_suite

RATES = {
    **{"base": 0.8, "one-plane": 0.8, "unregularised": 0.7, "one-plane.unregularised": 0.55},
    "head-only": 0.5,
}


def crossed(folder: Path, answers: Answers | None = None, **changes: object) -> Analysis:
    plan = crossed_suite(**{"seeds": 8, "comparisons": [], **changes})
    return analyse(read_suite(write_suite(folder, plan, answers or draws(RATES, 300))))


@pytest.mark.parametrize(
    ("seeds", "comparisons", "words"),
    [(6, 2, "at least 7"), (5, 1, "at least 6"), (7, 2, None)],
)
def test_too_few_seeds_for_the_exact_test_are_said_before_the_run(
    seeds: int, comparisons: int, words: str | None
) -> None:
    said = [line for line in before_the_run(seeds, comparisons) if "sign-flip" in line]
    assert (words in said[0]) if words else said == []


def shares(line: str) -> list[float]:
    return [float(found) / 100 for found in re.findall(r"(\d+)%", line)]


@pytest.mark.parametrize(
    ("first", "most", "words"),
    [(4, 6, "at none of the looks, to 6 seeds"), (4, 20, "look at 12 seeds"), (12, 20, None)],
)
def test_what_the_looks_of_a_plan_can_show_is_said_before_the_run(
    first: int, most: int, words: str | None
) -> None:
    plan = Sequential(first=first, every=2, most=most)
    power, *flips = before_the_run(most, 3, plan=plan)
    fixed = before_the_run(most, 3)[0]
    assert (
        "at least " in power and f"split over 3 comparisons and {len(plan.looks)} look(s)" in power
    )
    assert shares(power) < shares(fixed)
    assert (words in flips[0]) if words else flips == []


def test_power_with_looks_is_close_to_what_was_simulated() -> None:
    # docs/ablation.md: 0.49 at 0.5 sd, 0.98 at 1 sd, over all looks.
    half, one, *_ = shares(before_the_run(20, 1, plan=Sequential())[0])
    assert 0.40 < half <= 0.49 and 0.95 < one <= 0.98


def test_the_power_that_seeds_buy_is_said_before_the_run() -> None:
    power, flips, equal = before_the_run(5, 3, claims=1)
    assert f"{paired_power(1.0, 5, 0.05 / 3):.0%}" in power and "split over 3" in power
    shown = [f"{paired_equivalence_power(margin, 1.0, 5):.0%}" for margin in (1, 2)]
    assert f"{' and '.join(shown)} of suites" in equal and "1 and 2 sd" in equal
    assert before_the_run(6, 0) == []


def test_a_main_effect_is_told_as_one_level_against_the_bases(tmp_path: Path) -> None:
    verdict = headline(crossed(tmp_path))
    found = re.search(
        r"unregularised scores (\d+\.\d\d) points lower than regularised, averaged over planes "
        r"\(on new sentences too\)",
        verdict,
    )
    assert found is not None and 12 < float(found[1]) < 23
    assert "3 comparisons, Holm-corrected paired t at 0.05, n = 8 seeds" in verdict


def test_an_interaction_is_told_as_an_effect_that_depends(tmp_path: Path) -> None:
    analysis = crossed(tmp_path)
    assert re.search(
        r"The effect of one-plane over two-planes is \d+\.\d\d points lower with unregularised "
        r"than with regularised",
        headline(analysis),
    )
    asked = [line for line in details(analysis) if "does planes matter more, or less" in line]
    assert len(asked) == 1


def test_a_contrast_of_ones_own_is_told_with_its_weights(tmp_path: Path) -> None:
    weights = {"base": 1.0, "one-plane": -0.5, "unregularised": -0.5}
    analysis = crossed(tmp_path, contrasts={"mine": weights})
    told = next(line for line in details(analysis) if line.startswith("*mine*"))
    assert "(weights: base +1, one-plane -0.5, unregularised -0.5)" in told
    assert "points higher than 0" in told


@pytest.mark.parametrize(
    ("margin", "verdict", "detail"),
    [
        (0.1, "The same on this test set: one-plane as base within ±10.00 points", "shown (90 %"),
        (0.001, "Not shown to be the same on this test set: one-plane as base", "not shown (90 %"),
    ],
)
def test_equality_is_said_only_by_its_test(
    tmp_path: Path, margin: float, verdict: str, detail: str
) -> None:
    claims = [{"arm": "one-plane", "reference": "base", "margin": margin}]
    analysis = crossed(tmp_path, equivalence=claims)
    assert verdict in headline(analysis)
    told = next(line for line in details(analysis) if "the same as base within" in line)
    assert f"over new seeds: {detail}" in told
    assert ("would show it in 80 % of suites" in told) == (margin < 0.01)


def test_a_stricter_margin_stands_beside_the_claim_and_is_not_corrected(tmp_path: Path) -> None:
    claims = [{"arm": "one-plane", "reference": "base", "margin": 0.1, "stricter": 0.05}]
    analysis = crossed(tmp_path, equivalence=claims)
    [item] = analysis.equivalence
    assert item.stricter == tost(list(item.differences.values()), 0.05)
    told = next(line for line in details(analysis) if "the same as base within" in line)
    assert "Within ±5.00 points, the stricter margin named beside it: p" in told
    assert "not corrected" in told


def test_a_suite_that_claims_equality_alone_is_not_called_empty(tmp_path: Path) -> None:
    claims = [{"arm": "gamma", "reference": "base", "margin": 0.1}]
    arms = {"gamma": {"adapter.gamma": 0.2}}
    plan = suite(arms=arms, floor=None, comparisons=[], equivalence=claims)
    rates = {"base": 0.8, "gamma": 0.8}
    analysis = analyse(read_suite(write_suite(tmp_path, plan, draws(rates, 300))))
    assert "The same on this test set: gamma as base" in headline(analysis)
    assert "no test of equality was made" not in " ".join(not_tested(analysis))


def test_what_is_not_shown_comes_with_what_could_have_been_found(tmp_path: Path) -> None:
    analysis = crossed(tmp_path, comparisons=[["one-plane", "base"]])
    told = next(line for line in details(analysis) if "shown to differ" in line)
    found = re.search(
        r"With this spread 8 seeds find a true difference of (\d+\.\d\d) points in 80 % of suites; "
        r"one as (?:large|small) as the one seen would take (more than 10,000|[\d,]+) seeds",
        told,
    )
    assert found is not None


def test_what_was_found_is_not_followed_by_its_power(tmp_path: Path) -> None:
    told = next(line for line in details(crossed(tmp_path)) if "unregularised scores" in line)
    assert "With this spread" not in told


def test_exploratory_comparisons_are_marked_and_not_tested(tmp_path: Path) -> None:
    arms = {
        **{f"gamma-{gamma}": {"adapter.gamma": gamma} for gamma in (0.2, 0.3)},
        "head-only": {"method": "head-only"},
    }
    plan = suite(arms=arms, comparisons=[["gamma-0.2", "base"]])
    rates = {"base": 0.8, "gamma-0.2": 0.8, "gamma-0.3": 0.6, "head-only": 0.5}
    analysis = analyse(read_suite(write_suite(tmp_path, plan, draws(rates, 300))))
    told = details(analysis)[-1]
    assert told.startswith("*Exploratory: gamma-0.3 against base*") and "proves nothing" in told
    assert "p =" not in told and "gamma-0.3" not in headline(analysis)
    assert any("exploratory only: gamma-0.3" in line for line in not_tested(analysis))


def test_a_sequential_design_says_so_wherever_its_numbers_stand(tmp_path: Path) -> None:
    analysis = crossed(tmp_path, until_decided=True)
    assert "group-sequential with looks at 4, 6, 8 seeds" in headline(analysis)
    for line in details(analysis):
        assert "holding for all 3 look(s) of a sequential design" in line
    assert "repeated t interval" in details(analysis)[0]
    assert not any("whoever looks again" in line for line in notes(analysis))


def test_sentences_dominate_when_every_seed_answers_alike(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    fixed = {arm: generator.random(300) < rate for arm, rate in RATES.items()}

    def answers(arm: str, seed: int) -> np.ndarray:
        return np.where(
            np.random.default_rng([seed, *arm.encode()]).random(300) < 0.02, ~fixed[arm], fixed[arm]
        )

    assert (
        "sentences dominate, so more test sentences would help"
        in details(crossed(tmp_path, answers))[0]
    )


def two_tasks(folder: Path, rates: dict[str, float], **changes: object) -> dict[str, Analysis]:
    plan = crossed_suite(
        seeds=6,
        comparisons=[["one-plane", "base"], ["unregularised", "base"]],
        tasks={"short": {}, "long": {"data.max_length": 64}},
        **changes,
    )
    return analyse_tasks(write_suite(folder, plan, draws(rates, 300)))


def test_several_tasks_are_told_together_too(tmp_path: Path) -> None:
    analyses = two_tasks(tmp_path, RATES)
    assert "corrected over 10 comparisons on all tasks" in headline(analyses["long"])
    about, *lines = overall_words(overall(analyses))
    assert "Over short, long: interquartile mean" in about and "6 seeds" in about
    told = {line.split("*")[1]: line for line in lines if line.startswith("*")}
    assert set(told) == {"one-plane − base", "unregularised − base"}
    assert re.search(r"in \d% of pairs \(0% to", told["unregularised − base"])
    assert "not shown to differ" in told["one-plane − base"]


def test_tasks_that_were_not_trained_enough_are_left_out_of_the_whole(tmp_path: Path) -> None:
    words = overall_words(overall(two_tasks(tmp_path, {**RATES, "head-only": 0.9})))
    assert words == [
        "Nothing can be said over all tasks: no task has runs that count and a base that is "
        "shown to be trained enough."
    ]


def test_an_arm_that_lacks_a_task_is_told_on_how_many_its_mean_rests(tmp_path: Path) -> None:
    two_tasks(tmp_path, RATES)
    for path in (tmp_path / "runs").glob("long.one-plane-seed*/record.json"):
        path.unlink()
    lines = overall_words(overall(analyse_tasks(tmp_path)))
    assert "1 of 2 tasks alone" in next(line for line in lines if line.startswith("one-plane:"))
    assert "tasks alone" not in next(line for line in lines if line.startswith("base:"))


def test_equality_on_f1_is_told_by_its_own_test(tmp_path: Path) -> None:
    three_classes(tmp_path, equivalence=[{"arm": "random-allocation", "margin": 0.5}])
    told = details(analyse(read_suite(tmp_path)))
    line = next(line for line in told if "the same as" in line)
    here, new = line.split("On new sentences too")
    assert "two one-sided tests" in here and "two-way bootstrap" not in here
    assert "two-way bootstrap" in new and "with 3 seeds its interval is too narrow" in new


@pytest.mark.parametrize("tests, said", [(10, False), (11, True)])
def test_a_family_too_large_for_the_bootstrap_is_said(
    tmp_path: Path, tests: int, said: bool
) -> None:
    three_classes(tmp_path)
    analysis = replace(analyse(read_suite(tmp_path)), tests=tests)
    # The smallest p of 400 draws is 2 / 401.
    assert holm([2 / 401] * tests)[0] == pytest.approx(tests * 2 / 401)
    assert ("cannot say that anything differs" in paragraph(analysis.family[0], analysis)) == said


@pytest.mark.parametrize("state", STATES)
def test_whatever_became_of_a_suite_its_words_hold_no_nan(tmp_path: Path, state: str) -> None:
    analyses = analyse_tasks(in_disrepair(tmp_path, state))
    for analysis in analyses.values():
        lines = [headline(analysis), *details(analysis), *not_tested(analysis), *notes(analysis)]
        assert not re.search(r"\bnan\b|\binf\b", " ".join(lines).replace("loss is nan", ""))
    assert overall_words(overall(analyses))


def test_a_command_about_a_suite_elsewhere_names_its_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shared disk" / "suites" / "small"
    suite_runs = crossed(folder).suite
    option = shlex.join(["--storage", str(tmp_path / "shared disk")])
    assert again(suite_runs).endswith(option)
    assert option not in again(suite_runs, archived=True)
    assert f"{option}`" in next_step(crossed(folder))
    monkeypatch.setenv("LORA2_SEARCH_HOME", str(tmp_path / "shared disk"))
    assert "--storage" not in again(suite_runs) + next_step(crossed(folder))
