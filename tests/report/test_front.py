from __future__ import annotations

import csv
from pathlib import Path

import pytest

from lora2_search.analysis.study import read_study_table
from lora2_search.report.figures.front import front_panels
from lora2_search.report.pages.study_files import write_study_kit
from tests.support.spaces import space_of
from tests.support.trials import drive

SEARCH = {
    "adapter.k": {"type": "int", "low": 1, "high": 16},
    "adapter.scoring": {"type": "categorical", "choices": ["full", "reduced"]},
}


def test_the_page_shows_the_front_with_settings_on_hover_and_how_it_grew(tmp_path: Path) -> None:
    space = space_of(
        search=SEARCH,
        objectives=[{"metric": "accuracy"}, {"metric": "compressed_parameters"}],
        constraints={"compressed_parameters": {"max": 12_000}},
        pick={"max_drop": 0.1},
        sampler={"name": "random"},
        trials=9,
    )
    drive(tmp_path, space, pruned=lambda number: number == 4)
    table = read_study_table(tmp_path)
    front, growth = front_panels(table)
    assert front.figure is not None
    traces = front.figure.to_plotly_json()["data"]
    shown = {trace["name"]: trace for trace in traces}
    assert list(shown["on the front"]["y"]) == [item.values[0] for item in table.front]
    assert "adapter.k = " in shown["on the front"]["text"][0]
    assert table.winner is not None
    assert f"winner (trial {table.winner.number})" in shown
    assert growth.figure is not None
    shares = list(growth.figure.to_plotly_json()["data"][0]["y"])
    assert shares == sorted(shares)
    assert 0 < shares[-1] <= 1
    assert len(shares) == 8
    assert front.table is not None
    assert [row["trial"] for row in front.table.rows] == [item.number for item in table.front]

    page = write_study_kit(tmp_path).read_text()
    assert "Pareto front" in page
    assert "within 0.1 of the best accuracy" in page
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    assert [row["pareto"] for row in rows].count("True") == len(table.front)
    assert rows[4]["pareto"] == ""
    sizes = [float(row["objective.compressed_parameters"] or 0) for row in rows]
    assert [row["feasible"] == "False" for row in rows] == [size > 12_000 for size in sizes]


def test_a_study_of_one_objective_has_no_front(tmp_path: Path) -> None:
    drive(tmp_path, space_of(search=SEARCH, trials=2))
    table = read_study_table(tmp_path)
    assert front_panels(table) == []
    assert table.winner is not None
    assert table.winner.value == pytest.approx(max(o.values[0] for o in table.outcomes))


def test_where_no_trial_meets_a_constraint_the_page_says_how_near_the_nearest_came(
    tmp_path: Path,
) -> None:
    constraints = {"compressed_parameters": {"max": 1}}
    drive(tmp_path, space_of(search=SEARCH, constraints=constraints, trials=2))
    sizes = [
        run.record.counts["compressed_adapter"]
        for run in read_study_table(tmp_path).runs.trials.values()
    ]
    page = write_study_kit(tmp_path).read_text()
    assert "There is no winner: none of the 2 complete trials meets the constraints: " in page
    assert (
        f"compressed_parameters must be at most 1 and misses that by {min(sizes) - 1:,.4g}" in page
    )
