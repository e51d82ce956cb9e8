"""What is text in a table stays text, whichever renderer writes it."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lora2_search.report.tables.html import html_table
from lora2_search.report.tables.latex import latex_table
from lora2_search.report.tables.markdown import markdown_table
from lora2_search.report.tables.suite import Runs
from lora2_search.report.tables.table import (
    Column,
    Interval,
    Place,
    Spread,
    Table,
    as_text,
    order_of,
    text_column,
)
from lora2_search.report.tables.terminal import print_table
from lora2_search.report.tables.text import differences, scores

MARKUP = [
    "<script>alert(1)</script>", "<b", "</td>", "&amp;", "&#60;", '"', "'", "<!--", "{{ 7*7 }}",
    "|", "\\", "\\|", "*a*", "**b**", "_c_", "__d__", "`e`", "``", "[f](http://g)", "![h](i)",
    "~~j~~", "$k$", "#", "- ", "1. ", "> ", "http://l.m", "n@o.pq", "%", "^", "{", "}", "~",
    "\\input{r}",
    "[s]", "\\\\", "[bold]t[/bold]", "\x1b[31m", "\u202e", "\n", "\t", "–", "±", "−", "u v",
]  # fmt: skip
TEXTS = st.lists(
    st.one_of(st.sampled_from(MARKUP), st.text("ab1 ²γ", min_size=1, max_size=4)), max_size=6
).map("".join)
CELLS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3)


def table(heading: str, cells: list[tuple[str, str]]) -> Table:
    columns = (text_column("name", heading), text_column("said", "said", wraps=True))
    return Table(columns, tuple({"name": a, "said": b} for a, b in cells))


def texts(heading: str, cells: list[tuple[str, str]]) -> list[str]:
    return [heading, "said", *(cell for row in cells for cell in row)]


def flat(text: str) -> str:
    return " ".join(text.split())


class Cells(HTMLParser):
    """The texts of a table's cells, and every tag on the way."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag in ("th", "td"):
            self.found.append("")

    def handle_data(self, data: str) -> None:
        if self.found:
            self.found[-1] += data


TABLE_TAGS = {"table", "thead", "tbody", "tr", "th", "td"}


@settings(deadline=None)
@given(TEXTS, CELLS)
def test_in_html_every_text_is_text(heading: str, cells: list[tuple[str, str]]) -> None:
    read = Cells(html_table(table(heading, cells), label=heading))
    assert [flat(text) for text in read.found] == [flat(t) for t in texts(heading, cells)]
    assert read.tags == TABLE_TAGS | {"div"}


@settings(deadline=None)
@given(TEXTS, CELLS)
def test_in_markdown_every_text_is_text(heading: str, cells: list[tuple[str, str]]) -> None:
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    read = Cells(reader.render(markdown_table(table(heading, cells))))
    assert [flat(text) for text in read.found] == [flat(t) for t in texts(heading, cells)]
    assert read.tags == TABLE_TAGS


LATEX = {
    r"\textbackslash{}": "\\", r"\&": "&", r"\%": "%", r"\$": "$", r"\#": "#", r"\_": "_",
    r"\{": "{", r"\}": "}", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", "{[}": "[",
    r"\textsuperscript{2}": "²", r"$\pm$": "±", "$<$": "<", "$>$": ">", r"$\gamma$": "γ",
    "$-$": "-", "--": "–", r"\textendash{}": "–", r"\textasciigrave{}": "`",
}  # fmt: skip
COMMAND = re.compile("|".join(re.escape(command) for command in LATEX))


@settings(deadline=None)
@given(TEXTS, CELLS)
def test_in_latex_every_text_is_text(heading: str, cells: list[tuple[str, str]]) -> None:
    written = latex_table(table(heading, cells), heading, "tab:x")
    body = written.partition("\\toprule\n")[2].partition("\\bottomrule")[0]
    rows = [line.removesuffix(" \\\\") for line in body.splitlines() if line != "\\midrule"]
    found = [cell for row in rows for cell in re.split(r"(?<!\\)&", row)]
    assert len(found) == 2 * len(cells) + 2
    for cell, text in zip(found, texts(heading, cells), strict=True):
        assert not re.search(r"[\\&%$#_{}~^]", COMMAND.sub("", cell.replace("-{}", "-"))), cell
        back = COMMAND.sub(lambda match: LATEX[match[0]], cell.replace("-{}", "-\0"))
        assert flat(back.replace("\0", "")) == flat(text.replace("−", "-"))


@settings(deadline=None)
@given(TEXTS, CELLS)
def test_on_a_terminal_every_text_is_text(heading: str, cells: list[tuple[str, str]]) -> None:
    with redirect_stdout(io.StringIO()) as stream:
        print_table(table(heading, cells))
    printed = stream.getvalue()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", printed)
    for line, row in zip(printed.splitlines()[1:], cells, strict=False):
        words = [word for cell in row for word in re.findall(r"[ab1²γ]+|\[bold\]", cell)]
        assert all(word in line for word in words)


def test_a_unit_stands_once_in_the_heading_and_values_are_aligned() -> None:
    columns = (
        text_column("arm"),
        scores("score", "test accuracy", "accuracy"),
        differences("gain", "gain", "accuracy"),
        differences("range", "95 % interval", "pearson"),
    )
    rows = ({"arm": "a", "score": Spread(0.5, 0.01), "gain": -0.01, "range": Interval(0, 1)}, {})
    made = Table(columns, rows)
    assert made.titles == ["arm", "test accuracy, %", "gain, points", "95 % interval"]
    assert made.cells == [["a", "50.00 ± 1.00", "-1.00", "+0.0000 to +1.0000"], ["–"] * 4]
    assert markdown_table(made).splitlines()[1] == "| --- | ---: | ---: | ---: |"
    assert "{lrrr}" in latex_table(made, "", "tab:x")
    assert made.records[0] == rows[0] and made.select(["gain", "arm"]).cells[0] == ["-1.00", "a"]
    with pytest.raises(KeyError):
        made.select(["gian"])


def test_an_empty_table_says_so_in_every_renderer() -> None:
    none = Table((Column("a", "a"),))
    assert "None yet" in html_table(none, label="x") and markdown_table(none)
    assert r"\midrule" in latex_table(none, "", "tab:x")


def test_places_and_counts_of_runs_are_read_as_words_and_sorted_as_numbers() -> None:
    told = {Place(2, 12): "2 of 12", Runs(9, 12, 1, 2): "9 of 12, 1 diverged, 2 failed"}
    assert {value: as_text(value) for value in told} == told
    assert [order_of(value) for value in told] == [2, 9]
