"""Every number of a study's page is its trials' and their records', and the other way round."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import plotly.graph_objects
import pytest

from lora2_search.analysis.study import read_study_table
from lora2_search.config.run import RunConfig
from lora2_search.report.pages.study import study_page
from lora2_search.report.pages.study_files import trial_table
from lora2_search.report.tables.csv import csv_text
from lora2_search.store.record import RunRecord, read_record
from tests.report.test_page_numbers import approx
from tests.support.pages import Page, Rows, by_name
from tests.support.studies import State, write_trials
from tests.support.suites import write_run

LABELS = np.arange(120) % 2 * 1.0
LOG_LR, K = (math.log(1e-4), math.log(1e-1)), (1, 16)


def answers(right: int) -> dict[str, Any]:
    """Return what a run leaves that got so many of its test sentences right."""
    predictions = np.where(np.arange(120) < right, LABELS, 1 - LABELS)
    return {"labels": LABELS, "predictions": predictions}


def trial(number: int) -> dict[str, Any]:
    """Return one of nine trials: two pruned, one failed, no two alike."""
    values = [0.5 + 0.013 * number, 0.6 + 0.017 * (number * 5 % 9)]
    start = 1000 * (3 + 7 * number)
    params = {"training.lr": 2e-4 * 1.9**number, "adapter.k": 2 + number * 4 % 11}
    told = {"params": params, "started_ms": start, "ended_ms": start + 9000 + 501 * number}
    if number in (2, 7):
        pruned = {"state": State.PRUNED, "values": values[:1], "reason": f"weak at {number}"}
        return {**told, **pruned, "history": history(values[:1])}
    if number == 4:
        failed = {"state": State.FAIL, "reason": "OSError: full", "history": []}
        return {**told, **failed, "error": "OSError: full"}
    scores = {"validation/accuracy": values[1], "test/accuracy": (70 + 3 * number) / 120}
    counts = {"trained_adapter": 1000 + number, "compressed_adapter": 300 + number}
    return {
        **told,
        **answers(70 + 3 * number),
        "values": values,
        "scores": scores,
        "counts": counts,
        "history": history(values),
    }


def history(values: list[float]) -> list[dict[str, Any]]:
    return [
        {"step": 3 * at, "time_ms": at, "metrics": {"validation/accuracy": value}}
        for at, value in enumerate(values, start=1)
    ]


class Evidence:
    """A study's page, and all that it is made from."""

    def __init__(self, folder: Path) -> None:
        table = read_study_table(folder)
        self.page, self.study = Page(study_page(table)), table.study
        self.rows = list(csv.DictReader(csv_text(trial_table(table)).splitlines()))
        self.records: dict[int, RunRecord] = {}
        for number in range(len(self.rows)):
            found = read_record(folder / "trials" / f"{number:05d}")
            assert found is not None
            self.records[number] = found
        floor = read_record(folder / "reference" / "head-only")
        assert floor is not None
        self.floor = floor
        self.complete = [row for row in self.rows if row["state"] == "COMPLETE"]
        self.best = max(self.complete, key=lambda row: float(row["validation/accuracy"]))

    def score(self, row: dict[str, str], split: str = "validation") -> float:
        return 100 * float(row[f"{split}/accuracy"])


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    folder = write_trials(tmp_path_factory.mktemp("study"), [trial(n) for n in range(9)])
    scores = {"validation/accuracy": 0.55, "test/accuracy": 65 / 120}
    config = RunConfig(task="sentiment", method="head-only")
    times = {"started_ms": 500, "ended_ms": 2500}
    write_run(folder / "reference" / "head-only", config, scores=scores, **answers(65), **times)
    yield Evidence(folder)


def test_every_figure_of_a_study_is_looked_at_here(shown: Evidence) -> None:
    figures = {"winner-against-baselines", "history", "settings-of-all-trials", "importances"}
    figures |= {"the-two-most-important-settings", "the-winner-s-rank-pattern", "learning-curves"}
    figures |= {"expected-best-score-against-trials", "timeline"}
    slices = {f"score-against-each-setting/{name}" for name in ("training.lr", "adapter.k")}
    assert set(shown.page.figures) == figures | slices


def test_plotly_accepts_what_is_drawn(shown: Evidence) -> None:
    for figure in shown.page.figures.values():
        plotly.graph_objects.Figure(figure)  # raises at a name or a value that it does not know


