"""Forest, arms and figures of a suite's page against its CSV and records, both ways."""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from lora2_search.report.archive.archive import archive_suite
from lora2_search.report.archive.record import rebuilt
from lora2_search.report.pages.suite import suite_page
from lora2_search.report.rendering import slug
from lora2_search.report.tables.text import p_value
from lora2_search.store.record import RunRecord
from tests.support.pages import Page, Rows, by_name, percent

RESULTS = Path(__file__).parents[2] / "docs" / "results"
# Of those that are finished: a suite under way has comparisons without a number.
ARCHIVES = sorted(
    path.parent.name
    for path in RESULTS.glob("*/records.jsonl")
    if "## Missing, failed, diverged, added" not in (path.parent / "report.md").read_text()
)

Runs = Mapping[str, Sequence[dict[str, str]]]
Blocks = Mapping[str, Mapping[str, Mapping[str, Any]]]


@cache
def read_page(name: str) -> tuple[Page, dict[str, str], dict[str, Blocks]]:
    """Return a suite's page, and by task its metric and the cells of its design."""
    with archive_suite(RESULTS / name) as evidence:
        html = suite_page(evidence)
        metrics = {task: item.analysis.suite.metric for task, item in evidence.items()}
        cells = {task: item.analysis.suite.plan.cells for task, item in evidence.items()}
    assert len(html.encode()) < 2_000_000  # the largest has 240 runs
    return Page(html), metrics, cells


def stored(name: str, file: str, task: str) -> list[dict[str, str]]:
    rows = csv.DictReader((RESULTS / name / file).read_text().splitlines())
    return [row for row in rows if row["task"] == task]


def runs_of(name: str, task: str) -> Runs:
    by_arm = defaultdict(list)
    for run in stored(name, "runs.csv", task):
        by_arm[run["arm"]].append(run)
    return by_arm


@cache
def recorded(name: str) -> dict[str, RunRecord]:
    """Return every run's record, as it lies in the archive."""
    first, *lines = map(json.loads, (RESULTS / name / "records.jsonl").read_text().splitlines())
    return {line["run"]: rebuilt(line, first["shared"]) for line in lines}


def records_of(name: str, task: str, arm: str) -> list[RunRecord]:
    prefix = f"runs/{task}.{arm}-seed" if task else f"runs/{arm}-seed"
    found = {run: record for run, record in recorded(name).items() if run.startswith(prefix)}
    return [record for run, record in found.items() if run.removeprefix(prefix).isdigit()]


def form(metric: str) -> tuple[int, float]:
    return (2, 100.0) if metric == "accuracy" else (4, 1.0)


def shown(value: str | float, digits: int, factor: float, sign: str = "+") -> str:
    return f"{round(factor * float(value), 9):{sign}z.{digits}f}"


def scores_of(runs: Sequence[dict[str, str]]) -> Any:
    return np.array([float(run["score"]) for run in runs])


