from __future__ import annotations

import re
from pathlib import Path

import plotly.graph_objects
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora2_search.analysis.evidence import gather
from lora2_search.report.archive.archive import archive_suite
from lora2_search.report.figures.axes import linear, log_ticks
from lora2_search.report.figures.drawing import Drawing
from lora2_search.report.figures.forest import forest
from lora2_search.report.figures.panels import geometry_panels, interaction_panels, suite_panels
from lora2_search.report.figures.paper import write_figures
from lora2_search.report.figures.suite import draw_interaction
from lora2_search.report.pages.suite import suite_page
from lora2_search.report.rendering import prose
from lora2_search.report.tables.text import p_value
from lora2_search.report.words.verdict import headline
from tests.support.designs import STATES, in_disrepair, write_crossed
from tests.support.suites import draws, suite, write_suite

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def test_the_page_holds_plotly_once_and_names_no_address(tmp_path: Path) -> None:
    evidence = gather(write_crossed(tmp_path))
    html = suite_page(evidence)
    assert html.count('class="plot"') >= 3
    assert len(re.findall(r"<script[^>]*>/\*\*\s*\n?\* plotly\.js", html)) == 1
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", html)
    assert "default-src 'none'" in html and "prefers-color-scheme: dark" in html
    assert prose(headline(evidence[""].analysis)) in html


@pytest.mark.parametrize("state", STATES)
def test_every_state_of_a_suite_has_a_page_and_figures_or_reasons(
    tmp_path: Path, state: str
) -> None:
    evidence = gather(in_disrepair(tmp_path, state))
    html = suite_page(evidence).rpartition("</script>")[0]
    shown = re.sub(r"<script.*?</script>|<pre.*?</pre>", "", html, flags=re.DOTALL)
    assert not re.search(r"\bnan\b", shown.replace("the loss is nan", ""), re.IGNORECASE)
    for item in evidence.values():
        for panel in suite_panels(item):
            assert panel.figure is not None or panel.text.endswith(".")
    write_figures(evidence, tmp_path / "figures", ("svg",))


def test_the_forest_has_every_comparison_with_its_numbers_margin_and_word(tmp_path: Path) -> None:
    analysis = gather(write_crossed(tmp_path))[""].analysis
    found = forest(analysis)
    rows = {row.name: row for row in found.rows}
    assert list(rows) == [*(item.name for item in analysis.family), "base − head-only"]
    for item in analysis.family:
        row = rows[item.name]
        assert (row.effect, row.low, row.high) == (
            item.paired.estimate,
            item.paired.low,
            item.paired.high,
        )
        assert (row.tone == "differs") == item.differs
        assert row.p == p_value(item.paired_holm)
    against = {row.name: row.against for row in found.rows if row.against}
    assert against["planes: one-plane"] == "against two-planes, averaged over regularisation"
    assert not any("×" in name for name in against)
    assert [row.margin for row in found.rows if row.margin] == [0.05]
    floor = rows["base − head-only"]
    assert floor.marks == ("floor",) and floor.word == "trained enough"
    assert found.scale.place(0.0) < found.scale.place(0.05) <= 100
    html = suite_page(gather(tmp_path))
    assert html.index('class="verdict"') < html.index('class="forest"') < html.index("<details")
    assert html.index(">In words<") < html.index(">Arms<") < html.index(">Compute<")


def test_an_untuned_arm_and_a_suite_without_a_verdict_are_marked_in_the_row(
    tmp_path: Path,
) -> None:
    arms = {"lora": {"method": "lora"}, "head-only": {"method": "head-only"}}
    plan = suite(arms=arms, seeds=4, training={"lr": 1e-2})
    rates = {"base": 0.5, "lora": 0.8, "head-only": 0.9}
    row, floor = forest(gather(write_suite(tmp_path, plan, draws(rates)))[""].analysis).rows
    assert row.marks == ("lora untuned",)
    assert (row.word, row.tone) == ("no verdict", "none")
    assert floor.word == "not shown to be trained enough"


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([1e-3, 2e-2], ["1e-3", "3e-3", "1e-2", "3e-2"]),
        ([0.004], ["3e-3", "1e-2"]),
        ([1e-8, 1.0], [f"1e{power}" for power in range(-8, 1)]),
        ([0.0, float("nan")], []),
    ],
)
def test_ticks_of_logarithms_are_told_by_their_powers(
    values: list[float], ticks: list[str]
) -> None:
    places, texts = log_ticks(values)
    assert texts == ticks and places == pytest.approx([float(text) for text in ticks])


