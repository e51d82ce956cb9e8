from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from lora2_search.analysis.evidence import gather
from lora2_search.analysis.study import StudyTable, read_study_table
from lora2_search.analysis.versus import Side, compare_sides, compare_studies, compare_suites
from lora2_search.cli.commands.report import run_report
from lora2_search.errors import UserError
from lora2_search.report.pages import shown
from lora2_search.report.pages.pairs import write_study_comparison, write_suite_comparison
from lora2_search.search.study import load_study
from tests.support.designs import RATES
from tests.support.pages import Page
from tests.support.spaces import space_of
from tests.support.studies import write_trials
from tests.support.suites import draws, suite, write_suite
from tests.support.trials import confirm, drive, seeded

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


def searched(storage: Path, name: str, seeds: int, seed: int = 0, ks: int = 16) -> Path:
    """Write a study whose winner is confirmed on so many fresh seeds; on none, if that is 0."""
    space = space_of(
        name=name,
        seed=seed,
        winner={"top": 2, "seeds": seeds} if seeds else None,
        search={"adapter.k": {"type": "int", "low": 1, "high": ks}},
        sampler={"name": "random"},
    )
    folder = storage / "studies" / name
    drive(folder, space, made=seeded)
    if seeds:
        confirm(folder, space)
    return folder


def reported(table: StudyTable) -> Mapping[int, float]:
    """What stands for a winner on fresh seeds, by seed."""
    assert table.confirmed is not None and table.confirmed.reported is not None
    return table.confirmed.reported.scores("test", "accuracy")


def compared(left: Path, right: Path, out: Path) -> Page:
    """Return what stands above the two studies themselves."""
    html = write_study_comparison(left, right, out).read_text(encoding="utf-8")
    return Page(html.partition('<h1 class="task">')[0])


def test_confirmed_winners_are_compared_over_the_seeds_that_both_have(tmp_path: Path) -> None:
    folders = searched(tmp_path, "a", 4), searched(tmp_path, "b", 4, ks=3)
    left, right = map(read_study_table, folders)
    ours, theirs = reported(left), reported(right)
    assert list(ours) == list(theirs) == [5, 6, 7, 8]
    gap = compare_studies(left, right).gap
    differences = [ours[seed] - theirs[seed] for seed in ours]
    reach = stats.t.ppf(0.975, 3) * stats.sem(differences)
    assert gap.n == 4 and gap.estimate == pytest.approx(np.mean(differences))
    assert (gap.low, gap.high) == pytest.approx((gap.estimate - reach, gap.estimate + reach))
    page = compared(*folders, tmp_path)
    values = [float(value.split()[0]) for value, _ in page.cards[:3]]
    assert values[2] == pytest.approx(values[0] - values[1], abs=0.016)
    texts = [text for _, text in page.cards[:3]]
    assert all("mean test score of 4 fresh seeds" in text for text in texts[:2])
    assert "mean over the 4 seeds that both have" in texts[2]
    assert [row["seeds"] for row in page.rows("Best scores of both studies").values()] == ["4", "4"]
    html = (tmp_path / "compared-with-b.html").read_text(encoding="utf-8")
    assert "fresh seeds, on which nothing was chosen" in html
    assert "trained with one seed" not in html.partition("<h2>Histories")[0]


@pytest.mark.parametrize(
    ("seeds", "seed", "note"),
    [
        (4, 100, "no seed in common"),
        (2, 0, "no seed in common"),  # 3 and 4 are reported there, 5 to 8 here
        (0, 6, "one seed: no test is possible"),
        (0, 0, "no seed in common"),
    ],
)
def test_what_a_confirmed_winner_cannot_be_paired_with_is_said(
    seeds: int, seed: int, note: str, tmp_path: Path
) -> None:
    folders = searched(tmp_path, "a", 4), searched(tmp_path, "b", seeds, seed)
    left, right = map(read_study_table, folders)
    gap = compare_studies(left, right).gap
    assert note in gap.note and gap.low is None
    if gap.n:
        assert right.winner_run is not None
        assert (
            gap.estimate == reported(left)[seed] - right.winner_run.record.scores["test/accuracy"]
        )
    page = compared(*folders, tmp_path)
    assert note in page.cards[2][1] and (page.cards[2][0] == "–") is not bool(gap.n)
    html = (tmp_path / "compared-with-b.html").read_text(encoding="utf-8")
    assert ("b: one run on the seed that it was chosen on" in html) is not bool(seeds)


def test_a_winner_that_is_not_confirmed_yet_has_no_difference(tmp_path: Path) -> None:
    folders = searched(tmp_path, "a", 4), tmp_path / "studies" / "b"
    drive(folders[1], space_of(name="b", winner={"top": 2, "seeds": 4}), made=seeded)
    page = compared(*folders, tmp_path)
    assert page.cards[1] == ["–", "b: winner, test score (it is scored once the winner is chosen)"]
    assert page.cards[2] == ["–", "a − b: a winner is not scored yet"]


