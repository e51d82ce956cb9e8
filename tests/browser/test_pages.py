"""What people see: MLflow's run lists and the report of a study, in headless Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lora2_search.report.archive.archive import archive_suite
from lora2_search.report.pages.suite import suite_page
from lora2_search.report.rendering import render
from lora2_search.report.tables.table import Column, Place, Table
from lora2_search.tracking.delivery.sync import sync
from lora2_search.tracking.spool.observer import SpoolObserver
from lora2_search.tracking.ui import address_of, address_of_several
from tests.report.test_page import MIXED, write_study
from tests.support.mlflow_study import parent, record, report, run, whole_run
from tests.support.servers import answers, free_port, wait_until

RESULTS = Path(__file__).parents[2] / "docs" / "results"
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver"
    ),
]

QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1500,950",
)


@pytest.fixture
def browser() -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for argument in QUIET:
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def rows(browser: Any) -> list[str]:
    from selenium.webdriver.common.by import By

    return [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, ".ag-row") if cell.text]


def shows(browser: Any, *texts: str) -> Callable[[], bool]:
    from selenium.webdriver.common.by import By

    return lambda: all(t in browser.find_element(By.TAG_NAME, "body").text for t in texts)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[str, str, Path, Path]]:
    """A served store with two studies of three trials and a suite of two arms by two seeds."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    study, suite = tmp_path / "studies" / "demo", tmp_path / "suites" / "demo"
    told = {study: parent(), suite: parent(kind="suite")}
    told[study.with_name("other")] = parent(name="other")
    for folder, info in told.items():
        folder.mkdir(parents=True)
        observer = SpoolObserver(folder, info)
        for number in range(4 if folder == suite else 3):
            tags = {"arm": ("base", "other")[number % 2]} if folder == suite else {}
            one = run(folder, number, **tags)
            if folder != suite and number == 1:
                observer.started(one)
                observer.reported(one, report(0, 20))
                observer.ended(one, "PRUNED", None, "weaker than others")
            else:
                whole_run(observer, one)
        winner = None if folder == suite else run(folder, 2)
        if winner:
            winner.folder.mkdir(parents=True)
            record(winner).write(winner.folder)
        observer.close("COMPLETE", winner=winner)
        sync(folder, uri)
    port = free_port()
    code = f"from lora2_search.tracking.ui import serve; serve({uri!r}, {port})"
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(base), 60)
    yield uri, base, study, suite
    server.send_signal(signal.SIGINT)
    server.wait(30)


def open_view(browser: Any, base: str, address: str | None) -> None:
    assert address is not None
    browser.get(base)
    time.sleep(2)
    browser.execute_script(
        "localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');"
        "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
    )
    browser.get("about:blank")
    browser.get(address)


def test_mlflow_shows_a_study_with_its_trials_nested_and_a_suite_grouped_by_arm(
    browser: Any, store: tuple[str, str, Path, Path]
) -> None:
    from selenium.webdriver.common.by import By

    uri, base, study, suite = store
    open_view(browser, base, address_of(study, uri, base))
    wait_until(lambda: any("demo" in row for row in rows(browser)), 60)
    assert not any("trial" in row for row in rows(browser))
    # The row of the study is that of its winner: score, test score, state, k.
    wait_until(shows(browser, "0.75", "0.7\n", "COMPLETE", "3\n"), 60)
    browser.find_element(By.CSS_SELECTOR, ".ag-cell button").click()
    wait_until(lambda: sum("trial" in row for row in rows(browser)) >= 3, 60)
    wait_until(shows(browser, "score", "adapter.k", "PRUNED", "0.75\n"), 60)
    open_view(browser, base, address_of(suite, uri, base))
    wait_until(shows(browser, "Group: base", "Group: other"), 60)
    several = [study, study.with_name("other")]
    open_view(browser, base, address_of_several(several, uri, base))
    wait_until(shows(browser, "study: demo", "study: other", "score"), 60)


def test_the_report_of_a_study_draws_every_figure_and_asks_nothing_of_a_network(
    browser: Any, tmp_path: Path
) -> None:
    from selenium.webdriver.common.by import By

    from lora2_search.report.pages.study import write_study_page

    page = write_study_page(write_study(tmp_path, MIXED))
    browser.get(page.as_uri())
    wait_until(lambda: len(browser.find_elements(By.CSS_SELECTOR, ".main-svg")) >= 4, 30)
    titles = [item.text for item in browser.find_elements(By.CSS_SELECTOR, ".xtitle")]
    assert "trial" in titles  # a figure's own layout is drawn, not plotly's default
    severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []
    asked = [
        entry["message"]
        for entry in browser.get_log("performance")
        if "Network.requestWillBeSent" in entry["message"]
    ]
    assert asked and not any('"url":"http' in message for message in asked)
    if folder := os.environ.get("SCREENSHOTS"):
        browser.save_screenshot(f"{folder}/report.png")


def suite_report(folder: Path) -> Path:
    page = folder / "report.html"
    with archive_suite(RESULTS / "orthogonality") as evidence:
        page.write_text(suite_page(evidence), encoding="utf-8")
    return page


