from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lora2_search.analysis.comparison import analyse_tasks
from lora2_search.analysis.interim import interim_analysis
from lora2_search.report.words.verdict import notes
from tests.support.suites import suite, write_suite

ARMS = {
    "worse": {"adapter.gamma": 0.0},
    "same": {"adapter.scoring": "random"},
    "head-only": {"method": "head-only"},
}
CLAIM = {"arm": "same", "margin": 0.05}


def answers(arm: str, seed: int) -> np.ndarray:
    """Right on about 90 %, of ``worse`` 60 % and of ``head-only`` 50 % of 200 sentences."""
    right = {"worse": 0.6, "head-only": 0.5}.get(arm, 0.9)
    shift = 0.005 * np.random.default_rng([seed, *arm.encode()]).standard_normal()
    return np.arange(200) < round(200 * (right + shift))


def looked_at(folder: Path, **changes: Any) -> dict[str, str]:
    plan = suite(arms=ARMS, until_decided=True, **changes)
    return interim_analysis(write_suite(folder, plan, answers)).decisions


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"seeds": 6}, {"worse − base": "different", "same − base": "undecided"}),
        (
            {"seeds": 6, "equivalence": [CLAIM]},
            {"worse − base": "different", "same − base": "equivalent"},
        ),
        (
            {"seeds": 6, "equivalence": [CLAIM], "comparisons": [["worse", "base"]]},
            {"worse − base": "different", "same − base": "equivalent"},
        ),
        (
            {"seeds": 6, "equivalence": [{"arm": "base", "reference": "same", "margin": 0.05}]},
            {"worse − base": "different", "same − base": "equivalent"},
        ),
        (
            {
                "seeds": 6,
                "equivalence": [CLAIM],
                "comparisons": [],
                "contrasts": {"c": {"same": 1.0, "base": -1.0}},
            },
            {"c": "equivalent"},
        ),
        ({"seeds": 2}, {"worse − base": "undecided", "same − base": "undecided"}),
    ],
    ids=[
        "no margin named",
        "a margin named",
        "a margin alone",
        "a margin the other way round",
        "a margin of a contrast",
        "before the first look",
    ],
)
def test_a_look_decides_what_the_report_says(
    changes: dict[str, Any], expected: dict[str, str], tmp_path: Path
) -> None:
    assert looked_at(tmp_path / "s", **changes) == expected


def test_a_look_is_told_with_its_numbers(tmp_path: Path) -> None:
    plan = suite(arms=ARMS, until_decided=True, seeds=6)
    found = interim_analysis(write_suite(tmp_path / "s", plan, answers))
    first, worse, same = found.lines()
    assert first == "interim analysis at 6 seeds:"
    assert worse.startswith("  worse − base: different (mean difference -0.")
    assert same.startswith("  same − base: undecided (mean difference ")
    values = found.metrics()
    assert (values["look/seeds"], values["look/decided"]) == (6.0, 1.0)
    assert values["look/p worse − base"] < 0.05 < values["look/p same − base"]


def test_seeds_that_were_added_are_told(tmp_path: Path) -> None:
    plan = suite(arms=ARMS, seeds=[1, 2, 3, 4], added_seeds=[3, 4])
    (analysis,) = analyse_tasks(write_suite(tmp_path / "s", plan, answers)).values()
    assert any(line.startswith("2 of 4 seeds (3, 4) were added") for line in notes(analysis))


def test_nothing_is_decided_while_the_base_has_not_beaten_its_head(tmp_path: Path) -> None:
    def untrained(arm: str, seed: int) -> np.ndarray:
        return answers("head-only" if arm == "base" else arm, seed)

    claims = [{"arm": "head-only", "reference": "base", "margin": 0.3}]
    plan = suite(arms=ARMS, until_decided=True, seeds=6, equivalence=claims)
    found = interim_analysis(write_suite(tmp_path, plan, untrained))
    assert set(found.decisions.values()) == {"undecided"}
    assert found.by_comparison["worse − base"].p < 0.05
