"""Take docs/img/page-*.png: the pages of a suite and of a study, as browsers and paper show them.

``python docs/pages.py STUDY`` photographs the report of a study of this home (``make demo`` makes
``quickstart``) and of docs/results/start in headless Chromium: 1400 and 400 pixels wide, light and
dark, and printed (the first sheet, drawn by pdftoppm of Debian's poppler-utils). ``--axe FILE``
(``axe.min.js`` of npm's axe-core) also tells what that finds.
"""

from __future__ import annotations

import argparse
import base64
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from pictures import chromium

from lora2_search.analysis import read_study_table
from lora2_search.report.archive.archive import archive_suite
from lora2_search.report.pages.study import study_page
from lora2_search.report.pages.suite import suite_page
from lora2_search.search.study import load_study

DOCS = Path(__file__).parent
SUITE = "start"


class Look(NamedTuple):
    """A way to look at a page: pixels of the picture, colours, screen or paper."""

    width: int
    height: int
    colours: str = "light"
    medium: str = "screen"


LOOKS = {
    "1400": Look(1400, 1400),
    "1400-dark": Look(1400, 1400, "dark"),
    "400": Look(400, 1400),
    "400-dark": Look(400, 1400, "dark"),
    "print": Look(794, 1123, medium="print"),
}


def photograph(browser: Any, page: Path, look: Look, picture: Path) -> None:
    """Keep what a page shows from its top, or the first sheet of paper that it is printed on."""
    narrow = look.width < 500
    size = {"width": look.width, "height": look.height}
    screen = {**size, "deviceScaleFactor": 1, "mobile": narrow}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    colours = [{"name": "prefers-color-scheme", "value": look.colours}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": colours})
    browser.get(page.as_uri())
    time.sleep(3)
    if look.medium == "print":
        print_first_sheet(browser, picture)
    else:
        shown = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        picture.write_bytes(base64.b64decode(shown["data"]))
    print(picture)


def print_first_sheet(browser: Any, picture: Path) -> None:
    """Print the page that is open on A4, and keep the first sheet as a picture."""
    a4 = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": False, "pageRanges": "1"}
    printed = browser.execute_cdp_cmd("Page.printToPDF", a4)
    stem = str(picture.with_suffix(""))
    command = ["pdftoppm", "-png", "-r", "96", "-singlefile", "-", stem]
    subprocess.run(command, input=base64.b64decode(printed["data"]), check=True)


def faults(browser: Any, axe: Path) -> list[str]:
    """Return what axe-core finds on the page that is open, how serious it is first."""
    browser.execute_script(axe.read_text(encoding="utf-8"))
    found = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    return [f"{item['impact']}: {item['help']}" for item in found["violations"]]


def main() -> None:
    """Write both pages and take every picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", help="a study of this home")
    parser.add_argument("--storage", type=Path, help="where it is; default: the home")
    parser.add_argument("--axe", type=Path, help="axe.min.js: tell what axe-core finds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        suite = Path(folder) / "suite.html"
        with archive_suite(DOCS / "results" / SUITE) as evidence:
            suite.write_text(suite_page(evidence), encoding="utf-8")
        # Beside the other, and not over the report in the study's own folder.
        study = Path(folder) / "study.html"
        table = read_study_table(load_study(options.study, options.storage).folder)
        study.write_text(study_page(table), encoding="utf-8")
        for kind, page in (("suite", suite), ("study", study)):
            for name, look in LOOKS.items():
                photograph(browser, page, look, DOCS / "img" / f"page-{kind}-{name}.png")
                for fault in faults(browser, options.axe) if options.axe else ():
                    print(f"{kind}, {name}: {fault}")


if __name__ == "__main__":
    main()
