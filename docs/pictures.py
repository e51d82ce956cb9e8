"""Take docs/img/mlflow-*.png and optuna-dashboard*.png: suites and studies in other tools.

``python docs/pictures.py STUDY [OTHER]`` tells a passing MLflow store the records of two archived
suites and of one or two studies of this home (``make demo`` makes ``quickstart``), as running them
does, serves it, and photographs its pages in headless Chromium (Debian's chromium and
chromium-driver). ``python docs/pictures.py --front STUDY`` does so for a study of two objectives
alone, in MLflow and in optuna-dashboard.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

from lora2_search.config.run_info import RunInfo
from lora2_search.config.space.references import HEAD_ONLY, reference_runs
from lora2_search.config.suite.schema import Suite, suite_source, typed_suite
from lora2_search.config.suite.terms import BASE
from lora2_search.experiments.ablate import suite_parent
from lora2_search.experiments.train import run_of_trial
from lora2_search.experiments.tune import study_parent, tag_outcomes
from lora2_search.report.archive.archive import unpack_archive
from lora2_search.search.study import Study, load_study
from lora2_search.store.database import study_file
from lora2_search.store.layout import STUDY_FILE
from lora2_search.store.record import readable_record
from lora2_search.tracking.delivery.cursor import cursor_path, load
from lora2_search.tracking.delivery.sync import sync
from lora2_search.tracking.spool.observer import ParentInfo, SpoolObserver
from lora2_search.tracking.ui import address_of, start_server
from lora2_search.tracking.views import comparison_address
from lora2_search.training.events import Report, State

DOCS = Path(__file__).parent
SUITES = ("cheaper-scoring", "scoring")
SIZE, WIDE = (1500, 760), (2000, 760)
PORT, DASHBOARD_PORT = 5077, 5078
STATES: dict[str, State] = {"completed": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
QUIET = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")


def tell(
    folder: Path,
    parent: ParentInfo,
    runs: Iterable[RunInfo],
    winner: RunInfo | None,
    at_the_end: Callable[[SpoolObserver], None] = lambda observer: None,
) -> None:
    """Write the spool that running them would have written."""
    observer = SpoolObserver(folder, parent)
    for run in runs:
        record = readable_record(run.folder)
        if record is None or record.status not in STATES:
            continue
        observer.started(run)
        points = tuple(record.history)
        step = points[-1].step if points else 0
        report = Report(1, 1, step, record.total_steps, 0.0, record.kept_rank, points, True)
        observer.reported(run, report)
        reason = record.error or ("weaker than others" if record.status == "pruned" else "")
        observer.ended(run, STATES[record.status], record, reason)
    at_the_end(observer)
    observer.close("COMPLETE", winner=winner)


def tell_study(study: Study, folder: Path) -> None:
    """Tell a study's trials and references."""
    trials = [run for t in study.trials if (run := run_of_trial(study, t.number)) is not None]
    runs = [*trials, *reference_runs(study.space, study.folder)]
    parent, winner = study_parent(study.space), run_of_trial(study)
    tell(folder, parent, runs, winner, lambda observer: tag_outcomes(study, observer))