def approx(values: Any) -> Any:
    return pytest.approx(values, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("name", ARCHIVES)
def test_every_number_of_a_pages_tables_is_the_csvs_and_the_records(name: str) -> None:
    page, metrics, _ = read_page(name)
    for task, metric in metrics.items():
        of = f" of {task}" if task else ""
        check_forest(page, f"Comparisons{of}", stored(name, "comparisons.csv", task), metric)
        runs = runs_of(name, task)
        check_arms(page, f"Arms{of}", runs, metric)
        for arm, own in runs.items():
            for run, record in zip(own, records_of(name, task, arm), strict=True):
                assert record.config["seed"] == int(run["seed"])
                assert float(run["score"]) == record.scores[f"test/{metric}"]
                assert float(run["seconds.total"]) == record.timings["total"]


def check_forest(page: Page, label: str, compared: list[dict[str, str]], metric: str) -> None:
    forest, named = page.rows(label), [row for row in compared if row["role"] != "equality"]
    # A claim of equality about a comparison stands in that comparison's row.
    assert set(forest) == {row["comparison"] for row in compared}
    heads, *drawn = page.parts[label]
    ticks = [(percent(part["x"]), float(part["said"])) for part in heads if part["tag"] == "text"]
    at, value = (np.array(ends) for ends in zip(*ticks, strict=True))
    slope, origin = np.polyfit(at, value, 1)
    for row, parts in zip(page.tables[label][1:], drawn, strict=True):
        given = next((item for item in named if item["comparison"] == row[0]), None)
        if given is None:
            continue
        ends = [given[key] for key in ("low", "difference", "high")]
        low, effect, high = (shown(end, *form(metric)) for end in ends)
        assert row[1] == f"{effect} ({low} to {high})"
        holm = given["p"] if given["role"] == "floor" else given["p_holm"]
        assert row[3] == p_value(float(holm) if holm else None)
        [reach] = [part for part in parts if part.get("class") == "reach"]
        dots = [part.get("cx") or part.get("x") for part in parts if is_dot(part)]
        drawn_ends = [percent(end) for end in (reach["x1"], *map(str, dots), reach["x2"])]
        wanted = [np.clip((form(metric)[1] * float(end) - origin) / slope, 0, 100) for end in ends]
        assert drawn_ends == pytest.approx(wanted, abs=0.02)


def is_dot(part: dict[str, str]) -> bool:
    """Whether a shape is the place of an effect: a circle, what holds a square, an arrow."""
    return (
        part.get("class") in ("dot", "beyond")
        and part["tag"] != "rect"
        or (part["tag"] == "svg" and "x" in part)
    )


def check_arms(page: Page, label: str, runs: Runs, metric: str) -> None:
    arms, strips = page.rows(label), page.parts[label][1:]
    assert list(arms) == list(runs)
    every = np.concatenate([scores_of(own) for own in runs.values()])
    for (arm, own), strip in zip(runs.items(), strips, strict=True):
        scores = scores_of(own)
        mean, sd = (shown(v, *form(metric), sign="") for v in (scores.mean(), scores.std(ddof=1)))
        [score] = [cell for head, cell in arms[arm].items() if head.startswith("test ")]
        assert score == f"{mean} ± {sd}"
        assert arms[arm]["runs"] == f"{len(own)} of {len(own)}"
        counts = [float(run["parameters.compressed_adapter"]) for run in own]
        assert arms[arm]["compressed"] == f"{round(float(np.mean(counts))):,}"
        seconds = [float(run["seconds.total"]) for run in own]
        assert arms[arm]["time per run, s"] == f"{np.mean(seconds):.0f}"
        # One axis for all arms, with 6 % of its data as room at either end.
        room = 0.06 * np.ptp(every)
        places = 100 * (np.append(scores, scores.mean()) - every.min() + room)
        found = [percent(part["x1"]) for part in strip if part["tag"] == "line"]
        assert found == pytest.approx(places / (np.ptp(every) + 2 * room), abs=0.006)


@pytest.mark.parametrize("name", ARCHIVES)
def test_every_number_of_a_pages_figures_is_the_csvs_and_the_records(name: str) -> None:
    page, metrics, cells = read_page(name)
    looked_at: set[str] = set()
    for task, metric in metrics.items():
        anchor, runs = (f"{slug(task)}-" if task else ""), runs_of(name, task)
        histories = {arm: [r.history for r in records_of(name, task, arm)] for arm in runs}
        looked_at |= {
            check_curves(page, anchor, f"validation/{metric}", histories, form(metric)),
            check_costs(page, anchor, runs, metric),
            *check_geometry(page, anchor, histories),
            *check_interactions(page, anchor, runs, metric, cells[task]),
            *check_tuning(page, anchor, name, metric),
        }
        check_ranks(page, f" of {task}" if task else "", name, task, runs)
    assert looked_at == set(page.figures) == set(page.numbers)


def check_curves(
    page: Page, anchor: str, key: str, histories: Mapping[str, Any], how: tuple[int, float]
) -> str:
    place = f"{anchor}learning-curves"
    if key.startswith("geometry/"):
        place = f"{anchor}planes-through-training/{key}"
    wanted = {}
    for arm, runs in histories.items():
        by_run = [{p.step: p.metrics[key] for p in run if key in p.metrics} for run in runs]
        steps = sorted(set.intersection(*map(set, by_run)))
        if steps:
            wanted[arm] = np.array([[run[step] for step in steps] for run in by_run]), steps
    traces = page.figures[place]["data"]
    means = {trace["name"]: trace for trace in traces if "name" in trace}
    ranges = {trace["legendgroup"]: trace for trace in traces if "name" not in trace}
    assert set(means) == set(ranges) == set(wanted)
    heads, *rows = page.numbers[place]
    for arm, (values, steps) in wanted.items():
        digits, factor = how
        assert means[arm]["x"] == steps and ranges[arm]["x"] == [*steps, *steps[::-1]]
        assert means[arm]["y"] == approx(factor * values.mean(axis=0))
        ends = [*values.max(axis=0), *values.min(axis=0)[::-1]]
        assert ranges[arm]["y"] == approx(factor * np.array(ends))
        column = [head.partition(",")[0] for head in heads].index(arm)
        cells = {row[0]: row[column] for row in rows}
        kind = "f" if factor == 100 or not key.startswith("geometry") else "g"
        for step, mean in zip(steps, values.mean(axis=0), strict=True):
            assert cells[str(step)] == f"{factor * mean:.{digits}{kind}}"
    return place


def check_geometry(page: Page, anchor: str, histories: Mapping[str, Any]) -> list[str]:
    every = (point for runs in histories.values() for run in runs for point in run)
    keys = {key for point in every for key in point.metrics if key.startswith("geometry/")}
    return [check_curves(page, anchor, key, histories, (4, 1.0)) for key in keys]


def check_costs(page: Page, anchor: str, runs: Runs, metric: str) -> str:
    place, (digits, factor) = f"{anchor}score-against-served-weights", form(metric)
    arms = {arm: own for arm, own in runs.items() if parameters(own) > 0}
    traces, rows = page.traces(place), by_name(page.numbers[place])
    assert set(traces) == set(rows) == set(arms)
    for arm, own in arms.items():
        mean = round(factor * scores_of(own).mean(), 9)
        reach = factor * t_reach(scores_of(own))
        assert traces[arm]["x"] == approx([parameters(own)])
        assert traces[arm]["y"] == approx([mean])
        assert traces[arm]["error_y"]["array"] == approx([reach])
        assert traces[arm]["error_y"]["arrayminus"] == approx([reach])
        said = list(rows[arm].values())
        ends = f"{mean - reach:.{digits}f} to {mean + reach:.{digits}f}"
        assert said[1:] == [f"{round(parameters(own)):,}", f"{mean:.{digits}f}", ends]
    return place


def parameters(runs: Sequence[dict[str, str]]) -> float:
    return float(np.mean([float(run["parameters.compressed_adapter"] or 0) for run in runs]))


def t_reach(scores: Any) -> float:
    """Return half the width of scipy's t interval."""
    return float(stats.t.ppf(0.975, len(scores) - 1) * stats.sem(scores))


def check_interactions(
    page: Page, anchor: str, runs: Runs, metric: str, blocks: Blocks
) -> list[str]:
    looked_at, (_, factor) = [], form(metric)
    for place in page.figures:
        if not place.startswith(f"{anchor}interactions/"):
            continue
        block, _, title = place.split("/", 1)[1].rpartition(": ")
        first, second = title.split(" × ")
        cells = blocks[block or next(name for name, arms in blocks.items() if first in str(arms))]
        for level, trace in page.traces(place).items():
            for x, y, reach in zip(trace["x"], trace["y"], trace["error_y"]["array"], strict=True):
                here = [a for a, own in cells.items() if (own[first], own[second]) == (x, level)]
                by_seed = np.mean([scores_of(runs[arm]) for arm in here], axis=0)
                assert y == approx(factor * by_seed.mean())
                assert reach == approx(factor * t_reach(by_seed))
        looked_at.append(place)
    assert bool(looked_at) == any(len(next(iter(a.values()))) > 1 for a in blocks.values())
    return looked_at


TUNED = re.compile(r"tuning/(?P<arm>.+)-(?P<trial>\d+)-seed\d+")


def check_tuning(page: Page, anchor: str, name: str, metric: str) -> list[str]:
    by_trial = defaultdict(list)
    for run, record in recorded(name).items():
        if match := TUNED.fullmatch(run):
            trial = match["arm"], int(match["trial"])
            by_trial[trial].append(record.scores[f"validation/{metric}"])
    if not by_trial:
        return []
    place, factor = f"{anchor}expected-best-score-against-trials", form(metric)[1]
    arms = dict.fromkeys(arm for arm, _ in by_trial)
    traces = page.traces(place)
    for arm in arms:
        means = np.sort([np.mean(own) for (of, _), own in by_trial.items() if of == arm])
        many = len(means)
        if many < 2:
            assert arm not in traces
            continue
        # The chance that the best of n draws with replacement is the i-th smallest.
        below = np.arange(many + 1) / many
        best = [float(means @ np.diff(below**n)) for n in range(1, many + 1)]
        assert traces[arm]["x"] == list(range(1, many + 1))
        assert traces[arm]["y"] == approx(factor * np.array(best))
    assert set(traces) <= set(arms)
    return [place]


MODULE = re.compile(r".*?\.(?P<block>\d+)\.(?P<kind>.+)")


def check_ranks(page: Page, of: str, name: str, task: str, runs: Runs) -> None:
    prefix = "Kept ranks of "
    shown_arms = {
        label.removeprefix(prefix).removesuffix(of): rows
        for label, rows in page.tables.items()
        if label.startswith(prefix) and label.endswith(of)
    }
    for arm in runs:
        records = records_of(name, task, arm)
        pruned = any(
            r.rank_pattern and r.counts["kept_adapter"] != r.counts["trained_adapter"]
            for r in records
        )
        assert (arm in shown_arms) == pruned
        if pruned:
            check_grid(shown_arms[arm], records)


def check_grid(rows: Rows, records: list[RunRecord]) -> None:
    head, *body = rows
    cells = {(row[0], kind): cell for row in body for kind, cell in zip(head, row, strict=True)}
    for module in records[0].rank_pattern:
        match = MODULE.fullmatch(module)
        assert match is not None
        mean = np.mean([record.rank_pattern[module] for record in records])
        assert cells.pop((match["block"], match["kind"])) == f"{mean:.1f}"
    assert {kind for _, kind in cells} == {"block"}  # what is left are the rows' names
