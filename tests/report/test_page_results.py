"""Every number of a page's tests, tuning, mistakes and words, computed anew."""

from __future__ import annotations

import html
import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas
import pytest
from statsmodels.stats.multitest import multipletests

from lora2_search.report.archive.archive import archive_suite
from lora2_search.report.pages.suite import suite_page
from lora2_search.report.tables.text import p_value
from tests.report.test_page_numbers import (
    ARCHIVES,
    RESULTS,
    TUNED,
    Runs,
    form,
    read_page,
    recorded,
    runs_of,
    scores_of,
    shown,
    stored,
)
from tests.support.pages import Page

Row = dict[str, str]


@pytest.mark.parametrize("name", ARCHIVES)
def test_every_number_of_a_pages_tests_tuning_and_mistakes_is_computed_anew(name: str) -> None:
    page, metrics, _ = read_page(name)
    looked_at: set[str] = set()
    for task, metric in metrics.items():
        of = f" of {task}" if task else ""
        compared, runs = stored(name, "comparisons.csv", task), runs_of(name, task)
        looked_at |= {
            check_seeds(page, of, compared, metric),
            check_sentences(page, of, name, task, compared, runs, metric),
            *check_equality(page, of, compared, metric),
            *check_tuning(page, of, name, metric),
            *check_mistakes(page, of, name, task, runs),
            *check_examples(page, of, name, task, runs, metric),
        }
        # These have a test of their own.
        looked_at |= {f"Comparisons{of}", f"Arms{of}"}
        looked_at |= {f"Kept ranks of {arm}{of}" for arm in runs}
    assert set(page.tables) <= looked_at


def between(row: Row, low: str, high: str, metric: str) -> str:
    ends = (shown(row[key], *form(metric)) for key in (low, high))
    return " to ".join(ends)


def p_of(text: str) -> str:
    return p_value(float(text)) if text else "–"


def holm(rows: list[Row], key: str) -> list[float]:
    """Return p as statsmodels corrects it."""
    return list(multipletests([float(row[key]) for row in rows], method="holm")[1])


def check_seeds(page: Page, of: str, compared: list[Row], metric: str) -> str:
    label = f"Over new seeds, on this test set{of}"
    found, rows = page.rows(label), [row for row in compared if row["role"] != "equality"]
    assert list(found) == [row["comparison"] for row in rows]
    for row in rows:
        _, effect, interval, p, corrected, flip, _, n, ties = found[row["comparison"]].values()
        assert effect == shown(row["difference"], *form(metric))
        assert interval == between(row, "low", "high", metric)
        assert p == p_of(row["p"]) and corrected == p_of(row["p_holm"])
        assert flip == p_of(row["p_sign_flip"]) or "needs" in flip
        assert (n, ties) == (row["seeds"], row["ties"])
    return label


@pytest.mark.parametrize("name", ARCHIVES)
def test_p_is_corrected_over_the_comparisons_of_all_tasks_at_once(name: str) -> None:
    page, metrics, _ = read_page(name)
    every = [row for task in metrics for row in stored(name, "comparisons.csv", task)]
    family = [row for row in every if row["role"] == "named"]
    for key in ("", "new_sentences_"):
        for row, p in zip(family, holm(family, f"{key}p"), strict=True):
            assert float(row[f"{key}p_holm"]) == pytest.approx(p)
    if not all(row["p_sign_flip"] for row in family):
        return
    for row, p in zip(family, holm(family, "p_sign_flip"), strict=True):
        of = f" of {row['task']}" if row["task"] else ""
        label = f"Over new seeds, on this test set{of}"
        assert page.rows(label)[row["comparison"]]["p (sign-flip, Holm)"] == p_value(p)


