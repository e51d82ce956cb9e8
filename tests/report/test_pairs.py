from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from lora2_search.analysis.study import read_study_table
from lora2_search.analysis.versus import Side, compare_sides, compare_studies
from lora2_search.cli.commands.report import run_report
from lora2_search.errors import UserError
from lora2_search.report.pages import shown
from lora2_search.search.study import load_study
from tests.support.designs import RATES
from tests.support.pages import Page
from tests.support.studies import write_trials
from tests.support.suites import draws, suite, write_suite

PAIR = (("a", 160), ("b", 120))
LABELS = np.arange(200) % 2 * 1.0


def study(storage: Path, name: str, right: int, lr: float) -> Path:
    """Write a study of one trial that got so many of its 200 test sentences right."""
    told = np.where(np.arange(200) < right, LABELS, 1 - LABELS)
    scores = {"validation/accuracy": 0.7, "test/accuracy": right / 200}
    trial = {
        "params": {"training.lr": lr, "adapter.k": 4},
        "values": [0.7],
        "labels": LABELS,
        "predictions": told,
        "scores": scores,
    }
    return write_trials(storage / "studies" / name, [trial], name)


def test_two_winners_are_compared_on_the_same_sentences(tmp_path: Path) -> None:
    left, right = study(tmp_path, "a", 160, 1e-3), study(tmp_path, "b", 120, 1e-2)
    found = compare_studies(read_study_table(left), read_study_table(right))
    assert found.gap.estimate == pytest.approx(0.2) and (found.gap.low or 0) > 0.1
    settings = {item.name: (item.first, item.second) for item in found.settings}
    assert settings["training.lr"] == (1e-3, 1e-2) and settings["adapter.k"] == (4, 4)
    assert set(found.searched) == {"training.lr", "adapter.k"} and "training.epochs" not in settings


def test_one_difference_has_one_interval_wherever_it_is_told(tmp_path: Path) -> None:
    left, right = (read_study_table(study(tmp_path, name, n, 1e-3)) for name, n in PAIR)
    sides = [Side("x", {0: table.winner_run}) for table in (left, right) if table.winner_run]
    versus = compare_sides(*sides)
    [told] = [pair.difference for pair in versus.scores if pair.split == "test"]
    gap = compare_studies(left, right).gap
    assert told is not None and (told.estimate, told.low, told.high) == (
        gap.estimate,
        gap.low,
        gap.high,
    )


def test_a_setting_that_is_a_mapping_is_compared_whole(tmp_path: Path) -> None:
    tables = []
    for name, rank in (("a", 4), ("b", 8)):
        folder = study(tmp_path, name, 100, 1e-3)
        path = folder / "trials" / "00000" / "record.json"
        told = json.loads(path.read_text())
        told["config"]["adapter"]["rank_pattern"] = {"layer.0.query": rank}
        path.write_text(json.dumps(told))
        tables.append(read_study_table(folder))
    fixed = {item.name: item for item in compare_studies(*tables).settings}
    pattern = fixed["adapter.rank_pattern"]
    assert (pattern.first, pattern.second) == ({"layer.0.query": 4}, {"layer.0.query": 8})


def test_two_studies_are_on_one_page_with_each_place_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study(tmp_path, "a", 160, 1e-3), study(tmp_path, "b", 120, 1e-2)
    run_report("a", tmp_path, None, None, other="b")
    path = Path(capsys.readouterr().out.strip())
    assert path == tmp_path / "studies" / "a" / "compared-with-b.html"
    html = path.read_text(encoding="utf-8")
    assert "+20.00 points" in html and html.count("plotly.js (cartesian") == 1
    places = re.findall(r' id="([^"]+)"', html.partition("<main")[2])
    assert len(places) == len(set(places)) and "study-2-trials" in places


def test_two_suites_are_compared_arm_by_arm_over_common_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seeds in (("one", 2), ("two", 3)):
        write_suite(tmp_path / "suites" / name, suite(name=name, seeds=seeds), draws(RATES, 40))
    run_report("one", tmp_path, tmp_path / "out", None, other="two")
    html = Path(capsys.readouterr().out.strip()).read_text(encoding="utf-8")
    assert "one − two" in html and "no-regularisation" in html
    page = Page(html)
    forests = [page.rows(f"Comparisons of {name} ({n})") for n, name in ((1, "one"), (2, "two"))]
    assert all("base − head-only" in forest for forest in forests)
    assert "no seed variation: all tie" in html  # the same answers by the same seeds


@pytest.mark.parametrize(
    ("other", "words"),
    [("a", "are the same study"), ("one", "name two studies or two suites")],
)
def test_what_cannot_be_compared_is_said(tmp_path: Path, other: str, words: str) -> None:
    study(tmp_path, "a", 160, 1e-3)
    write_suite(tmp_path / "suites" / "one", suite(name="one", seeds=2), draws(RATES, 40))
    with pytest.raises(UserError, match=words):
        run_report("a", tmp_path, None, None, other=other)


def test_without_a_browser_the_path_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser._tryorder", [])
    study(tmp_path, "a", 160, 1e-3)
    run_report("a", tmp_path, tmp_path / "out", None, open_page=True)
    told = capsys.readouterr()
    page = tmp_path / "out" / "report.html"
    assert told.out.strip() == str(page)
    assert f"no browser was found here; open {page}" in told.err


def test_a_notebook_shows_the_page_of_a_study_in_a_frame_of_its_own(tmp_path: Path) -> None:
    study(tmp_path, "a", 160, 1e-3)
    loaded = load_study("a", tmp_path)
    page = loaded.report(tmp_path / "out")
    assert isinstance(page, shown.Page) and page.path == tmp_path / "out" / "report.html"
    for html in (page._repr_html_(), loaded._repr_html_()):
        assert html.startswith("<iframe srcdoc=") and 'sandbox="allow-scripts"' in html
        assert "Winner: trial 0" in html and "<script" not in html
