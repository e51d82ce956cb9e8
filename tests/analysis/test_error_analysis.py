from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from lora2_search.analysis.examples import disagreements, example_texts
from lora2_search.analysis.records import read_suite
from lora2_search.analysis.scores import scores_on_test as scores_of
from lora2_search.report.tables.examples import confusion_table, disagreement_table
from lora2_search.training.data.load import load_data
from tests.support.suites import suite, write_run, write_suite


def written(folder: Path, answers: dict[tuple[str, int], list[int]], labels: list[int]) -> Any:
    plan = suite(seeds=2, arms={"other": {"adapter.gamma": 0.0}}, floor=None)
    plan.write(folder)
    for run in plan.runs(folder):
        said = answers[run.arm, run.config.seed]
        write_run(
            run.folder,
            run.config,
            labels=np.array(labels, dtype=float),
            predictions=np.array(said, dtype=float),
            classes=["bad", "so-so", "good"],
        )
    return read_suite(folder)


LABELS = [0, 0, 1, 1, 2, 2]
ANSWERS = {
    ("base", 0): [0, 1, 1, 1, 2, 0],
    ("base", 1): [0, 1, 1, 2, 2, 2],
    ("other", 0): [0, 0, 0, 1, 1, 2],
    ("other", 1): [1, 0, 0, 1, 2, 2],
}


def test_mistakes_are_those_of_sklearns_confusion_matrix(tmp_path: Path) -> None:
    found = written(tmp_path, ANSWERS, LABELS)
    table = confusion_table(found, scores_of(found))
    rows = {row[0]: dict(zip(table.titles, row, strict=True)) for row in table.cells}
    names = ["bad", "so-so", "good"]
    for arm, row in rows.items():
        matrix = sum(confusion_matrix(LABELS, ANSWERS[arm, s], labels=[0, 1, 2]) for s in (0, 1))
        for heading, shown in row.items():
            if " taken for " in heading:
                label, said = (names.index(word) for word in heading.split(" taken for "))
                assert float(shown) == matrix[label][said] / 2
        wrong = matrix.sum() - np.trace(matrix)
        assert float(row["all mistakes"]) == wrong / 2


def test_the_examples_on_which_two_arms_differ_most_come_first_for_each_side(
    tmp_path: Path,
) -> None:
    found = written(tmp_path, ANSWERS, LABELS)
    differ = disagreements(found, scores_of(found), "other", "base", shown=2)
    assert [(d.example, d.ours, d.theirs, d.seeds) for d in differ] == [
        (1, 2, 0, 2),
        (3, 2, 1, 2),
        (2, 0, 2, 2),
        (0, 1, 2, 2),
    ]
    table = disagreement_table(differ, found, "other", "base", {1: "a text"})
    assert table.titles == ["example", "label", "other", "base", "text"]
    assert table.cells[0] == ["1", "bad", "right 2 of 2", "right 0 of 2", "a text"]
    assert table.texts[1]["text"] == "–"


def test_arms_that_answer_alike_differ_on_nothing(tmp_path: Path) -> None:
    same = {(arm, seed): LABELS for arm in ("base", "other") for seed in (0, 1)}
    found = written(tmp_path, same, LABELS)
    assert disagreements(found, scores_of(found), "other", "base") == []


@pytest.mark.parametrize("same_data", [True, False])
def test_texts_are_shown_only_of_the_data_that_was_trained_on(
    tmp_path: Path, reviews_csv: Path, same_data: bool
) -> None:
    data = {"path": str(reviews_csv), "text": ["review"], "label": "verdict"}
    plan = suite(task="custom", data=data, seeds=2)
    loaded = load_data(plan.runs(tmp_path)[0].config)
    told = {"data_hash": loaded.hash if same_data else "other"}
    runs = {(arm, seed): told for arm in plan.arms for seed in (0, 1)}
    write_suite(tmp_path, plan, lambda arm, seed: np.arange(20) < 10, runs)
    texts = example_texts(read_suite(tmp_path))
    if not same_data:
        assert texts == {}
        return
    assert texts[3] == loaded.splits["test"].texts[0][3]
    (tmp_path / "examples.json").write_text(json.dumps({"": {"7": "kept beside"}}))
    assert example_texts(read_suite(tmp_path)) == {7: "kept beside"}


def test_no_network_is_asked_for_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the data was asked for")

    monkeypatch.setattr("lora2_search.training.data.load.load_data", refuse)
    write_suite(
        tmp_path,
        suite(seeds=2),
        lambda arm, seed: np.arange(20) < 10,
        {("base", 0): {"data_hash": "x"}},
    )
    # The home of a test holds no packaged sentences.
    assert example_texts(read_suite(tmp_path)) == {}