def check_sentences(
    page: Page, of: str, name: str, task: str, compared: list[Row], runs: Runs, metric: str
) -> str:
    label = f"On new sentences too{of}"
    found, rows = page.rows(label), [row for row in compared if row["role"] != "equality"]
    assert list(found) == [row["comparison"] for row in rows]
    for row in rows:
        _, effect, interval, p, corrected, size, *shares = found[row["comparison"]].values()
        assert effect == shown(row["difference"], *form(metric))
        assert interval == between(row, "new_sentences_low", "new_sentences_high", metric)
        assert p == p_of(row["new_sentences_p"])
        assert corrected == p_of(row["new_sentences_p_holm"])
        one, _, other = row["comparison"].partition(" − ")
        right = answers(name, task)
        assert size == f"{row['seeds']} × {next(iter(right.values())).shape[1]}"
        if metric == "accuracy" and one in runs and other in runs:
            assert shares == shares_of(right[one] - right[other])
        elif shares != ["–"] * 3:
            assert sum(map(int, shares)) in (99, 100, 101)
    return label


def shares_of(difference: Any) -> list[str]:
    """Return how much of a mean's variance is from rows, from columns and from both together."""
    seeds, sentences = difference.shape
    by_seed = sentences * difference.mean(axis=1).var(ddof=1)
    by_sentence = seeds * difference.mean(axis=0).var(ddof=1)
    left = difference - difference.mean(axis=1, keepdims=True)
    left = left - difference.mean(axis=0, keepdims=True) + difference.mean()
    both = (left**2).sum() / ((seeds - 1) * (sentences - 1))
    parts = [max(by_seed - both, 0), max(by_sentence - both, 0), both]
    return [f"{100 * part / sum(parts):.0f}" for part in parts]


@cache
def predictions(name: str) -> Any:
    return pandas.read_parquet(RESULTS / name / "predictions.parquet")


@cache
def by_run(name: str, task: str) -> Mapping[str, Mapping[int, Any]]:
    """Return labels and predictions of every seed of every arm."""
    found: dict[str, dict[int, Any]] = defaultdict(dict)
    for run, rows in predictions(name).groupby("run", sort=False):
        arm, _, seed = str(run).removeprefix(f"{task}." if task else "").rpartition("-seed")
        if not task or str(run).startswith(f"{task}."):
            found[arm][int(seed)] = rows.sort_values("example")
    return {arm: dict(sorted(seeds.items())) for arm, seeds in found.items()}


@cache
def answers(name: str, task: str) -> Mapping[str, Any]:
    """Return whether each answer of an arm is right, seeds by sentences."""
    return {
        arm: np.array([(rows["label"] == rows["prediction"]).to_numpy() for rows in seeds.values()])
        * 1.0
        for arm, seeds in by_run(name, task).items()
    }


def check_equality(page: Page, of: str, compared: list[Row], metric: str) -> list[str]:
    label, rows = f"Equality{of}", [row for row in compared if row["role"] == "equality"]
    if not rows:
        assert label not in page.tables
        return []
    found = list(page.rows(label).values())
    digits, factor = form(metric)
    for row, cells in zip(rows, found, strict=True):
        _, margin, effect, interval, p, said, new_p, new_said, _ = cells.values()
        assert margin == f"± {factor * float(row['margin']):.{digits}f}"
        assert effect == shown(row["difference"], *form(metric))
        assert interval == between(row, "low", "high", metric)
        assert p == p_of(row["p_holm"]) and new_p == p_of(row["new_sentences_p_holm"])
        assert (said == "shown") == (float(row["p_holm"]) < 0.05)
        assert (new_said == "shown") == (float(row["new_sentences_p_holm"]) < 0.05)
    return [label]


def check_tuning(page: Page, of: str, name: str, metric: str) -> list[str]:
    scores: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run, record in recorded(name).items():
        if match := TUNED.fullmatch(run):
            score = record.scores[f"validation/{metric}"]
            scores[match["arm"]][int(match["trial"])].append(score)
    label = f"Tuning{of}"
    if not scores:
        assert label not in page.tables
        return []
    digits, factor = form(metric)
    found = page.rows(label)
    assert set(found) == set(scores)
    for arm, trials in scores.items():
        *_, many, best, of_one, _ = found[arm].values()
        means = [float(np.mean(own)) for own in trials.values()]
        assert many == str(len(means))
        assert best == f"{factor * max(means):.{digits}f}"
        assert of_one in (f"{factor * np.mean(means):.{digits}f}", "–")
    return [label]


