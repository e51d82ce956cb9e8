from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lora2_search.analysis.baselines import standings
from lora2_search.analysis.study import read_study_table
from lora2_search.config.run import RunConfig
from lora2_search.stats.significance import over_examples
from tests.support.studies import write_trials
from tests.support.suites import write_run

LABELS = np.arange(400) % 2 * 1.0


def answers(right: int) -> dict[str, Any]:
    """Answers of which the last ones are wrong."""
    told = np.where(np.arange(400) < right, LABELS, 1 - LABELS)
    scores = {"validation/accuracy": 0.7, "test/accuracy": right / 400}
    named = {"classes": ["bad", "good"], "commonest": "good"}
    constant = {"constant": {"validation/accuracy": 0.5, "test/accuracy": 0.5}}
    return {"labels": LABELS, "predictions": told, "scores": scores, **named, **constant}


def study(folder: Path, floor: dict[str, Any]) -> Path:
    write_trials(folder, [{"values": [0.7], **answers(320)}])
    config = RunConfig(task="sentiment", method="head-only")
    write_run(folder / "reference" / "head-only", config, **floor)
    return folder


def test_the_interval_over_examples_is_the_binomial_one() -> None:
    right = np.arange(400) < 320
    found = over_examples(lambda columns: float(right[columns].mean()), 400)
    assert found.estimate == 0.8 and found.n == 400
    reach = 1.96 * np.sqrt(0.8 * 0.2 / 400)
    assert found.low == pytest.approx(0.8 - reach, abs=0.006)
    assert found.high == pytest.approx(0.8 + reach, abs=0.006)
    alone = over_examples(lambda columns: 1.0, 1)
    assert alone.low is None and alone.note


def test_the_gap_to_the_floor_is_paired_by_sentence(tmp_path: Path) -> None:
    ours, floor, constant = standings(read_study_table(study(tmp_path, answers(300))))
    assert [row.name for row in (ours, floor, constant)] == ["winner", "head-only", "always 'good'"]
    assert ours.gap is None and ours.test.estimate == 0.8
    # Twenty sentences differ, all in our favour: the error of a mean of 400 zeros and ones.
    gap = floor.gap
    assert gap is not None and gap.estimate == pytest.approx(0.05)
    reach = 1.96 * np.sqrt(0.05 * 0.95 / 400)
    assert gap.low == pytest.approx(0.05 - reach, abs=0.006)
    assert constant.test.estimate == 0.5 and constant.gap is not None
    assert constant.gap.estimate == pytest.approx(0.3) and (constant.gap.low or 0) > 0.2


def test_without_predictions_the_scores_stand_without_an_interval(tmp_path: Path) -> None:
    folder = study(tmp_path, {"scores": {"test/accuracy": 0.7}})
    ours, floor, _ = standings(read_study_table(folder))
    assert ours.test.low is not None
    assert floor.test.estimate == 0.7 and floor.test.low is None
    assert floor.gap is not None and floor.gap.estimate == pytest.approx(0.1)
    assert floor.gap.low is None and "predictions" in floor.gap.note


def test_other_sentences_are_not_compared(tmp_path: Path) -> None:
    other = answers(300)
    other |= {"labels": 1 - LABELS, "predictions": 1 - other["predictions"]}
    floor = standings(read_study_table(study(tmp_path, other)))[1]
    assert floor.gap is not None and floor.gap.estimate is None
    assert "same examples" in floor.gap.note


def test_a_run_on_other_data_is_not_compared_though_its_labels_are_the_same(tmp_path: Path) -> None:
    folder = study(tmp_path, answers(300))
    for path, of in ((folder / "trials" / "00000", "here"), (folder / "reference", "there")):
        [record] = path.rglob("record.json")
        record.write_text(json.dumps(json.loads(record.read_text()) | {"data_hash": of}))
    floor = standings(read_study_table(folder))[1]
    assert floor.gap is not None and floor.gap.estimate is None
    assert "same data" in floor.gap.note


def test_answers_that_do_not_give_the_recorded_score_give_no_interval(tmp_path: Path) -> None:
    other = answers(300)
    other["scores"] = {"test/accuracy": 0.7501}
    ours, floor, _ = standings(read_study_table(study(tmp_path, other)))
    assert ours.test.low is not None and floor.test.estimate == 0.7501
    assert floor.test.low is None
    assert floor.test.note == "its predictions do not give the recorded score"
    assert floor.gap is not None and floor.gap.low is None
    assert floor.gap.note == "their predictions do not give the recorded scores"