@given(st.lists(st.floats(-1e3, 1e3), max_size=5))
def test_an_axis_holds_all_its_values_and_ticks(values: list[float]) -> None:
    scale = linear(values)
    assert all(not scale.beyond(value) for value in values)
    assert all(0 <= scale.place(value) <= 100 for value in (*values, *scale.ticks))
    assert 2 <= len(scale.ticks) <= 12


def test_small_figures_are_drawn_for_interactions_and_geometry(tmp_path: Path) -> None:
    from lora2_search.analysis.factorial import interactions

    evidence = gather(write_crossed(tmp_path))[""]
    assert [panel.title for panel in interaction_panels(evidence)] == ["planes × regularisation"]
    (found,) = interactions(evidence.analysis)
    assert {trace["name"] for trace in draw_interaction(found, "accuracy").data} == set(
        found.levels(1)
    )
    [panel] = interaction_panels(evidence)
    assert {key.name for key in panel.keys} == {f"regularisation: {n}" for n in found.levels(1)}
    assert geometry_panels(evidence) == []


def test_an_arm_looks_the_same_in_every_figure_and_in_its_legend() -> None:
    with archive_suite(RESULTS / "orthogonality") as evidence:
        item, html = evidence[""], suite_page(evidence)
    geometry = geometry_panels(item)
    panels = [*suite_panels(item), *geometry]
    looks: dict[str, set[tuple[str, str]]] = {}
    for panel in panels:
        assert isinstance(panel.figure, Drawing) and panel.figure.layout["showlegend"] is False
        named = [trace for trace in panel.figure.data if "name" in trace]
        keys = {key.name: key for key in panel.keys}
        assert {trace["name"] for trace in named} <= set(keys)
        for trace in named:
            key, marker = keys[trace["name"]], trace["marker"]
            assert (key.colour, key.symbol) == (marker["color"], marker["symbol"])
            assert key.dash == trace.get("line", {}).get("dash", "")
            looks.setdefault(key.name, set()).add((key.colour, key.symbol))
    assert geometry and len(looks) > 2 and all(len(found) == 1 for found in looks.values())
    assert set(re.findall(r'href="#((?:mark|line)-[a-z-]+)"', html)) <= set(
        re.findall(r'<path id="((?:mark|line)-[a-z-]+)"', html)
    )


def test_plotly_accepts_what_is_drawn(tmp_path: Path) -> None:
    evidence = gather(write_crossed(tmp_path))[""]
    drawn = [*suite_panels(evidence), *interaction_panels(evidence)]
    figures = [panel.figure.to_plotly_json() for panel in drawn if panel.figure is not None]
    assert len(figures) >= 3
    for figure in figures:
        plotly.graph_objects.Figure(figure)  # raises at a name or a value that it does not know


def test_paper_figures_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    evidence = gather(write_crossed(tmp_path / "suite"))
    for name in ("one", "two"):
        write_figures(evidence, tmp_path / name)
    files = sorted((tmp_path / "one").iterdir())
    assert {path.suffix for path in files} == {".svg", ".pdf"} and len(files) >= 8
    for path in files:
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    "text, html",
    [
        ("*a* and `b < c`", "<em>a</em> and <code>b &lt; c</code>"),
        ("3 * 4 * 5", "3 * 4 * 5"),
        ("<script>", "&lt;script&gt;"),
    ],
)
def test_prose_is_markdown_of_emphasis_and_code(text: str, html: str) -> None:
    assert prose(text) == html


def test_the_forests_of_several_tasks_come_before_anything_else() -> None:
    with archive_suite(RESULTS / "planes") as evidence:
        html = suite_page(evidence)
    forests = [html.index(f'aria-label="Comparisons of {task}"') for task in evidence]
    assert len(forests) == 4 and max(forests) < html.index("Over all tasks")
    assert html.count('class="forest"') == 4
    ids = re.findall(r'<section id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_a_difference_that_the_exact_test_does_not_show_is_marked_at_first_sight() -> None:
    with archive_suite(RESULTS / "start") as evidence:
        analysis = evidence[""].analysis
    marked = [row.name for row in forest(analysis).rows if "sign-flip disagrees" in row.marks]
    assert marked == ["lora-cut − base"]
    assert "(on new sentences too; the exact sign-flip test disagrees)" in headline(analysis)
