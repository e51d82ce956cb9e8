from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest

from lora2_search.analysis.comparison import analyse_tasks
from lora2_search.analysis.evidence import gather
from lora2_search.report.pages.suite_files import report_files, report_texts, write_suite_report
from lora2_search.report.tables.text import signed
from lora2_search.report.words.verdict import headline
from tests.support.designs import STATES, crossed_suite, in_disrepair, write_crossed

NAN = re.compile(r"\b(nan|inf)\b", re.IGNORECASE)


@pytest.mark.parametrize("state", STATES)
def test_whatever_became_of_a_suite_there_is_a_report_without_nan(
    tmp_path: Path, state: str
) -> None:
    texts = report_texts(gather(in_disrepair(tmp_path, state)))
    for name, text in texts.items():
        prose = re.sub(r"```python.*?```", "", text, flags=re.DOTALL)
        prose = prose.replace("the loss is nan", "")
        assert not NAN.search(prose), (name, NAN.search(prose))
    rows = list(csv.DictReader(texts["runs.csv"].splitlines()))
    assert rows and all(row["status"] for row in rows)


def test_everything_that_is_promised_is_written(tmp_path: Path) -> None:
    out = tmp_path / "elsewhere"
    path = write_suite_report(write_crossed(tmp_path / "suite"), out)
    assert path == out / "report.md"
    names = {str(file.relative_to(out)) for file in report_files(out)}
    assert {"report.md", "report.html", "runs.csv", "comparisons.csv"} <= names
    assert {"tables/arms.tex", "tables/effects.tex"} <= names
    figures = ("effects", "interactions", "learning-curves", "rank-patterns")
    assert {f"figures/{name}.{end}" for name in figures for end in ("svg", "pdf")} <= names
    linked = re.findall(r"!\[[^]]*\]\(([^)]*)\)", path.read_text())
    assert len(linked) >= 4 and all((out / link).is_file() for link in linked)
    assert (tmp_path / "suite" / "published.csv").is_file()


def test_a_suite_that_was_analysed_is_not_read_again(tmp_path: Path) -> None:
    folder = write_crossed(tmp_path / "suite")
    analyses = analyse_tasks(folder)
    shutil.rmtree(folder / "runs")
    text = write_suite_report(folder, tmp_path / "out", analyses).read_text()
    assert text.splitlines()[2] == f"> {headline(analyses[''])}"


def test_published_numbers_are_not_asked_for_before_the_metric_is_known(tmp_path: Path) -> None:
    crossed_suite().write(tmp_path)
    write_suite_report(tmp_path)
    assert not (tmp_path / "published.csv").exists()


def test_table_words_and_csv_agree(tmp_path: Path) -> None:
    evidence = gather(write_crossed(tmp_path))
    texts = report_texts(evidence)
    rows = list(csv.DictReader(texts["comparisons.csv"].splitlines()))
    runs = list(csv.DictReader(texts["runs.csv"].splitlines()))
    analysis = evidence[""].analysis
    assert [row["comparison"] for row in rows] == [
        *(item.name for item in analysis.family),
        "base − head-only",
        *(claim.name for claim in analysis.equivalence),
    ]
    latex = texts["tables/effects.tex"]
    for row, item in zip(rows, analysis.family, strict=False):
        shown = signed(float(row["difference"]), "accuracy").removesuffix(" points")
        table = re.search(rf"^\| {re.escape(item.name)} \| (.*?) \|", texts["report.md"], re.M)
        assert table is not None and table[1] == shown
        assert shown.lstrip("+-") in texts["report.md"].partition("## Figures")[0]
        assert shown.replace("-", "$-$") in latex
        by_arm = {arm: _mean(runs, arm) for arm in item.weights}
        by_hand = sum(weight * by_arm[arm] for arm, weight in item.weights.items())
        assert float(row["difference"]) == pytest.approx(by_hand, abs=1e-12)


def test_a_crossed_suite_gets_its_contrasts_margins_and_claims_into_the_report(
    tmp_path: Path,
) -> None:
    text = report_texts(gather(write_crossed(tmp_path)))["report.md"]
    assert "| planes: one-plane |" in text
    assert "| planes × regularisation: one-plane, unregularised |" in text
    assert "## Equality" in text and "| one-plane equals base | ± 5.00 |" in text


def test_several_tasks_are_told_apart_and_together(tmp_path: Path) -> None:
    texts = report_texts(gather(in_disrepair(tmp_path, "two tasks")))
    text = texts["report.md"]
    assert (
        text.index("## Over all tasks") < text.index("## Task short") < text.index("## Task long")
    )
    assert {"tables/short.arms.tex", "tables/long.arms.tex"} <= set(texts)
    tasks = [row["task"] for row in csv.DictReader(texts["runs.csv"].splitlines())]
    assert tasks.count("short") == tasks.count("long") == 12


def _mean(runs: list[dict[str, str]], arm: str) -> float:
    scores = [float(row["score"]) for row in runs if row["arm"] == arm]
    return sum(scores) / len(scores)