def test_the_table_of_trials_is_the_csv(shown: Evidence) -> None:
    table = shown.page.rows("Trials")
    assert set(table) == {row["trial"] for row in shown.rows}
    words = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    for row in shown.rows:
        cells, record = table[row["trial"]], shown.records[int(row["trial"])]
        assert cells["state"] == words[row["state"]]
        assert float(cells["training.lr"]) == pytest.approx(float(row["setting.training.lr"]), 5e-3)
        assert cells["adapter.k"] == row["setting.adapter.k"]
        assert float(row["seconds"]) == record.seconds
        if row["state"] == "COMPLETE":
            for split in ("validation", "test"):
                assert cells[f"{split} accuracy, %"] == f"{shown.score(row, split):.2f}"
                assert float(row[f"{split}/accuracy"]) == record.scores[f"{split}/accuracy"]
            assert cells["compressed"] == row["parameters.compressed_adapter"]


def test_cards_and_baselines_are_the_winners_and_the_references_records(shown: Evidence) -> None:
    page, best = shown.page, shown.best
    gap = shown.score(best, "test") - 100 * shown.floor.scores["test/accuracy"]
    values = [value for value, _ in page.cards]
    scores = [f"{shown.score(best):.2f} %", f"{shown.score(best, 'test'):.2f} %"]
    count = best["parameters.compressed_adapter"]
    assert values == [*scores, f"{gap:+.2f} points", count]
    table = by_name(page.numbers["winner-against-baselines"])
    test, chosen = page.figures["winner-against-baselines"]["data"]
    wanted = {"winner": shown.records[int(best["trial"])], "head-only": shown.floor}
    assert test["y"] == chosen["y"] == list(table) == list(wanted)
    for place, (name, record) in enumerate(wanted.items()):
        low, high = (float(table[name][head]) for head in ("95 % from, %", "to, %"))
        ours = 100 * record.scores["test/accuracy"]
        assert chosen["x"][place] == approx(100 * record.scores["validation/accuracy"])
        assert test["x"][place] == approx(ours) and low < ours < high
        assert test["error_x"]["arrayminus"][place] == pytest.approx(ours - low, abs=0.006)
        assert test["error_x"]["array"][place] == pytest.approx(high - ours, abs=0.006)
        # Of a share the bootstrap's interval is near the normal one.
        spread = 1.96 * math.sqrt(ours * (100 - ours) / len(LABELS))
        assert high - low == pytest.approx(2 * spread, rel=0.2)
    assert table["head-only"]["winner − this, test, points"] == f"{gap:+.2f}"


def test_the_history_is_every_trial_and_the_best_so_far(shown: Evidence) -> None:
    traces = shown.page.traces("history")
    best, so_far = -math.inf, []
    drawn: dict[str, dict[int, float]] = {"complete": {}, "pruned": {}}
    for row in shown.rows:
        if row["state"] == "COMPLETE":
            drawn["complete"][int(row["trial"])] = shown.score(row)
            best = max(best, shown.score(row))
        elif row["state"] == "PRUNED":
            last = shown.records[int(row["trial"])].history[-1].metrics["validation/accuracy"]
            drawn["pruned"][int(row["trial"])] = 100 * last
        so_far.append(best)
    assert traces["best so far"]["y"] == approx(so_far)
    for state, points in drawn.items():
        assert traces[state]["x"] == list(points) and traces[state]["y"] == approx(
            list(points.values())
        )
    assert traces["failed"]["x"] == [4] and traces["failed"]["text"] == ["never evaluated"]
    assert traces[f"winner (trial {shown.best['trial']})"]["y"] == approx([best])
    rows = by_name(shown.page.numbers["history"])
    assert [row["best so far, %"] for row in rows.values()] == [f"{value:.2f}" for value in so_far]
    for points in drawn.values():
        for number, value in points.items():
            assert rows[str(number)]["validation accuracy, %"] == f"{value:.2f}"


def share(row: dict[str, str]) -> list[float]:
    """Return where a trial stands on the axes of `adapter.k` and `training.lr`."""
    lr = (math.log(float(row["setting.training.lr"])) - LOG_LR[0]) / (LOG_LR[1] - LOG_LR[0])
    return [(int(row["setting.adapter.k"]) - K[0]) / (K[1] - K[0]), lr]


def test_lines_and_slices_are_the_trials_settings_and_scores(shown: Evidence) -> None:
    scores = [shown.score(row) for row in shown.complete]
    lines = {}
    for trace in shown.page.figures["settings-of-all-trials"]["data"]:
        number = trace["hovertemplate"].removeprefix("trial ").partition(":")[0]
        lines[number] = trace["x"]
    ended = [row for row in shown.rows if row["state"] != "FAIL"]
    assert set(lines) == {row["trial"] for row in ended}
    for row in ended:
        assert lines[row["trial"]][:2] == pytest.approx(share(row), abs=1e-4)
        if row in shown.complete:
            height = (shown.score(row) - min(scores)) / (max(scores) - min(scores))
            assert lines[row["trial"]][2] == pytest.approx(height, abs=1e-4)
    for name in ("training.lr", "adapter.k"):
        points, star = shown.page.figures[f"score-against-each-setting/{name}"]["data"]
        assert star["x"] == approx([float(shown.best[f"setting.{name}"])])
        assert points["x"] == approx([float(row[f"setting.{name}"]) for row in shown.complete])
        assert points["y"] == approx(scores)
        assert points["marker"]["color"] == [int(row["trial"]) for row in shown.complete]


