from __future__ import annotations

import re
from pathlib import Path

import pytest

from lora2_search.analysis.evidence import gather
from lora2_search.report.figures.panels import geometry_panels, interaction_panels, suite_panels
from lora2_search.report.figures.paper import write_figures
from lora2_search.report.figures.suite import draw_forest, draw_interaction
from lora2_search.report.pages.suite import suite_page
from lora2_search.report.rendering import prose
from lora2_search.report.words.verdict import headline
from tests.support.designs import STATES, in_disrepair, write_crossed


def test_the_page_holds_plotly_once_and_names_no_address(tmp_path: Path) -> None:
    evidence = gather(write_crossed(tmp_path))
    html = suite_page(evidence)
    assert html.count('class="plot"') >= 5
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


def test_the_forest_draws_each_margin_as_a_band_behind_its_own_row(tmp_path: Path) -> None:
    from lora2_search.analysis.factorial import effects

    found = effects(gather(write_crossed(tmp_path))[""].analysis)
    figure = draw_forest(found, "accuracy")
    row = [item.name for item in found].index("one-plane − base")
    (band,) = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert (band.x0, band.x1) == (-5.0, 5.0) and band.y0 < row < band.y1
    drawn = {name for trace in figure.data for name in trace.y}
    assert drawn == {item.name for item in found}


def test_small_figures_are_drawn_for_interactions_and_geometry(tmp_path: Path) -> None:
    from lora2_search.analysis.factorial import interactions

    evidence = gather(write_crossed(tmp_path))[""]
    assert [panel.title for panel in interaction_panels(evidence)] == ["planes × regularisation"]
    (found,) = interactions(evidence.analysis)
    assert {trace.name for trace in draw_interaction(found, "accuracy").data} == set(
        found.levels(1)
    )
    assert geometry_panels(evidence) == []


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
