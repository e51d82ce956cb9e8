"""A finished run answers other files as it answered its own test split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lora2_search.config.run import RunConfig
from lora2_search.errors import ConfigError
from lora2_search.store.files import Damaged
from lora2_search.training.data.load import load_data
from lora2_search.training.export.trained import Answers, answer
from lora2_search.training.loop.run import run
from tests.support.methods import METHODS
from tests.training.test_run import settings

SHORT = {"training.epochs": 0.3, "training.evaluations": 1}


def trained(folder: Path, config: RunConfig) -> Any:
    return run(config, folder)


def the_tests(config: RunConfig, path: Path, labels: bool = True) -> Path:
    """The test split of a run as a file of its own."""
    data = load_data(config)
    split = data.splits["test"]
    rows = {"review": split.texts[0]}
    if labels:
        rows["verdict"] = [data.classes[int(label)] for label in split.labels]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("method", METHODS)
def test_a_run_reloaded_answers_its_test_split_as_it_did(
    method: str, tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv, method=method, **SHORT)
    record = trained(tmp_path / "run", config)
    found = answer(record, tmp_path / "run", the_tests(config, tmp_path / "t.csv"), config.data)
    before = pd.read_parquet(tmp_path / "run" / "predictions.parquet").query("split == 'test'")
    logits = before[["score_0", "score_1"]].to_numpy()
    np.testing.assert_allclose(found.said.logits, logits, rtol=0, atol=2e-6)
    assert found.scores == {
        name: pytest.approx(record.scores[f"test/{name}"]) for name in found.scores
    }
    assert set(found.scores) >= {"accuracy", "f1", "roc_auc"}
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)


@pytest.fixture(scope="module")
def finished(
    tiny_bert: Path, reviews_csv: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Path, RunConfig]:
    config = settings(tiny_bert, reviews_csv, **SHORT)
    folder = tmp_path_factory.mktemp("finished")
    return trained(folder, config), folder, config


def ask(finished: tuple[Any, Path, RunConfig], file: Path, **data: Any) -> Answers:
    record, folder, config = finished
    return answer(record, folder, file, config.data.model_copy(update=data))


def test_labels_are_optional_and_rows_without_text_get_no_answer(
    finished: tuple[Any, Path, RunConfig], tmp_path: Path
) -> None:
    file = tmp_path / "new.jsonl"
    rows = [
        {"review": "a warm film", "id": 7},
        {"review": " ", "id": 8},
        {"review": "dull", "id": 9},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    found = ask(finished, file)
    assert found.rows == (0, 2) and found.scores == {}
    assert list(found.table.columns) == ["review", "id"]
    assert found.notes[-1] == "1 row lacks text and gets no prediction"


def test_labels_that_the_run_does_not_know_are_told_and_not_scored(
    finished: tuple[Any, Path, RunConfig], tmp_path: Path
) -> None:
    file = tmp_path / "new.csv"
    file.write_text("review,verdict\nwarm,good\ndull,bad\nwarm,fine\nwarm,\n")
    found = ask(finished, file)
    assert np.isfinite(found.said.labels).tolist() == [True, True, False, False]
    assert "1 labels are not a class of the run (bad, good)" in found.notes[-1]
    assert "'fine', first in line 4 of new.csv" in found.notes[-1]
    assert set(found.scores) >= {"accuracy"}


def test_a_missing_column_or_adapter_is_told_in_words(
    finished: tuple[Any, Path, RunConfig], tmp_path: Path
) -> None:
    file = tmp_path / "new.csv"
    file.write_text("revue,n\nwarm,1\ndull,2\n")
    with pytest.raises(ConfigError, match="no column 'review' in new.csv; did you mean \"revue\""):
        ask(finished, file)
    file.write_text("review,n\n,1\n,2\n")
    with pytest.raises(ConfigError, match="no row of new.csv has a text in each of 'review'"):
        ask(finished, file)
    file.write_text("review,n\nwarm,1\n")
    record, _, config = finished
    with pytest.raises(Damaged, match=r"adapter_model.safetensors is broken: it is missing"):
        answer(record, tmp_path, file, config.data)
