"""Every number in the tables of a suite's page is the CSV's and the records', and the other way."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from lora2_search.report.archive.archive import archive_suite
from lora2_search.report.archive.record import rebuilt
from lora2_search.report.pages.suite import suite_page
from lora2_search.store.record import RunRecord

RESULTS = Path(__file__).parents[2] / "docs" / "results"
# Of those that are finished: a suite under way has comparisons without a number.
ARCHIVES = sorted(
    path.parent.name
    for path in RESULTS.glob("*/records.jsonl")
    if "## Missing, failed, diverged, added" not in (path.parent / "report.md").read_text()
)


class Tables(HTMLParser):
    """The cells of every table on a page, by what the table is called."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: dict[str, list[list[str]]] = {}
        self.label, self.inside = "", False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("role") == "region" or tag == "table" and "aria-label" in given:
            self.label = str(given["aria-label"])
            self.found[self.label] = []
        elif tag == "tr":
            self.found[self.label].append([])
        elif tag in ("th", "td"):
            self.found[self.label][-1].append("")
            self.inside = True
        elif tag in ("svg", "span"):
            self.inside = False

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("th", "td")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found[self.label][-1][-1] += data.strip()

    def rows(self, label: str) -> dict[str, dict[str, str]]:
        """Return the rows of a table by their names."""
        head, *body = self.found[label]
        return {row[0]: dict(zip(head, row, strict=True)) for row in body}


def stored(name: str, file: str) -> list[dict[str, str]]:
    return list(csv.DictReader((RESULTS / name / file).read_text().splitlines()))


def recorded(name: str) -> dict[str, RunRecord]:
    """Return every run's record, as it lies in the archive."""
    first, *lines = map(json.loads, (RESULTS / name / "records.jsonl").read_text().splitlines())
    return {line["run"]: rebuilt(line, first["shared"]) for line in lines}


def shown(value: str | float, digits: int, factor: float, sign: str = "+") -> str:
    return f"{factor * float(value):{sign}z.{digits}f}"


@pytest.mark.parametrize("name", ARCHIVES)
def test_every_number_of_a_page_is_the_csvs_and_the_records(name: str) -> None:
    with archive_suite(RESULTS / name) as evidence:
        html = suite_page(evidence)
        metrics = {task: item.analysis.suite.metric for task, item in evidence.items()}
    tables = Tables(html)
    assert len(html.encode()) < 2_000_000  # the largest has 240 runs
    runs, records = stored(name, "runs.csv"), recorded(name)
    for task, metric in metrics.items():
        of, form = f" of {task}" if task else "", (2, 100.0) if metric == "accuracy" else (4, 1.0)
        compared = [row for row in stored(name, "comparisons.csv") if row["task"] == task]
        forest = tables.rows(f"Comparisons{of}")
        # A claim of equality about a comparison stands in that comparison's row.
        assert set(forest) == {row["comparison"] for row in compared}
        for row in compared:
            if row["role"] == "equality":
                continue
            cells = forest[row["comparison"]].items()
            [numbers] = [cell for head, cell in cells if head.startswith("difference")]
            effect, low, high = (shown(row[key], *form) for key in ("difference", "low", "high"))
            assert numbers == f"{effect} ({low} to {high})"
        by_arm = defaultdict(list)
        for run in runs:
            if run["task"] == task:
                by_arm[run["arm"]].append(run)
                prefix = f"{task}." if task else ""
                record = records[f"runs/{prefix}{run['arm']}-seed{run['seed']}"]
                assert float(run["score"]) == record.scores[f"test/{metric}"]
                assert float(run["seconds.total"]) == record.timings["total"]
        arms = tables.rows(f"Arms{of}")
        assert set(arms) == set(by_arm)
        for arm, own in by_arm.items():
            scores = np.array([float(run["score"]) for run in own])
            mean, sd = (shown(v, *form, sign="") for v in (scores.mean(), scores.std(ddof=1)))
            [score] = [cell for head, cell in arms[arm].items() if head.startswith("test ")]
            assert score == f"{mean} ± {sd}"
            assert arms[arm]["runs"] == f"{len(own)} of {len(own)}"
            counts = [float(run["parameters.compressed_adapter"]) for run in own]
            assert arms[arm]["compressed"] == f"{round(float(np.mean(counts))):,}"
