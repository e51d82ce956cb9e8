"""Task metamath reads what PEFT's method comparison reads, and judges as it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lora2_search.config.run import RunConfig
from lora2_search.config.suite.schema import load_suite
from lora2_search.errors import ConfigError, UserError
from lora2_search.training.data.load import Data, load_data
from lora2_search.training.data.stamps import data_files
from lora2_search.training.kinds.answers import answer_in, is_same
from lora2_search.training.loop.prepare import load_inputs
from tests.support.metamath import small_suite, write_model, write_stand_in


def config(folder: Path, **data: Any) -> RunConfig:
    return RunConfig.model_validate({"task": "metamath", "data": {"path": str(folder), **data}})


def read(folder: Path, **data: Any) -> Data:
    return load_data(config(folder, **data))


def test_validation_is_pefts_draw_of_gsm8k_and_no_row_of_it_is_trained_on(tmp_path: Path) -> None:
    folder = write_stand_in(tmp_path / "both")
    data = read(folder, validation_size=7, split_seed=3)
    gsm8k = pd.read_parquet(folder / "gsm8k/main/train-00000-of-00001.parquet")
    np.random.seed(0)
    indices = np.arange(len(gsm8k))
    np.random.shuffle(indices)
    drawn = gsm8k.iloc[indices[:7]]
    assert data.splits["validation"].texts == (tuple(drawn["question"]), tuple(drawn["answer"]))
    test = pd.read_parquet(folder / "gsm8k/main/test-00000-of-00001.parquet")
    assert data.splits["test"].texts[1] == tuple(test["answer"])
    metamath = json.loads((folder / "MetaMathQA/MetaMathQA-395K.json").read_text())
    assert data.splits["train"].texts[0] == tuple(row["query"] for row in metamath)
    assert len(read(folder, validation_size=0.25).splits["validation"]) == 10


def test_a_row_of_1300_characters_is_learnt_and_a_longer_one_is_not(tmp_path: Path) -> None:
    folder = write_stand_in(tmp_path / "both")
    path = folder / "MetaMathQA/MetaMathQA-395K.json"
    lengths = (1298, 1299, 1300, 1301)
    rows = [{"query": "q" * 99, "response": "r" * (length - 100)} for length in lengths]
    path.write_text(json.dumps(rows))
    learnt = read(folder).splits["train"].texts
    assert [len(f"{q} {r}") for q, r in zip(*learnt, strict=True)] == [1298, 1299, 1300]


def test_other_contents_of_a_file_are_seen_by_its_stamp(tmp_path: Path) -> None:
    folder = write_stand_in(tmp_path / "both")
    assert sorted(data_files(config(folder))) == sorted(p for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    ("damage", "key", "words"),
    [
        ("MetaMathQA/MetaMathQA-395K.json", "data.path", "no MetaMathQA/*.json in"),
        (
            "gsm8k/main/test-00000-of-00001.parquet",
            "data.path",
            "no gsm8k/main/test-*.parquet in",
        ),
        ("twice", "data.path", "2 files are named MetaMathQA/*.json"),
        ("column", "data.path", "no column 'response'"),
        ("validation", "data.validation_size", "GSM8K has 40 training questions"),
    ],
)
def test_what_a_folder_lacks_is_told(damage: str, key: str, words: str, tmp_path: Path) -> None:
    folder = write_stand_in(tmp_path / "both")
    path = folder / "MetaMathQA/MetaMathQA-395K.json"
    size = 10
    if damage == "twice":
        (folder / "MetaMathQA/more.json").write_text("[]")
    elif damage == "column":
        path.write_text('[{"query": "a", "responses": "b"}]')
    elif damage == "validation":
        size = 41
    else:
        (folder / damage).unlink()
    with pytest.raises(ConfigError) as caught:
        read(folder, validation_size=size)
    (problem,) = caught.value.problems
    assert problem.key == key and words in problem.message


def test_without_the_hub_an_error_says_what_to_do() -> None:
    with pytest.raises(UserError, match="set data.path to a folder that holds both"):
        load_data(RunConfig.model_validate({"task": "metamath"}))


def test_the_suite_learns_prompt_and_response_as_one_text(tmp_path: Path) -> None:
    data, model = write_stand_in(tmp_path / "both"), write_model(tmp_path / "model")
    base = load_suite("metamath", small_suite(data, model)).base
    _, encoded, kind = load_inputs(base)
    rows = json.loads((data / "MetaMathQA/MetaMathQA-395K.json").read_text())
    written = {f"Question: {row['query']} Think step by step.\nAnswer:": row for row in rows}
    for prompt, (answer,) in encoded["train"].texts:
        assert answer == written[prompt]["response"]
    assert kind.masking is not None and kind.masking.example.startswith("⟦Question")


@pytest.mark.parametrize(
    ("text", "right", "same"),
    [
        ("so 4^2 = 16. The answer is: 16", "a #### 16", True),
        ("The answer is: 5. No. The answer is: 7", "#### 7", True),
        ("The answer is: 5. No. The answer is: 7", "#### 5", False),
        # The first of the five forms that is in a text counts, wherever it stands.
        ("The answer is: 9\nso #### 12", "#### 9", True),
        ("#### 12, The answer is 9.", "#### 9", True),
        ("The final answer is: 3/4", "#### 0.75", True),
        ("The answer is: $50", "#### 50", True),
        ("The answer is: 50%", "#### 50", True),
        ("The answer is:\n5", "#### 5", False),
        ("The answer is: \n5\n6", "#### 5", True),
        ("The answer is: 5 apples", "#### 5", False),
        ("16", "#### 16", False),
        # PEFT compares these as texts, which differ.
        ("The answer is: 1000", "#### 1,000", True),
    ],
)
def test_an_answer_is_found_where_peft_finds_it(text: str, right: str, same: bool) -> None:
    pattern = load_suite("metamath").language.answer
    expected = answer_in(right, pattern)
    assert expected is not None and is_same(answer_in(text, pattern), expected) is same
