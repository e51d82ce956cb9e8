"""What users wrote stays text in a report's paragraphs, whichever renderer writes them."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from markdown_it import MarkdownIt

from lora2_search.analysis.evidence import Evidence, gather
from lora2_search.analysis.study import read_study_table
from lora2_search.report.figures.study_numbers import StudyNumbers
from lora2_search.report.pages.markdown import tasks_report
from lora2_search.report.pages.study import rendered, study_sections
from lora2_search.report.pages.study_files import _markdown
from lora2_search.report.pages.suite import suite_page
from lora2_search.report.rendering import prose
from lora2_search.report.tables.latex import effects_table
from lora2_search.report.tables.markdown import code_span, escaped, unescaped
from lora2_search.report.words.verdict import headline
from lora2_search.store.record import Flag
from tests.report.test_tables import TEXTS, flat
from tests.support.studies import State, write_trials
from tests.support.suites import draws, suite, write_suite


class Reader(HTMLParser):
    """The text of a piece of HTML, but for scripts and styles, and its elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags, self._hidden = "", list[str](), False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._hidden = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self._hidden else data


def read_markdown(text: str) -> Reader:
    return Reader(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))


@settings(deadline=None)
@given(TEXTS)
@example("# a")
@example("1. a")
@example("12) a")
@example("- a")
@example("---")
@example("> a")
@example("+ a")
def test_a_text_is_a_text_in_a_paragraph_of_every_renderer(text: str) -> None:
    for before in ("", "seed 1: "):
        found = read_markdown(before + escaped(text))
        assert flat(found.text) == flat(before + text)
        assert set(found.tags) <= {"p"}
        page = Reader(str(prose(before + escaped(text))))
        assert flat(page.text) == flat(before + text) and page.tags == []
        assert flat(unescaped(before + escaped(text))) == flat(before + text)


@settings(deadline=None)
@given(TEXTS.map(str.strip))
@example("`e` f")
def test_code_within_a_line_ends_where_it_should(text: str) -> None:
    written = f"In {code_span(text)}:"
    for found in (read_markdown(written), Reader(str(prose(written)))):
        assert set(found.tags) <= {"p", "code"}
        assert flat(found.text) == flat(f"In {text}:")


MARK = "<zap>`t`*zig*[zog](http://z.z)_zug_ $zeg$ a|b"


def marked_suite(folder: Path) -> Evidence:
    """Return the evidence of a suite whose every free text is full of markup."""
    arms = {
        "odd": {"adapter.gamma": 0.0, "adapter.target_modules": [MARK]},
        "head-only": {"method": "head-only"},
    }
    plan = suite(arms=arms, seeds=6, contrasts={f"c {MARK}": {"base": 1, "odd": -1}})
    told: dict[str, Any] = {
        "flags": [Flag(name="gradient", detail=MARK, setting="training.lr")],
        "classes": ["no", MARK],
        "commonest": MARK,
        "constant": {"test/accuracy": 0.5},
        "device": MARK,
    }
    special = {(arm, seed): told for arm in ("base", *arms) for seed in range(6)}
    special["odd", 5] = {"status": "failed", "error": f"OSError: {MARK}"}
    rates = {"base": 0.9, "odd": 0.6, "head-only": 0.5}
    draw = draws(rates)
    answers = lambda arm, seed: None if (arm, seed) == ("odd", 5) else draw(arm, seed)  # noqa: E731
    return gather(write_suite(folder, plan, answers, special))[""]


def test_in_a_suites_report_every_text_is_text_in_all_four_renderers(tmp_path: Path) -> None:
    evidence = marked_suite(tmp_path)
    said = headline(evidence.analysis)
    report, page = read_markdown(tasks_report({"": evidence})), Reader(suite_page({"": evidence}))
    for found in (report, page):
        assert "zap" not in found.tags
        shown = flat(found.text)
        for words in (
            f"odd, seed 5: failed: OSError: {MARK}",
            f"With seed 0 {MARK}. The setting",
            f"Always '{MARK}' would score",
            f"adapter.target_modules: ['{MARK}']",
            f"c {MARK} (weights: base +1, odd -1)",
            f"Device: {MARK}",
        ):
            assert words in shown, words
    assert "a" not in report.tags
    assert MARK in unescaped(said) and MARK not in said
    latex = effects_table(evidence.analysis)
    assert "<zap>" not in latex and r"$<$zap$>$\textasciigrave{}t" in latex


@pytest.mark.parametrize("state", [State.FAIL, State.PRUNED])
def test_in_a_studys_report_every_text_is_text(tmp_path: Path, state: State) -> None:
    trials = [{"values": [0.5]}, {"state": state, "values": [0.4], "reason": MARK}]
    table = read_study_table(write_trials(tmp_path, trials))
    sections = study_sections(StudyNumbers(table))
    report, page = read_markdown(_markdown(sections)), Reader(rendered(sections))
    for found in (report, page):
        assert "zap" not in found.tags and flat(found.text).count(MARK) >= 3
    assert "a" not in report.tags
