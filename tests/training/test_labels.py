from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from lora2_search.config.run import RunConfig, with_settings
from lora2_search.errors import ConfigError
from lora2_search.training.data.load import Data, load_data


def write(path: Path, labels: list[Any], texts: list[Any] | None = None) -> None:
    rows = list(zip(texts or [f"text {i}" for i in range(len(labels))], labels, strict=True))
    if path.suffix == ".csv":
        lines = (f'"{text}","{label}"' for text, label in rows)
        path.write_text("text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    elif path.suffix == ".parquet":
        table = pa.table(
            {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
        )
        pyarrow.parquet.write_table(table, path)
    else:
        lines = (json.dumps({"text": text, "label": label}) for text, label in rows)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def load(path: Path, test: Path | None = None, **more: Any) -> Data:
    settings = {"data.path": str(path), "data.text": ["text"], "data.label": "label", **more}
    if test is not None:
        settings["data.test_path"] = str(test)
    return load_data(with_settings(RunConfig(task="sentiment"), {"task": "custom", **settings}))


CODES = [f"{n:02}" for n in range(1, 31)]


@pytest.mark.parametrize(
    ("suffix", "labels", "classes"),
    [
        ("csv", ["01", "1", "001"] * 10, ("001", "01", "1")),
        ("csv", ["1_2", "12"] * 10, ("12", "1_2")),
        ("csv", CODES * 2, tuple(CODES)),
        ("csv", ["75", "69", "01"] * 10 + ["13"] * 60, ("01", "13", "69", "75")),
        ("csv", ["TRUE", "false"] * 10, ("False", "True")),
        ("csv", ["²", "1"] * 10, ("1", "²")),
        ("csv", ["--1", "1", "-"] * 10, ("-", "--1", "1")),
        ("csv", ["2", "10", "-1"] * 10, ("-1", "2", "10")),
        ("csv", [" good", "good ", "bad"] * 10, ("bad", "good")),
        ("csv", ["2020-01-01", "2020-01-02"] * 10, ("2020-01-01", "2020-01-02")),
        ("jsonl", ["3.8", "3.9", "3.10"] * 10, ("3.10", "3.8", "3.9")),
        ("jsonl", ["1.0", "2.0"] * 10, ("1.0", "2.0")),
        ("jsonl", [str(n) for n in range(100, 130)] * 2, tuple(str(n) for n in range(100, 130))),
        ("jsonl", [True, None, False] * 10, ("False", "True")),
        ("jsonl", [1, 0, None] * 10, ("0", "1")),
        ("jsonl", [1.0, 0.0] * 10, ("0", "1")),
        ("jsonl", [10**17 + 1, 10**17] * 10, (str(10**17), str(10**17 + 1))),
        ("parquet", ["1", "01"] * 10, ("01", "1")),
        ("parquet", [True, None, False] * 10, ("False", "True")),
    ],
)  # fmt: skip
def test_classes_are_called_as_the_file_writes_them(
    suffix: str, labels: list[Any], classes: tuple[str, ...], tmp_path: Path
) -> None:
    write(tmp_path / f"d.{suffix}", labels)
    data = load(tmp_path / f"d.{suffix}")
    assert (data.kind, data.classes) == ("classification", classes)


@pytest.mark.parametrize(
    ("suffix", "labels", "first"),
    [
        ("csv", ["0.5", "-1", "+2", ".25", "1e1"] * 6, 0.5),
        ("csv", ["1.50", "2.25", "3.10"] * 10, 1.5),
        ("jsonl", [str(n / 7) for n in range(40)], 0.0),
        ("jsonl", [1.5, 2.25, 3.1] * 10, 1.5),
        ("parquet", pa.array([0.1, 0.7, 0.3] * 10, pa.float32()), 0.1),
    ],
)
def test_numbers_are_what_is_written(
    suffix: str, labels: list[Any], first: float, tmp_path: Path
) -> None:
    write(tmp_path / f"d.{suffix}", list(labels))
    if suffix == "parquet":
        table = pa.table({"text": [f"text {i}" for i in range(30)], "label": labels})
        pyarrow.parquet.write_table(table, tmp_path / "d.parquet")
    data = load(tmp_path / f"d.{suffix}")
    assert data.kind == "regression"
    assert first in {float(x) for split in data.splits.values() for x in split.labels}


@pytest.mark.parametrize(
    ("suffix", "labels", "says"),
    [
        ("csv", [*["0.5", "1.5"] * 20, "unknown"], "40 of 41 labels.*line 42 of d.csv holds 'un"),
        ("csv", [*["1", "2"] * 20, "n/a"], "line 42 of d.csv holds 'n/a'"),
        ("csv", [*["0.5", "1.5"] * 20, "inf"], "line 42 of d.csv holds 'inf'"),
        ("csv", ["0,5", "1,25", "3"] * 10, "line 2 of d.csv writes '0,5'.*decimal point"),
        ("csv", ["1,405", "605", "12,000"] * 10, "line 2 of d.csv writes '1,405'"),
        ("csv", ["5 %", "12.5%"] * 10, "line 2 of d.csv writes '5 %'"),
        ("csv", ["$5.00", "$7.50"] * 10, "line 2 of d.csv writes '\\$5.00'"),
        ("csv", ["3.8", "3.9", "3.10"] * 10, "in two ways, such as '3.10' and '3.8'"),
        ("jsonl", ["0,5", "1,25"] * 10, "writes '0,5'"),
        ("jsonl", [*[0.5, 1.5] * 10, float("inf")], "must hold numbers .*line 21 of d.jsonl"),
        ("parquet", [*[0.5, 1.5] * 10, float("-inf")], "row 21 of d.parquet holds '-inf'"),
        ("jsonl", [["a"], ["b"]] * 10, "holds lists or objects, first in line 1"),
        ("jsonl", [{"name": "a"}, {"name": "b"}] * 10, "lists or objects, first in line 1"),
        ("parquet", [["a"], ["b"]] * 10, "lists or objects, first in row 1"),
    ],
)  # fmt: skip
def test_labels_that_could_be_meant_otherwise_are_refused_with_the_row(
    suffix: str, labels: list[Any], says: str, tmp_path: Path
) -> None:
    write(tmp_path / f"d.{suffix}", labels)
    with pytest.raises(ConfigError, match=says) as caught:
        load(tmp_path / f"d.{suffix}")
    assert [problem.key for problem in caught.value.problems] == ["data.label"]


def test_the_kind_that_is_set_settles_what_is_refused_otherwise(tmp_path: Path) -> None:
    write(tmp_path / "d.csv", ["3.8", "3.9", "3.10", "3.1"] * 10)
    codes = load(tmp_path / "d.csv", **{"data.kind": "classification"})
    assert codes.classes == ("3.1", "3.10", "3.8", "3.9")
    assert load(tmp_path / "d.csv", **{"data.kind": "regression"}).kind == "regression"


@pytest.mark.parametrize(
    ("train", "test", "key"),
    [
        (["good", "bad"], ["Good", "bad"], "data.test_path"),
        (["good", "bad"], ["good", "neutral"], "data.test_path"),
        (["good", "bad"], ["1", "0"], "data.test_path"),
        (["01", "02"], ["1", "2"], "data.test_path"),
        (["True", "False"], ["TRUE", "maybe"], "data.test_path"),
        (["1", "2", "3"], ["1.0", "1.5"], "data.label"),
        (["0.5", "1.5"], ["bad", "good"], "data.label"),
    ],
)
def test_a_test_file_whose_labels_training_never_shows_is_refused(
    train: list[str], test: list[str], key: str, tmp_path: Path
) -> None:
    write(tmp_path / "train.csv", train * 12)
    write(tmp_path / "test.csv", test * 5)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "train.csv", tmp_path / "test.csv")
    assert [problem.key for problem in caught.value.problems] == [key]


@pytest.mark.parametrize(
    ("train", "test", "classes"),
    [
        (["1", "0"], ["1.0", "0.0"], ("0", "1")),
        (["True", "False"], ["TRUE", "FALSE"], ("False", "True")),
        (["good", "bad"], ["good ", "bad"], ("bad", "good")),
    ],
)
def test_labels_that_say_the_same_are_one_class_in_both_files(
    train: list[str], test: list[str], classes: tuple[str, ...], tmp_path: Path
) -> None:
    write(tmp_path / "train.csv", train * 12)
    write(tmp_path / "test.csv", test * 5)
    assert load(tmp_path / "train.csv", tmp_path / "test.csv").classes == classes


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_texts_stay_as_written_and_blank_ones_are_left_out(suffix: str, tmp_path: Path) -> None:
    texts = ["001000", " 1.10", "NA", "", "   ", *[f"text {i}" for i in range(15)]]
    write(tmp_path / f"d.{suffix}", ["a", "b"] * 10, texts)
    data = load(tmp_path / f"d.{suffix}")
    found = {text for split in data.splits.values() for text in split.texts[0]}
    assert found == {text for text in texts if text.strip()}
    assert data.left_out == 2


@pytest.mark.parametrize(
    ("text", "label", "says"),
    [
        (["text"], "text", "data.label: column 'text' is also the text"),
        (["text", "text"], "label", "data.text: names column 'text' twice"),
        (["text"], "gone", "data.label: no row of d.csv has a value in each"),
    ],
)
def test_columns_that_cannot_be_learnt_are_refused(
    text: list[str], label: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "d.csv").write_text("text,label,gone\n" + "a b c,x,\nd e f,y,\n" * 10)
    with pytest.raises(ConfigError, match=says):
        load(tmp_path / "d.csv", **{"data.text": text, "data.label": label})


def test_the_positive_class_is_number_one(tmp_path: Path) -> None:
    write(tmp_path / "d.csv", ["normal", "odd", "odd"] * 10)
    plain = load(tmp_path / "d.csv")
    turned = load(tmp_path / "d.csv", **{"data.positive": "normal"})
    assert (plain.classes, turned.classes) == (("normal", "odd"), ("odd", "normal"))
    assert turned.splits["test"].labels.tolist() == (1 - plain.splits["test"].labels).tolist()
    assert (plain.commonest, turned.commonest) == ("odd", "odd")


@pytest.mark.parametrize(
    ("labels", "positive", "says"),
    [
        (["normal", "odd"], "nomal", 'no class .nomal.; did you mean "normal"'),
        (["a", "b", "c"], "a", "one of two classes, but the labels are 3 classes"),
        (["0.5", "1.5"], "0.5", "one of two classes, but the labels are numbers"),
    ],
)
def test_a_positive_class_that_cannot_be_is_refused(
    labels: list[str], positive: str, says: str, tmp_path: Path
) -> None:
    write(tmp_path / "d.csv", labels * 10)
    with pytest.raises(ConfigError, match=says):
        load(tmp_path / "d.csv", **{"data.positive": positive})