def test_a_dark_page_is_printed_in_the_colours_of_paper_and_is_then_as_it_was(
    browser: Any, tmp_path: Path
) -> None:
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": dark})
    browser.get(suite_report(tmp_path).as_uri())
    look = (
        "return [[...document.querySelectorAll('.plot')].filter(d => d.drawn).map(d => ["
        "d.layout.font.color, d.layout.xaxis.gridcolor, d.layout.yaxis.gridcolor,"
        "getComputedStyle(d.querySelector('.xtick text')).fill]),"
        "[...document.querySelectorAll('details')].map(d => [d.className, d.open])]"
    )
    browser.execute_script(
        "document.querySelectorAll('details')[1].open = true;"
        "document.querySelector('.plot').scrollIntoView();"
        f"window.addEventListener('beforeprint', () => {{ window.printed = (() => {{{look}}})() }})"
    )
    wait_until(lambda: browser.execute_script(look)[0], 30)
    _, folds = browser.execute_script(look)
    assert [is_open for _, is_open in folds].count(True) == 1
    browser.execute_cdp_cmd("Page.printToPDF", {})
    plots, opened = browser.execute_script("return window.printed")
    assert plots and all(plot == ["#444", "#bbb", "#bbb", "rgb(68, 68, 68)"] for plot in plots)
    assert all(is_open == (kind != "numbers") for kind, is_open in opened)
    again, after = browser.execute_script(look)
    shown = ["#a3adb8", "#363d45", "#363d45", "rgb(163, 173, 184)"]
    assert len(again) == len(plots) and all(plot == shown for plot in again) and after == folds


def test_rows_are_sorted_by_place_and_what_is_not_known_stays_last(
    browser: Any, tmp_path: Path
) -> None:
    from selenium.webdriver.common.by import By

    (tmp_path / "table.html").write_text(
        '{% extends "document.html" %}{% from "parts.html" import show_table %}{% block content %}'
        '{{ show_table(table, "Places", sortable=true) }}{% endblock %}'
    )
    columns = (Column("trial", "trial"), Column("rank", "place"), Column("why", "why"))
    ranks = [(10, "b"), (None, None), (2, "c"), (1, ""), (12, "a")]
    rows = tuple(
        {"trial": n, "rank": rank and Place(rank, 12), "why": why}
        for n, (rank, why) in enumerate(ranks)
    )
    page = tmp_path / "page.html"
    html = render("table.html", tmp_path, title="t", table=Table(columns, rows))
    page.write_text(html, encoding="utf-8")
    browser.get(page.as_uri())

    def order() -> str:
        names = browser.find_elements(By.CSS_SELECTOR, "tbody th")
        return "".join(name.text for name in names)

    _, place, why = browser.find_elements(By.CSS_SELECTOR, "th button")
    for button, upwards, downwards in ((place, "32041", "40231"), (why, "40231", "20431")):
        button.click()
        assert order() == upwards
        button.click()
        assert order()[:3] == downwards[:3] and set(order()[3:]) == set(downwards[3:])


def test_opening_a_part_watches_no_figure_anew_and_cues_its_own_tables(
    browser: Any, tmp_path: Path
) -> None:
    count = (
        "window.watching = 0; const Real = window.IntersectionObserver;"
        "window.IntersectionObserver = class extends Real {"
        "constructor(...given) { super(...given); window.watching += 1; } }"
    )
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": count})
    browser.set_window_size(500, 900)
    browser.get(suite_report(tmp_path).as_uri())
    wide = (
        "return [...document.querySelectorAll('details.numbers .scroll')]"
        ".filter(d => d.scrollWidth - d.clientWidth > 4).map(d => d.classList.contains('more'))"
    )
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    wait_until(lambda: len(browser.execute_script(wide)) > 1, 10)
    wait_until(lambda: all(browser.execute_script(wide)), 10)
    assert browser.execute_script("return window.watching") == 1
    first = "const d = document.querySelector('details.numbers .scroll.more');"
    browser.execute_script(f"{first} window.at = d; d.scrollLeft = d.scrollWidth")
    cut = "return window.at.classList.contains('more')"
    wait_until(lambda: not browser.execute_script(cut), 10)
    assert any(browser.execute_script(wide))  # the other tables are as cut as they were


def test_a_name_of_a_suites_legend_hides_its_arm_in_every_figure_of_its_section(
    browser: Any, tmp_path: Path
) -> None:
    from selenium.webdriver.common.by import By

    browser.get(suite_report(tmp_path).as_uri())
    section = browser.find_element(By.ID, "planes-through-training")
    browser.execute_script("arguments[0].scrollIntoView()", section)
    drawn = "return [...arguments[0].querySelectorAll('.plot')].filter(d => d.drawn).length"
    wait_until(lambda: browser.execute_script(drawn, section) > 1, 30)
    shown = (
        "return [...arguments[0].querySelectorAll('.plot')].map(d => d.data.filter("
        "t => (t.legendgroup || t.name) === 'base' && t.visible !== false).length)"
    )
    assert all(count == 2 for count in browser.execute_script(shown, section))
    key = section.find_element(By.CSS_SELECTOR, ".keys button")
    assert key.text == "base"
    key.click()
    assert key.get_attribute("aria-pressed") == "false"
    assert not any(browser.execute_script(shown, section))
    key.click()
    assert all(count == 2 for count in browser.execute_script(shown, section))


def test_a_studys_legend_hides_trials_by_the_keyboard_alone(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    from lora2_search.report.pages.study import write_study_page

    browser.get(write_study_page(write_study(tmp_path, MIXED)).as_uri())
    section = browser.find_element(By.ID, "history")
    browser.execute_script("arguments[0].scrollIntoView()", section)
    shown = (
        "const d = arguments[0].querySelector('.plot'); return d.drawn ? "
        "d.data.filter(t => t.visible !== false).map(t => t.name) : []"
    )
    wait_until(lambda: browser.execute_script(shown, section), 30)
    before = browser.execute_script(shown, section)
    [key] = [
        k for k in section.find_elements(By.CSS_SELECTOR, ".keys button") if k.text == "pruned"
    ]
    key.send_keys(Keys.ENTER)
    assert browser.execute_script(shown, section) == [n for n in before if n != "pruned"]
    key.send_keys(Keys.ENTER)
    assert browser.execute_script(shown, section) == before
    assert not section.find_elements(By.CSS_SELECTOR, ".plot .legend text")