def check_mistakes(page: Page, of: str, name: str, task: str, runs: Runs) -> list[str]:
    label = f"Mistakes{of}"
    if label not in page.tables:
        return []
    found = page.rows(label)
    assert set(found) == set(runs)
    for arm, seeds in by_run(name, task).items():
        _, many, *counts, every = found[arm].values()
        assert many == str(len(seeds))
        for heading, count in zip(list(found[arm])[2:-1], counts, strict=True):
            label_, taken = re.fullmatch(r"(\d+) taken for (\d+)", heading).groups()  # type: ignore[union-attr]
            each = [
                ((rows["label"] == int(label_)) & (rows["prediction"] == int(taken))).sum()
                for rows in seeds.values()
            ]
            assert count == f"{np.mean(each):.1f}"
        wrong = (1 - answers(name, task)[arm]).sum(axis=1)
        assert every == f"{wrong.mean():.1f}"
    return [label]


def check_examples(page: Page, of: str, name: str, task: str, runs: Runs, metric: str) -> list[str]:
    looked_at = []
    for label, (head, *rows) in page.tables.items():
        match = re.fullmatch(rf"(.+) against (.+):{re.escape(of)}", label)
        if not match or match[1] not in runs or match[2] not in runs:
            continue
        # What a language model writes is of no class.
        named = ["example", *([] if metric == "exact_match" else ["label"])]
        assert head[: len(named) + 2] == [*named, match[1], match[2]]
        for row in rows:
            for arm, words in zip(match.groups(), row[len(named) :][:2], strict=True):
                seeds = by_run(name, task)[arm].values()
                own = pandas.concat([run[run["example"] == int(row[0])] for run in seeds])
                if "label" in named:
                    assert (own["label"].astype(float) - float(row[1])).abs().max() < 0.006
                assert words == answered(own, metric)
        looked_at.append(label)
    return looked_at


def answered(rows: Any, metric: str) -> str:
    """Return how an arm's seeds answered one example, as pages say it."""
    if metric not in ("accuracy", "exact_match"):
        return f"off by {(rows['prediction'] - rows['label']).abs().mean():.3g}"
    return f"right {(rows['prediction'] == rows['label']).sum()} of {len(rows)}"


STORY = re.compile(r"<details class=\"story\"><summary>(.*?)</summary>\s*<p>(.*?)</p>", re.DOTALL)


@pytest.mark.parametrize("name", ARCHIVES)
def test_every_comparison_is_told_with_its_numbers(name: str) -> None:
    with archive_suite(RESULTS / name) as evidence:
        page = suite_page(evidence)
        metrics = {task: item.analysis.suite.metric for task, item in evidence.items()}
    told = [
        [html.unescape(re.sub(r"<[^>]+>", "", part)) for part in story]
        for story in STORY.findall(page)
    ]
    rows = [
        (row, metric)
        for task, metric in metrics.items()
        for row in stored(name, "comparisons.csv", task)
        if row["role"] != "floor"
    ]
    assert len(told) == len(rows)
    for row, metric in rows:
        wanted = [
            between(row, "low", "high", metric),
            between(row, "new_sentences_low", "new_sentences_high", metric),
            *(p_of(row[key]) for key in ("p", "p_holm", "new_sentences_p", "new_sentences_p_holm")),
        ]
        if row["role"] != "equality":
            # A difference that is shown has no sign but a word: higher, lower.
            wanted.append(shown(row["difference"], *form(metric)).lstrip("+-"))
        assert any(all(part in text for part in wanted) for _, text in told), wanted


def test_scores_are_read_from_the_runs_themselves() -> None:
    """The tables of runs and of answers agree: what the other tests compute from is one thing."""
    for name in ARCHIVES:
        for task, metric in read_page(name)[1].items():
            if metric == "accuracy":
                for arm, own in runs_of(name, task).items():
                    found = answers(name, task)[arm].mean(axis=1)
                    assert found == pytest.approx(scores_of(own))
