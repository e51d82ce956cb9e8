from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import pytest

from lora2_search.report.archive.archive import write_archive, write_archived_report
from lora2_search.report.archive.claims import numbers_in, unrecorded
from lora2_search.stats.significance import holm
from tests.support.designs import write_crossed

RESULTS = Path(__file__).parents[2] / "docs" / "results"
# Written and checked by benchmarks/learning_rate.py, from learning_rate.jsonl.
ELSEWHERE = ("learning_rate.md",)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("claims")
    write_archive(write_crossed(root / "suite"), root / "results" / "small")
    return root / "results"


@pytest.fixture
def results(pristine: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(pristine, tmp_path / "results"))


def test_what_the_command_wrote_has_a_record(results: Path) -> None:
    assert unrecorded(results) == [] and unrecorded(results / "small") == []


@pytest.mark.parametrize(
    "name, before, after",
    [
        ("report.md", r"\+\d\d\.\d\d points", "+99.99 points"),
        ("tables/arms.tex", r"\d\d\.\d\d", "99.99"),
        ("runs.csv", r"0\.\d+", "0.999"),
        ("comparisons.csv", r"e-\d\d|0\.\d+", "0.999"),
        ("records.jsonl", r'"compressed_adapter":\d+', '"compressed_adapter":7'),
        ("suite.yaml", "margin: 0.05", "margin: 0.06"),
    ],
)
def test_a_number_that_was_changed_by_hand_is_found(
    results: Path, name: str, before: str, after: str
) -> None:
    path = results / "small" / name
    changed = re.sub(before, after, path.read_text(), count=1)
    assert changed != path.read_text()
    path.write_text(changed)
    found = unrecorded(results)
    assert found and all("is not what the archive gives;" in line for line in found)


def test_a_score_that_its_predictions_do_not_give_is_found(results: Path) -> None:
    # The report made anew from a changed record agrees with it: the predictions do not.
    folder = results / "small"
    path = folder / "records.jsonl"
    path.write_text(
        re.sub(r'"test/accuracy":0\.\d+', '"test/accuracy":0.99', path.read_text(), count=1)
    )
    write_archived_report(folder)
    assert "scores 0.99 by its record, 0." in " ".join(unrecorded(results))


def test_a_page_in_a_folder_without_an_archive_is_no_hiding_place(results: Path) -> None:
    for folder in (results / "prose", results / "small" / "more"):
        folder.mkdir()
        (folder / "page.md").write_text("It scores 1234.5 points.\n")
    assert ["1234.5" in line for line in unrecorded(results)] == [True, True]


def test_a_page_that_is_missing_is_found(results: Path) -> None:
    (results / "small" / "runs.csv").unlink()
    assert "runs.csv is missing" in unrecorded(results)[0]


def test_prose_may_say_what_the_report_says_in_fewer_digits_and_nothing_else(
    results: Path,
) -> None:
    folder = results / "small"
    sign, digits = _difference(folder)
    short = f"{float(digits):.1f}"
    (folder / "README.md").write_text(
        f"It scores {digits} points, about {short}, or {sign}{digits}; `k = 77`, [it](a/5.md).\n"
    )
    assert unrecorded(results) == []
    wrong = "-" if sign == "+" else "+"
    (folder / "README.md").write_text(f"It scores {wrong}{digits}.\n\nOr 1234.5 of them.\n")
    lines = unrecorded(results)
    assert [line.partition(": no record of ")[2].split(";")[0] for line in lines] == [
        f"{wrong}{digits}",
        "1234.5",
    ]
    assert "line 3" in lines[1]


@pytest.mark.parametrize(
    "row, problem",
    [
        ("over.md,{score},small/runs.csv,arm=base;seed=1,score", None),
        ("over.md,{score},runs.csv,arm=base;seed=1,score", "no file 'runs.csv'"),
        ("over.md,{score},small/runs.csv,arm=base,score", "4 rows of small/runs.csv"),
        ("over.md,{score},small/runs.csv,arm=base;seed=1,seed", "not what the cell says: '1'"),
        ("over.md,{score},small/runs.csv", "line 2: a column is missing"),
    ],
)
def test_prose_over_several_archives_names_the_cells_it_comes_from(
    results: Path, row: str, problem: str | None
) -> None:
    import csv

    rows = csv.DictReader((results / "small" / "runs.csv").read_text().splitlines())
    score = next(r["score"] for r in rows if r["arm"] == "base" and r["seed"] == "1")
    said = f"{100 * float(score):.3f}"  # In a digit that no report has.
    (results / "over.md").write_text(f"One run had {said} %.\n")
    assert "no record of" in unrecorded(results)[0]
    line = row.format(score=said)
    (results / "claims.csv").write_text(f"page,number,file,row,column\n{line}\n")
    found = unrecorded(results)
    assert found == [] if problem is None else problem in found[0]


@pytest.mark.parametrize(
    "text, numbers",
    [
        ("it is 1,000 of 2.5M, k1 and LoRA2", [("", "1,000"), ("", "2.5")]),
        ("−1.5 to +2e-3 (95 %)", [("-", "1.5"), ("+", "2e-3"), ("", "95")]),
        ("commit 855d6a1c, `x = 3`, ![a](b7.svg), Dodge et al. 2019", []),
        ("1. first\n2. second 8", [("", "8")]),
        ("p < 0.05 in 99 % and > 3; <b>7</b>", [("", n) for n in ("0.05", "99", "3", "7")]),
        ("r = .97, v1.2.3", [("", ".97")]),
    ],
)
def test_what_counts_as_a_number(text: str, numbers: list[tuple[str, str]]) -> None:
    assert numbers_in(text) == numbers


@pytest.mark.skipif(not RESULTS.is_dir(), reason="no results are kept yet")
def test_every_number_in_docs_results_has_a_record() -> None:
    archives = list(RESULTS.glob("*/records.jsonl"))
    pages = [path for path in RESULTS.rglob("*.md") if path.name not in ELSEWHERE]
    assert archives or not pages, "pages of results without an archive beside them"
    assert unrecorded(RESULTS, ELSEWHERE) == []


@pytest.mark.skipif(
    not (RESULTS / "learning_rate.md").is_file(), reason="the study has not been reported yet"
)
def test_the_learning_rate_page_is_what_its_runs_give_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    from benchmarks import learning_rate

    for name, end in (("PAGE", "md"), ("FIGURE", "svg")):
        monkeypatch.setattr(learning_rate, name, tmp_path / f"page.{end}")
    learning_rate.page()
    assert (tmp_path / "page.md").read_text() == (RESULTS / "learning_rate.md").read_text()


def _difference(folder: Path) -> tuple[str, str]:
    found = re.search(r"\| ([+-])(\d\d\.\d+) \|", (folder / "report.md").read_text())
    assert found is not None
    return found[1], found[2]


def test_over_the_suites_that_share_their_runs_no_difference_stays() -> None:
    found = {}
    for suite in ("components", "orthogonality", "scoring", "cheaper-scoring"):
        with (RESULTS / suite / "comparisons.csv").open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["role"] == "named":
                    # The same runs, compared in two suites, are one test.
                    found[row["difference"], row["p"]] = float(row["p"])
    assert len(found) > 14 and min(p for p in holm(list(found.values())) if p is not None) > 0.05
