from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from lora2_search.errors import ConfigError
from lora2_search.training.data.inspect import inspect

SENTENCES = [f"this is sentence number {i} of the file" for i in range(40)]
QUESTIONS = [f"is it true that item {i} was sold ?" for i in range(40)]
BINARY = [i % 2 for i in range(40)]


def csv(folder: Path, **columns: list) -> Path:
    path = folder / "my.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("columns", "text", "label", "kind"),
    [
        ({"text": SENTENCES, "label": BINARY}, ("text",), "label", "classification"),
        ({"label": BINARY, "text": SENTENCES}, ("text",), "label", "classification"),
        (
            {"id": range(40), "review": SENTENCES, "stars": [i % 5 for i in range(40)]},
            ("review",),
            "stars",
            "classification",
        ),
        (
            {"question": QUESTIONS, "passage": SENTENCES, "answer": ["yes", "no"] * 20},
            ("question", "passage"),
            "answer",
            "classification",
        ),
        (
            {"review": SENTENCES, "rating": [i / 7 for i in range(40)]},
            ("review",),
            "rating",
            "regression",
        ),
        (
            {"text": SENTENCES, "price": list(range(100, 140)), "y": [i * 3 for i in range(40)]},
            ("text",),
            "y",
            "regression",
        ),
        (
            {"query": [f"shoe {i}" for i in range(40)], "topic": ["a", "b"] * 20},
            ("query",),
            "topic",
            "classification",
        ),
        (
            {"text": SENTENCES, "spam": [True, False] * 20},
            ("text",),
            "spam",
            "classification",
        ),
    ],
)
def test_columns_are_taken_for_what_people_mean(
    tmp_path: Path, columns: dict, text: tuple, label: str, kind: str
) -> None:
    found = inspect(csv(tmp_path, **columns))
    assert (found.text, found.label, found.kind) == (text, label, kind)


def test_what_the_user_names_wins(tmp_path: Path) -> None:
    path = csv(tmp_path, a=SENTENCES, b=QUESTIONS, c=BINARY, d=[i % 4 for i in range(40)])
    found = inspect(path, text=["b"], label="c", kind="regression")
    assert (found.text, found.label, found.kind) == (("b",), "c", "regression")
    assert found.span == (0, 1)


def test_balance_gaps_repeats_and_lengths_are_counted(tmp_path: Path) -> None:
    text = [*SENTENCES, SENTENCES[0], None, "one two"]
    label = [*(["pos"] * 30 + ["neg"] * 10), "neg", "pos", "neg"]
    found = inspect(csv(tmp_path, text=text, label=label))
    assert found.rows == 42
    assert found.classes == {"pos": 30, "neg": 12}
    assert (found.missing, found.repeated, found.contradicting) == (1, 1, 1)
    assert found.words == (8, 8, 8)
    assert "median 8, 95 % have at most 8, longest 8" in " ".join(found.sentences())
    assert found.max_length == 32
    said = " ".join(found.sentences())
    for words in ("42 rows", "pos 71%, neg 29%", "1 row lacks", "repeat an earlier", "different"):
        assert words in said


def test_both_texts_of_a_pair_count_for_the_length(tmp_path: Path) -> None:
    long = [" ".join(["word"] * 100)] * 40
    found = inspect(csv(tmp_path, first=long, second=long, label=BINARY))
    assert found.words == (200, 200, 200)
    assert found.max_length == 304


@pytest.mark.parametrize("suffix", ["tsv", "jsonl", "parquet"])
def test_other_kinds_of_files_are_read_too(tmp_path: Path, suffix: str) -> None:
    table = pd.DataFrame({"text": SENTENCES, "label": BINARY})
    path = tmp_path / f"my.{suffix}"
    {
        "tsv": lambda: table.to_csv(path, sep="\t", index=False),
        "jsonl": lambda: table.to_json(path, orient="records", lines=True),
        "parquet": lambda: table.to_parquet(path),
    }[suffix]()
    found = inspect(path)
    assert (found.text, found.label, found.rows) == (("text",), "label", 40)


def test_whole_numbers_with_a_gap_are_named_as_written(tmp_path: Path) -> None:
    found = inspect(csv(tmp_path, text=SENTENCES, label=[None, *BINARY[1:]]))
    assert set(found.classes) == {"0", "1"}


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        ({"text": SENTENCES, "label": [1] * 40}, {}, "holds one class only (1)"),
        ({"text": SENTENCES, "score": [1.5] * 40}, {"kind": "regression"}, "one number only (1.5)"),
        ({"text": SENTENCES}, {}, "no column looks like labels"),
        ({"a": BINARY, "b": BINARY}, {}, "no column holds sentences; name one of a, b"),
        ({"text": SENTENCES, "label": BINARY}, {"label": "labl"}, 'did you mean "label"?'),
        ({"text": SENTENCES, "label": BINARY}, {"text": ["txt"]}, 'did you mean "text"?'),
        (
            {"text": SENTENCES, "label": BINARY},
            {"label": "text", "text": ["text"]},
            "is also the text",
        ),
        ({"text": SENTENCES, "label": ["a", "b"] * 20}, {"kind": "regression"}, "holds words"),
        ({"text": SENTENCES[:5], "label": BINARY[:5]}, {}, "5 complete rows; at least 10"),
        (
            {"text": SENTENCES * 6, "who": [f"n{i}" for i in range(240)]},
            {"label": "who"},
            "240 different values",
        ),
    ],
)
def test_a_file_that_cannot_serve_is_refused_with_the_remedy(
    tmp_path: Path, columns: dict, options: dict, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        inspect(csv(tmp_path, **columns), **options)
    assert words in str(caught.value)


def test_all_absent_columns_are_named_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        inspect(csv(tmp_path, text=SENTENCES, label=BINARY), text=["txt"], label="labl")
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.csv", None, "no file"),
        ("my.xlsx", b"", "must be one of .csv, .tsv, .jsonl, .parquet"),
        ("my.csv", b"", "cannot be read as csv"),
        ("my.csv", b"text,label\n", "holds no rows"),
        ("my.jsonl", b"{broken", "cannot be read as jsonl"),
        ("my.parquet", b"PAR0", "cannot be read as parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        inspect(tmp_path / name)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "metric", "words"),
    [
        (["ok"] * 38 + ["fraud"] * 2, "f1", "Always 'ok' would score an accuracy of 95%"),
        (["a", "b"] * 19 + ["c"] * 2, "macro_f1", "the space searches by macro_f1"),
        (["a", "b"] * 20, None, ""),
        ([i / 7 for i in range(40)], None, ""),
    ],
)
def test_a_rare_class_wants_a_metric_that_sees_it(
    labels: list, metric: str | None, words: str, tmp_path: Path
) -> None:
    found = inspect(csv(tmp_path, text=SENTENCES, label=labels))
    assert found.metric == metric
    assert words in " ".join(found.sentences())
