from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from lora2_search.config.run import RunConfig, with_settings
from lora2_search.training.data.learnt import learnt
from lora2_search.training.data.load import load_data


def said(folder: Path, labels: list[Any], model: Path | None = None, **more: Any) -> str:
    texts = more.pop("texts", [f"text {i}" for i in range(len(labels))])
    rows = (f"{text},{label}\n" for text, label in zip(texts, labels, strict=True))
    (folder / "d.csv").write_text("text,label\n" + "".join(rows))
    settings = {
        "task": "custom",
        "data.path": str(folder / "d.csv"),
        "data.text": ["text"],
        "data.label": "label",
        "model.name_or_path": str(model or folder),
        **more,
    }
    config = with_settings(RunConfig(task="sentiment"), settings)
    return "\n".join(learnt(load_data(config), config))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["normal", "odd", "odd"] * 10, ["2 classes: odd 67%, normal 33%", "f1 is that of 'odd'"]),
        (["normal", "odd", "odd"] * 10, ["Always 'odd' would score accuracy 0."]),
        (["a", "b", "c"] * 10, ["3 classes: a 33%, b 33%, c 33%."]),
        ([0.5, 1.5, 2.5] * 10, ["numbers from 0.5 to 2.5, mean 1.5: regression."]),
        (list(range(28)) * 2, ["28 different whole numbers", "data.kind to classification"]),
        (["Good", "good", "bad"] * 10, ["'Good' and 'good' differ only in case or blanks"]),
    ],
)
def test_what_is_learnt_is_said(labels: list[Any], words: list[str], tmp_path: Path) -> None:
    told = said(tmp_path, labels)
    for word in words:
        assert word in told


@pytest.mark.parametrize(
    ("twin", "written"),
    [
        ("caf\u0065\u0301", "'cafe\\u0301' and 'caf\\xe9'"),
        ("caf\u00e9\u200b", "'caf\\xe9' and 'caf\\xe9\\u200b'"),
        ("\ufeffcaf\u00e9", "'caf\\xe9' and '\\ufeffcaf\\xe9'"),
        ("caf\u00e9\u2060", "'caf\\xe9' and 'caf\\xe9\\u2060'"),
    ],
)
def test_classes_that_look_alike_are_named_by_their_signs(
    twin: str, written: str, tmp_path: Path
) -> None:
    assert f"Classes {written} look alike" in said(tmp_path, ["caf\u00e9", twin, "tea"] * 10)


def test_shares_are_said_to_be_those_of_both_files(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\n" + "one,a\ntwo,b\n" * 5)
    told = said(tmp_path, ["a", "b"] * 15, **{"data.test_path": str(tmp_path / "t.csv")})
    assert "2 classes, of training and test file together: a 50%, b 50%." in told


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ("clean", "Examples: train 57, validation 6, test 7."),
        ("paper", "Examples: train 63, test 7. Validation is the test split."),
    ],
)
def test_the_examples_of_each_split_are_counted(protocol: str, words: str, tmp_path: Path) -> None:
    sizes = {"data.test_size": 0.1, "data.validation_size": 0.1, "protocol": protocol}
    assert words in said(tmp_path, ["a", "b"] * 35, **sizes)


def test_a_test_file_that_is_the_training_file_is_said(tmp_path: Path) -> None:
    told = said(tmp_path, ["a", "b"] * 15, **{"data.test_path": str(tmp_path / "d.csv")})
    assert "30 of 30 test examples are also training or validation examples (the same" in told
    assert "validation examples are also training examples" not in told


@pytest.mark.parametrize("protocol", ["clean", "paper"])
def test_texts_that_stand_in_several_splits_are_counted(protocol: str, tmp_path: Path) -> None:
    texts = [f"text {i % 20}" for i in range(60)]
    told = said(tmp_path, ["a", "b"] * 30, texts=texts, protocol=protocol)
    found = re.findall(r"(\d+) of (\d+) (\w+) examples are also (.+?) \(", told)
    config = {name: also for _, _, name, also in found}
    if protocol == "paper":
        assert config == {"test": "training examples"}
    else:
        also = "training or validation examples"
        assert config == {"validation": "training examples", "test": also}
    assert all(int(count) <= int(size) for count, size, *_ in found)
    assert "different labels" not in told


def test_pairs_are_the_same_where_both_texts_are(tmp_path: Path) -> None:
    rows = [f"one,other {i},{'ab'[i % 2]}\n" for i in range(30)]
    (tmp_path / "p.csv").write_text("x,y,label\n" + "".join(rows))
    told = said(
        tmp_path, ["a", "b"], **{"data.path": str(tmp_path / "p.csv"), "data.text": ["x", "y"]}
    )
    assert "are also" not in told


@pytest.mark.parametrize(
    ("texts", "labels", "words"),
    [
        ([*map(str, range(29)), "0"], ["a"] * 14 + ["b"] * 16, "1 text appears with different"),
        (["x", "y"] * 15, ["a", "b", "b"] * 10, "2 texts appear with different labels"),
        (["x", "y"] * 15, ["a", "b"] * 15, None),
        (["x", "y"] * 15, [0.5, 0.25, 0.1] * 10, None),
    ],
)
def test_texts_with_different_labels_are_counted(
    texts: list[str], labels: list[Any], words: str | None, tmp_path: Path
) -> None:
    told = said(tmp_path, labels, texts=texts)
    assert ("different labels" in told) == (words is not None)
    assert (words or "") in told


def test_a_class_that_training_lacks_is_named(tmp_path: Path) -> None:
    told = said(tmp_path, ["a", "b", "c"] * 10, **{"data.train_size": 2})
    assert "Classes without a training example, never learnt: " in told


def test_the_positive_class_is_the_one_that_is_named(tmp_path: Path) -> None:
    told = said(tmp_path, ["normal", "odd"] * 15, **{"data.positive": "normal"})
    assert "f1 is that of 'normal'" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (6, "30 of 30 texts are longer than data.max_length=6 tokens and are cut there; the long"),
        (3, None),
    ],
)
def test_texts_that_are_cut_are_counted_by_the_models_tokenizer(
    words: int, told: str | None, tiny_bert: Path, tmp_path: Path
) -> None:
    texts = [" ".join(["film"] * words) for _ in range(30)]
    more = {"data.max_length": 6, "texts": texts}
    found = said(tmp_path, ["a", "b"] * 15, tiny_bert, **more)
    assert ("are cut" in found) == (told is not None)
    assert told is None or (told in found and "has 8." in found)


def test_without_a_tokenizer_that_can_be_read_words_are_counted(tmp_path: Path) -> None:
    texts = [" ".join(["film"] * 9) for _ in range(30)]
    told = said(tmp_path, ["a", "b"] * 15, **{"data.max_length": 6, "texts": texts})
    assert "At least 30 of 30 texts are longer" in told and "more than 9" in told