def tell_suite(archive: Path, folder: Path) -> None:
    """Tell an archived suite's runs."""
    with unpack_archive(archive) as unpacked:
        suite: Suite = typed_suite(suite_source(str(unpacked / "suite.yaml")))
        tell(folder, suite_parent(suite), suite.runs(unpacked), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield Debian's Chromium without a window."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (*QUIET, f"--window-size={SIZE[0]},{SIZE[1]}"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    browser.set_page_load_timeout(300)
    try:
        yield browser
    finally:
        browser.quit()


def click(browser: Any, selector: str) -> None:
    """Click the first thing that is there."""
    from selenium.webdriver.common.by import By

    browser.find_element(By.CSS_SELECTOR, selector).click()


def take(
    browser: Any,
    name: str,
    address: str | None,
    *shown: str,
    tool: str = "mlflow",
    first: str = "",
    charts: str = "",
) -> None:
    """Open a page, wait until it shows what it should, and keep its picture.

    Args:
        browser: Open.
        name: Of the picture.
        address: Of the page.
        *shown: Texts to wait for.
        tool: Whose page it is.
        first: Selector of what is clicked before.
        charts: Which charts are searched for, on a page of charts.
    """
    from selenium.webdriver.common.by import By

    assert address is not None, name
    browser.get("about:blank")
    browser.get(address)
    last = time.monotonic() + 240

    def there() -> bool:
        return all(text in browser.find_element(By.TAG_NAME, "body").text for text in shown)

    while first and time.monotonic() < last:
        with suppress(Exception):
            click(browser, first)
            break
        time.sleep(1)
    if charts:
        field = browser.find_element(By.CSS_SELECTOR, "input[placeholder='Search metric charts']")
        field.send_keys(charts)
    while time.monotonic() < last:
        with suppress(Exception):
            if there():
                break
        time.sleep(1)
    else:
        print(f"{name}: still without {shown}")
    time.sleep(4)
    path = DOCS / "img" / f"{tool}-{name}.png"
    browser.save_screenshot(str(path))
    print(path)


def close_assistant(browser: Any, base: str) -> None:
    """Keep what MLflow opens at the first visit out of the pictures."""
    browser.get(base)
    browser.execute_script(
        "localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');"
        "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
    )


def pictures(browser: Any, base: str, uri: str, suites: list[Path], studies: list[Path]) -> None:
    """Take those of suites and studies of one objective."""

    def address(folder: Path) -> str | None:
        return address_of(folder, uri, base)

    def ids(folders: list[Path]) -> list[str]:
        return [str(load(cursor_path(folder, uri)).experiment_id) for folder in folders]

    take(browser, "study", address(studies[0]), "trial", first=".ag-cell button")
    take(browser, "suite", address(suites[0]), "Group: ")
    take(browser, "suites", comparison_address(base, ids(suites)), "Group: ")
    charts = f"{address(studies[0])}&compareRunsMode=CHART"
    unfold = "[data-component-id*='runnamecellrenderer']"
    take(browser, "curves", charts, "trial 4", first=unfold, charts="rank/kept|validation/accuracy")
    take(browser, "compare", compared(base, uri, ids(suites)[0]), "Parameters", "Metrics")
    if len(studies) > 1:
        take(browser, "studies", comparison_address(base, ids(studies)), "Group: ")


def answers(page: str) -> None:
    """Wait until a page is served."""
    last = time.monotonic() + 240
    while time.monotonic() < last:
        with suppress(OSError):
            urlopen(page).close()
            return
        time.sleep(1)


def dashboard(browser: Any, stored: Path) -> None:
    """Take the pictures of a study of two objectives in optuna-dashboard."""
    place = f"sqlite:///{stored}" if stored.name == STUDY_FILE else str(stored)
    command = ["optuna-dashboard", place, "--host", "127.0.0.1"]
    server = subprocess.Popen([*command, "--port", str(DASHBOARD_PORT)])
    try:
        page = f"http://127.0.0.1:{DASHBOARD_PORT}/dashboard/studies/1"
        answers(page)
        browser.set_window_size(SIZE[0], 2 * SIZE[1])
        take(browser, "front", page, "Pareto", tool="optuna-dashboard")
    finally:
        server.terminate()
        server.wait()


def compared(base: str, uri: str, experiment: str) -> str:
    """Return the address of MLflow's page that compares a seed of two arms."""
    from mlflow import MlflowClient

    found = MlflowClient(uri).search_runs([experiment], "tags.arm LIKE '%'", max_results=1000)
    first = next(run for run in found if run.data.tags["arm"] == BASE)
    other = next(
        run
        for run in found
        if run.data.tags["arm"] not in (BASE, HEAD_ONLY)
        and run.data.params["seed"] == first.data.params["seed"]
    )
    ids = json.dumps([first.info.run_id, other.info.run_id])
    experiments = json.dumps([experiment])
    return f"{base}/#/compare-runs?runs={quote(ids)}&experiments={quote(experiments)}"


def main() -> None:
    """Make the store, serve it and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", nargs="*", help="a study of this home, or two to compare")
    parser.add_argument("--front", help="a study of two objectives")
    parser.add_argument("--storage", type=Path, help="where they are; default: the home")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        uri = f"sqlite:///{scratch}/mlflow.db"
        makers: list[tuple[Path, Callable[[Path], None]]] = []
        suites = [Path(scratch) / "suites" / name for name in SUITES if options.study]
        fronts = [options.front] if options.front else []
        studies = [Path(scratch) / "studies" / name for name in (*options.study[:2], *fronts)]
        for folder in suites:
            makers.append((folder, lambda at: tell_suite(DOCS / "results" / at.name, at)))
        for folder in studies:
            makers.append((folder, lambda at: tell_study(load_study(at.name, options.storage), at)))
        for folder, make in makers:
            folder.mkdir(parents=True)
            make(folder)
            print(folder.name, sync(folder, uri))
        server = start_server(uri, PORT, Path(scratch) / "server.log")
        try:
            server.wait_until_ready()
            with chromium() as browser:
                close_assistant(browser, server.base)
                if options.study:
                    pictures(browser, server.base, uri, suites, studies[: len(options.study[:2])])
                if options.front:
                    # Wide: MLflow puts its own columns before those of the view.
                    browser.set_window_size(*WIDE)
                    front = address_of(studies[-1], uri, server.base)
                    take(browser, "front", front, "feasible", first=".ag-cell button")
                    study = load_study(options.front, options.storage)
                    dashboard(browser, study_file(study.folder))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