def test_the_numbers_of_both_histories_are_in_one_table(tmp_path: Path) -> None:
    folders = study(tmp_path, "a", 160, 1e-3), study(tmp_path, "b", 120, 1e-2)
    head, *rows = compared(*folders, tmp_path).numbers["histories"]
    assert head[:2] == ["study", "trial"]
    assert [row[:2] for row in rows] == [["a", "0"], ["b", "0"]]


def test_two_of_one_name_are_told_apart_wherever_they_are_named(tmp_path: Path) -> None:
    folders = [study(tmp_path / place, "a", n, 1e-3) for place, n in (("x", 160), ("y", 120))]
    page = compared(*folders, tmp_path)
    both = ["a (1)", "a (2)"]
    assert list(page.rows("Best scores of both studies")) == both
    assert [text[:5] for _, text in page.cards[:2]] == both
    assert page.cards[2][1].startswith("a (1) − a (2), ")
    assert page.tables["Settings of both winners"][0][1:3] == both
    assert [row[0] for row in page.numbers["histories"][1:]] == both
    assert [f"{name}, best so far" in page.traces("histories") for name in both] == [True, True]
    html = (tmp_path / "compared-with-a.html").read_text(encoding="utf-8")
    assert "<title>a (1) against a (2)" in html
    assert re.findall(r'<h1 class="task">(.*?)</h1>', html) == both


def test_two_suites_of_one_name_are_told_apart_wherever_they_are_named(tmp_path: Path) -> None:
    folders = [
        write_suite(tmp_path / place, suite(name="one", seeds=2), draws(RATES, 40))
        for place in "xy"
    ]
    html = write_suite_comparison(*folders, tmp_path).read_text(encoding="utf-8")
    page, both = Page(html), ["one (1)", "one (2)"]
    assert "Suite one (1) against suite one (2)" in html
    assert all(
        f"<b>{name}.</b>" in html and f"Comparisons of {name}" in page.tables for name in both
    )
    assert list(page.traces("arms")) == both
    assert f"{both[0]} − {both[1]}" in html


def test_an_arm_is_compared_where_the_data_of_its_common_seeds_are_the_same(tmp_path: Path) -> None:
    told: list[dict[tuple[str, int], dict[str, str]]] = [
        {("base", 0): {"data_hash": "x"}, ("head-only", 0): {"data_hash": "x"}},
        # The base's record is an older one; the head's other seed is in one suite alone.
        {("head-only", 0): {"data_hash": "y"}, ("no-regularisation", 2): {"data_hash": "y"}},
    ]
    sides = []
    for name, seeds, special in (("one", 2, told[0]), ("two", 3, told[1])):
        plan = suite(name=name, seeds=seeds)
        folder = write_suite(tmp_path / name, plan, draws(RATES, 40), special)
        [found] = gather(folder).values()
        sides.append(found.analysis)
    gaps = {pair.name: pair.gap for pair in compare_suites(*sides)}
    assert gaps["base"].n == gaps["no-regularisation"].n == 2
    assert gaps["head-only"].estimate is None and "same data" in gaps["head-only"].note


def test_confirmed_winners_on_other_data_are_not_compared(tmp_path: Path) -> None:
    folders = searched(tmp_path, "a", 2), searched(tmp_path, "b", 2)
    for folder in folders:
        for path in (folder / "winner").rglob("record.json"):
            path.write_text(json.dumps(json.loads(path.read_text()) | {"data_hash": folder.name}))
    gap = compare_studies(*map(read_study_table, folders)).gap
    assert gap.estimate is None and "same data" in gap.note


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


@pytest.mark.parametrize("second", ["b", "a"])
def test_the_tables_of_two_studies_are_told_apart(tmp_path: Path, second: str) -> None:
    folders = [study(tmp_path / str(n), name, 120, 1e-3) for n, name in enumerate(("a", second))]
    html = write_study_comparison(*folders, tmp_path).read_text(encoding="utf-8")
    labels = re.findall(r'role="region" aria-label="([^"]+)"', html)
    assert len(labels) == len(set(labels)) and "Histories" in " ".join(labels)
    ends = ("a", "b") if second == "b" else ("a (1)", "a (2)")
    assert all(
        f"{table} of {end}" in labels for table in ("Trials", "Numbers of History") for end in ends
    )


def test_two_suites_are_compared_arm_by_arm_over_common_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seeds in (("one", 2), ("two", 3)):
        write_suite(tmp_path / "suites" / name, suite(name=name, seeds=seeds), draws(RATES, 40))
    run_report("one", tmp_path, tmp_path / "out", None, other="two")
    html = Path(capsys.readouterr().out.strip()).read_text(encoding="utf-8")
    assert "one − two" in html and "no-regularisation" in html
    page = Page(html)
    forests = [page.rows(f"Comparisons of {name}") for name in ("one", "two")]
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
