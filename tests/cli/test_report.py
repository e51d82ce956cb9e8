from __future__ import annotations

import csv
from pathlib import Path

import pytest

from lora2_search.analysis.study import read_study_table
from lora2_search.cli.commands.report import run_report
from lora2_search.errors import UserError
from tests.report.test_page import MIXED, write_study
from tests.support.designs import RATES
from tests.support.suites import draws, suite, write_suite


def one_of_each(storage: Path) -> None:
    write_suite(storage / "suites" / "small", suite(seeds=2), draws(RATES, 40))
    write_study(storage / "studies" / "study", MIXED)


def test_a_suite_is_written_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_of_each(tmp_path)
    run_report("small", tmp_path, tmp_path / "out", None)
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "report.html")
    assert (tmp_path / "out" / "runs.csv").is_file()


def test_an_archive_is_kept_and_its_report_made_again_from_it_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_of_each(tmp_path)
    kept = tmp_path / "kept"
    run_report("small", tmp_path, None, kept)
    assert capsys.readouterr().out.strip() == str(kept / "report.md")
    assert not (kept / "report.html").exists()
    first = (kept / "report.md").read_text()
    (tmp_path / "suites").rename(tmp_path / "gone")
    (kept / "report.md").write_text("something else")
    run_report(str(kept), tmp_path, None, None)
    assert (kept / "report.md").read_text() == first
    run_report(str(kept), tmp_path, tmp_path / "shown", None)
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "shown" / "report.html")
    assert "<h1>Suite small</h1>" in (tmp_path / "shown" / "report.html").read_text()
    assert (tmp_path / "shown" / "runs.csv").is_file() and not (kept / "report.html").exists()


def test_an_archive_is_opened_and_compared_from_a_passing_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one_of_each(tmp_path)
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    kept = tmp_path / "kept"
    run_report("small", tmp_path, None, kept)
    before = sorted(kept.rglob("*"))
    run_report(str(kept), tmp_path, None, None, open_page=True)
    shown = Path(capsys.readouterr().out.splitlines()[-1])
    assert opened == [shown.as_uri()] and shown.name == "report.html"
    run_report(str(kept), tmp_path, None, None, other="small")
    compared = Path(capsys.readouterr().out.splitlines()[-1])
    assert "against suite small" in compared.read_text()
    assert sorted(kept.rglob("*")) == before
    with pytest.raises(UserError, match="is a suite and study a study"):
        run_report(str(kept), tmp_path, None, None, other="study")


def test_a_study_gets_its_page_tables_figures_csv_and_the_appendix_of_a_paper(
    tmp_path: Path,
) -> None:
    one_of_each(tmp_path)
    run_report("study", tmp_path, tmp_path / "out", None)
    rows = list(csv.DictReader((tmp_path / "out" / "trials.csv").open()))
    trials = read_study_table(tmp_path / "studies" / "study").trials
    assert [row["trial"] for row in rows] == [str(trial.number) for trial in trials]
    assert [row["state"] for row in rows] == [trial.state.name for trial in trials]
    scores = [
        (float(r["validation/accuracy"]), t.value)
        for r, t in zip(rows, trials, strict=True)
        if t.state.name == "COMPLETE"
    ]
    assert scores and all(ours == pytest.approx(theirs) for ours, theirs in scores)
    assert r"\toprule" in (tmp_path / "out" / "trials.tex").read_text()
    figures = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert {"learning-curves.svg", "learning-curves.pdf", "expected-best-score.svg"} <= figures
    assert r"\toprule" in (tmp_path / "out" / "search_space.tex").read_text()
    assert "seconds in all" in (tmp_path / "out" / "compute.md").read_text()
    assert "Expected best score" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    "name, out, archive, words",
    [
        ("study", None, "kept", "keeps a suite's evidence, and study is a study"),
        ("nothing", None, None, "nothing called nothing"),
        ("small", "file", None, "cannot create the folder"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, name: str, out: str | None, archive: str | None, words: str
) -> None:
    one_of_each(tmp_path)
    (tmp_path / "file").write_text("")
    where = [None if part is None else tmp_path / part for part in (out, archive)]
    with pytest.raises(UserError, match=words):
        run_report(name, tmp_path, *where)