def test_importances_and_contour_are_over_the_complete_trials(shown: Evidence) -> None:
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    wanted = optuna.importance.get_param_importances(shown.study, evaluator=evaluator)
    [bars] = shown.page.figures["importances"]["data"]
    assert dict(zip(bars["y"], bars["x"], strict=True)) == approx(wanted)
    rows = shown.page.numbers["importances"][1:]
    assert rows == [[name, f"{value:.3f}"] for name, value in wanted.items()]
    surface, points = shown.page.figures["the-two-most-important-settings"]["data"]
    across, up = wanted
    assert points["x"] == approx([float(row[f"setting.{across}"]) for row in shown.complete])
    assert points["y"] == approx([float(row[f"setting.{up}"]) for row in shown.complete])
    scores = [shown.score(row) for row in shown.complete]
    heights = [value for row in surface["z"] for value in row if value is not None]
    assert heights and min(scores) <= min(heights) <= max(heights) <= max(scores)
    table = shown.page.numbers["the-two-most-important-settings"]
    assert [row[-1] for row in table[1:]] == [f"{score:.2f}" for score in scores]


def test_curves_and_the_expected_best_are_the_records(shown: Evidence) -> None:
    drawn = {}
    for trace in shown.page.figures["learning-curves"]["data"]:
        number = trace["hovertemplate"].removeprefix("trial ").partition("<")[0]
        drawn[int(number)] = dict(zip(trace["x"], trace["y"], strict=True))
    wanted = {
        number: {p.step: 100 * p.metrics["validation/accuracy"] for p in record.history}
        for number, record in shown.records.items()
        if record.history
    }
    assert set(drawn) == set(wanted)
    for number, points in wanted.items():
        assert drawn[number] == approx(points)
    scores = np.sort([shown.score(row) for row in shown.complete])
    below = np.arange(len(scores) + 1) / len(scores)
    best = [float(scores @ np.diff(below**n)) for n in range(1, len(scores) + 1)]
    [trace] = shown.page.figures["expected-best-score-against-trials"]["data"]
    assert trace["y"] == approx(best)
    table = shown.page.numbers["expected-best-score-against-trials"][1:]
    assert table == [[str(n), f"{value:.2f}"] for n, value in enumerate(best, start=1)]


def test_the_timeline_is_the_records_times(shown: Evidence) -> None:
    named = {f"trial {number}": record for number, record in shown.records.items()}
    named["head-only"] = shown.floor
    begun = min(record.started_ms for record in named.values())
    times = {
        name: [(end - begun) / 1000 for end in (record.started_ms, record.ended_ms or 0)]
        for name, record in named.items()
    }
    drawn = {
        name: [start, end]
        for trace in shown.page.figures["timeline"]["data"]
        for name, start, end in trace["customdata"]
    }
    assert set(drawn) == set(times)
    for name, ends in times.items():
        assert drawn[name] == approx(ends)
    rows = by_name(shown.page.numbers["timeline"])
    for name, (start, end) in times.items():
        assert (rows[name]["from, s"], rows[name]["to, s"]) == (f"{start:.0f}", f"{end:.0f}")


def test_ranks_and_stops_are_the_records(shown: Evidence) -> None:
    [heat] = shown.page.figures["the-winner-s-rank-pattern"]["data"]
    cells = {
        (layer, kind): rank
        for kind, row in zip(heat["y"], heat["z"], strict=True)
        for layer, rank in zip(heat["x"], row, strict=True)
    }
    pattern = shown.records[int(shown.best["trial"])].rank_pattern
    names = {tuple(name.removeprefix("bert.encoder.layer.").split(".", 1)) for name in pattern}
    assert set(cells) == names
    assert list(sorted(cells.values())) == sorted(pattern.values())
    rows: Rows = shown.page.tables["Stopped trials"]
    assert [row[0] for row in rows[1:]] == ["2", "4", "7"]
    firsts = {
        number: record.history[0].metrics["validation/accuracy"]
        for number, record in shown.records.items()
        if record.history
    }
    for row in (by_name(rows)[name] for name in ("2", "7")):
        score = firsts[int(row["trial"])]
        place = 1 + sum(other > score for other in firsts.values())
        assert row["place there"] == f"{place} of {len(firsts)}"
        assert row["validation accuracy there, %"] == f"{100 * score:.2f}"
        assert row["best trial there, %"] == f"{100 * max(firsts.values()):.2f}"
        assert row["why"] == f"weak at {row['trial']}"
