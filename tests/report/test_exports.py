from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from lora2_search.analysis.comparison import analyse_tasks
from lora2_search.report.tables.csv import comparison_table, csv_text, run_table
from tests.support.designs import in_disrepair, write_crossed
from tests.support.suites import suite, write_suite


def test_every_planned_run_is_a_row_with_its_factors_and_what_became_of_it(tmp_path: Path) -> None:
    rows = run_table(analyse_tasks(write_crossed(tmp_path)))
    assert len(rows) == 5 * 4
    cell = next(row for row in rows if row["arm"] == "one-plane.unregularised")
    assert cell["factor.planes"] == "one-plane"
    assert cell["factor.regularisation"] == "unregularised"
    assert (cell["status"], cell["score"]) == ("completed", cell["test/accuracy"])
    assert (cell["parameters.compressed_adapter"], cell["seconds.total"]) == (300, 25.0)
    assert "factor.planes" not in next(row for row in rows if row["arm"] == "head-only")


@pytest.mark.parametrize(
    "state, arm, status, has_score",
    [
        ("just begun", "base", "missing", False),
        ("one arm failed", "random-allocation", "failed", False),
        ("all diverged", "base", "diverged", True),
        ("all tie", "base", "completed", True),
    ],
)
def test_runs_that_went_wrong_stay_in_the_table(
    tmp_path: Path, state: str, arm: str, status: str, has_score: bool
) -> None:
    rows = run_table(analyse_tasks(in_disrepair(tmp_path, state)))
    found = [row for row in rows if row["arm"] == arm]
    assert len(found) == 3 and {row["status"] for row in found} == {status}
    assert {row["score"] is not None for row in found} == {has_score}


def test_comparisons_keep_every_digit(tmp_path: Path) -> None:
    analyses = analyse_tasks(write_crossed(tmp_path))
    told = list(csv.DictReader(csv_text(comparison_table(analyses)).splitlines()))
    for row, item in zip(told, analyses[""].family, strict=False):
        assert float(row["difference"]) == item.paired.estimate
        assert float(row["p_holm"]) == item.paired_holm
        assert float(row["new_sentences_p"]) == item.crossed.p
    assert [row["role"] for row in told].count("floor") == 1


def test_a_claim_of_equality_has_its_row_and_its_margin(tmp_path: Path) -> None:
    def answers(arm: str, seed: int) -> np.ndarray:
        return np.random.default_rng([seed, *arm.encode()]).random(200) < 0.8

    plan = suite(equivalence=[{"arm": "random-allocation", "margin": 0.2}])
    analyses = analyse_tasks(write_suite(tmp_path, plan, answers))
    [item] = analyses[""].equivalence
    [row] = [row for row in comparison_table(analyses) if row["role"] == "equality"]
    assert (row["comparison"], row["margin"]) == ("random-allocation − base", 0.2)
    assert (row["p"], row["p_holm"]) == (item.on_this_set.p, item.on_this_set_holm)
    assert (row["low"], row["new_sentences_p"]) == (item.on_this_set.low, item.on_new_sentences.p)


def test_cells_with_commas_quotes_and_lines_come_back_as_they_were() -> None:
    rows = [{"a": 'x, "y"\nz', "b": None}, {"a": 1.5, "c": "–"}]
    back = list(csv.DictReader(csv_text(rows).splitlines(keepends=True)))
    assert back == [{"a": 'x, "y"\nz', "b": "", "c": ""}, {"a": "1.5", "b": "", "c": "–"}]


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-x", "'-x"),
        ("@sum", "'@sum"),
        (" \t=1", "' \t=1"),
        ("lora − base", "lora − base"),
        ("-0.5", "-0.5"),  # a number, whoever wrote it
        (-0.5, "-0.5"),
        (-3, "-3"),
        (None, ""),
    ],
)
def test_texts_that_a_spreadsheet_would_run_are_escaped_and_numbers_never(
    cell: str | float | None, written: str
) -> None:
    [row] = csv.DictReader(csv_text([{"note": cell}, {"note": "x"}][:1]).splitlines())
    assert row["note"] == written
