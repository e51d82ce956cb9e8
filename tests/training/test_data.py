from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora2_search.config.run import RunConfig, with_settings
from lora2_search.errors import ConfigError, UserError
from lora2_search.training.data.load import load_data
from lora2_search.training.data.tokens import encode, eval_batches, train_batches


def config(path: Path, **more: Any) -> RunConfig:
    base = {"task": "custom", "data.path": str(path), "data.text": ["text"], "data.label": "label"}
    return with_settings(RunConfig(task="sentiment"), {**base, **more})


def frame(labels: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"text": [f"sentence {i}" for i in range(len(labels))], "label": labels})


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_the_same_rows_read_from_every_format_are_the_same_data(
    suffix: str, tmp_path: Path
) -> None:
    table = frame([0, 1] * 20)
    table.to_csv(tmp_path / "reference.csv", index=False)
    path = tmp_path / f"data.{suffix}"
    write = {
        "csv": lambda: table.to_csv(path, index=False),
        "tsv": lambda: table.to_csv(path, index=False, sep="\t"),
        "jsonl": lambda: table.to_json(path, orient="records", lines=True),
        "parquet": lambda: table.to_parquet(path),
    }
    write[suffix]()
    reference = load_data(config(tmp_path / "reference.csv"))
    assert load_data(config(path)).hash == reference.hash


@pytest.mark.parametrize(
    ("labels", "kind", "classes"),
    [
        ([0, 1] * 10, "classification", ("0", "1")),
        ([10, 9, 2] * 10, "classification", ("2", "9", "10")),
        (["no", "yes"] * 10, "classification", ("no", "yes")),
        ([1.0, 0.0, None, 1.0] * 10, "classification", ("0", "1")),
        ([True, False] * 10, "classification", ("False", "True")),
        ([0.5, 1.0, 2.25] * 10, "regression", ()),
    ],
)
def test_labels_are_taken_as_classes_or_numbers(
    labels: list[Any], kind: str, classes: tuple[str, ...], tmp_path: Path
) -> None:
    frame(labels).to_csv(tmp_path / "d.csv", index=False)
    data = load_data(config(tmp_path / "d.csv"))
    assert (data.kind, data.classes) == (kind, classes)
    missing = sum(label is None for label in labels)
    assert sum(map(len, data.splits.values())) == len(labels) - missing


def test_splits_share_no_sentence_and_depend_on_the_split_seed_alone(tmp_path: Path) -> None:
    frame([0, 1] * 100).to_csv(tmp_path / "d.csv", index=False)
    first = load_data(config(tmp_path / "d.csv", seed=1))
    again = load_data(config(tmp_path / "d.csv", seed=2))
    other = load_data(config(tmp_path / "d.csv", **{"data.split_seed": 1}))
    assert first.hash == again.hash != other.hash
    texts = [set(split.texts[0]) for split in first.splits.values()]
    assert sum(map(len, texts)) == len(set.union(*texts)) == 200
    sizes = {name: len(split) for name, split in first.splits.items()}
    assert sizes == {"train": 162, "test": 20, "validation": 18}


def test_a_smaller_train_size_leaves_what_is_chosen_and_reported_on_alone(tmp_path: Path) -> None:
    frame([0, 1] * 100).to_csv(tmp_path / "d.csv", index=False)
    whole = load_data(config(tmp_path / "d.csv"))
    small = load_data(config(tmp_path / "d.csv", **{"data.train_size": 10}))
    assert len(small.splits["train"]) == 10
    share = 10 / len(whole.splits["train"])
    part = load_data(config(tmp_path / "d.csv", **{"data.train_size": share}))
    assert part.splits["train"].texts == small.splits["train"].texts
    for name in ("validation", "test"):
        assert small.splits[name].texts == whole.splits[name].texts


def test_a_separate_test_file_is_the_test_split(tmp_path: Path) -> None:
    frame([0, 1] * 50).to_csv(tmp_path / "train.csv", index=False)
    frame([1, 1, 0]).to_csv(tmp_path / "test.csv", index=False)
    paths = {"data.test_path": str(tmp_path / "test.csv")}
    data = load_data(config(tmp_path / "train.csv", **paths))
    assert data.splits["test"].labels.tolist() == [1, 1, 0]
    assert data.majority == pytest.approx(2 / 3) or data.majority == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("labels", "change", "says"),
    [
        (["only"] * 10, {}, "at least two classes"),
        ([f"id{i}" for i in range(300)], {}, "too many for classes"),
        ([0, 1] * 10, {"data.text": None}, "name the text"),
        ([0, 1] * 10, {"data.text": ["txt"]}, 'did you mean "text"'),
        ([0, 1] * 10, {"data.validation_size": 18}, "leaves nothing to train on"),
        ([], {}, "no rows"),
    ],
)
def test_data_that_cannot_be_used_is_refused_with_what_would_be_right(
    labels: list[Any], change: dict[str, Any], says: str, tmp_path: Path
) -> None:
    frame(labels).to_csv(tmp_path / "d.csv", index=False)
    with pytest.raises(ConfigError, match=says):
        load_data(config(tmp_path / "d.csv", **change))


def test_glue_without_a_network_says_how_to_go_on_offline() -> None:
    with pytest.raises(UserError, match="offline, set data.path"):
        load_data(RunConfig(task="rte"))


def test_a_glue_folder_without_the_task_is_named(glue_folder: Path) -> None:
    with pytest.raises(ConfigError, match="no cola/train-"):
        load_data(with_settings(RunConfig(task="cola"), {"data.path": str(glue_folder)}))


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=400),
    size=st.integers(1, 40),
    seed=st.integers(0, 5),
    epoch=st.integers(0, 3),
)
def test_an_epoch_shows_every_example_once_in_an_order_of_its_own(
    lengths: list[int], size: int, seed: int, epoch: int
) -> None:
    array = np.array(lengths)
    batches = train_batches(array, size, seed, epoch)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert max(map(len, batches)) <= size
    assert batches == train_batches(array, size, seed, epoch)


def test_batches_of_like_lengths_pad_far_less_than_shuffled_ones() -> None:
    lengths = np.random.default_rng(0).integers(5, 60, size=3200)
    batches = train_batches(lengths, 32, 0, 0)
    padded = sum(len(b) * lengths[b].max() for b in batches)
    assert padded < 1.05 * lengths.sum()
    assert sorted(i for b in eval_batches(lengths, 64) for i in b) == list(range(3200))


def test_a_split_is_tokenised_once_and_read_from_disk_after_that(
    tiny_bert: Path, tmp_path: Path, own_home: Path
) -> None:
    from transformers import AutoTokenizer

    frame([0, 1] * 20).to_csv(tmp_path / "d.csv", index=False)
    data = load_data(config(tmp_path / "d.csv"))
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    first = encode(data, tokenizer, 16)
    written = sorted((own_home / "tokens").iterdir())
    assert len(written) == 3

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("tokenised again")

    wrapped = type(tokenizer).from_pretrained(tiny_bert)
    wrapped._encode_plus = refuse
    again = encode(data, wrapped, 16)
    assert {n: e.features for n, e in first.items()} == {n: e.features for n, e in again.items()}
    encode(data, tokenizer, 4)
    assert len(sorted((own_home / "tokens").iterdir())) == 6


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_only_an_empty_field_is_missing_and_words_like_none_are_classes(
    suffix: str, tmp_path: Path
) -> None:
    separator = {"csv": ",", "tsv": "\t"}[suffix]
    rows = [separator.join(row) for row in [("a b", "None"), ("NA", "yes"), ("c", "")] * 10]
    path = tmp_path / f"d.{suffix}"
    path.write_text("\n".join([separator.join(("text", "label")), *rows]))
    data = load_data(config(path))
    assert data.classes == ("None", "yes")
    assert data.left_out == 10 and sum(map(len, data.splits.values())) == 20


def test_a_quote_in_a_tsv_is_a_letter(tmp_path: Path) -> None:
    lines = ["text\tlabel", *['"so it begins\t1', "and ends\t0"] * 10]
    (tmp_path / "d.tsv").write_text("\n".join(lines))
    data = load_data(config(tmp_path / "d.tsv"))
    assert sum(map(len, data.splits.values())) == 20


def test_whole_numbers_of_many_values_are_numbers(tmp_path: Path) -> None:
    frame(list(range(1, 61))).to_csv(tmp_path / "d.csv", index=False)
    assert load_data(config(tmp_path / "d.csv")).kind == "regression"


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("verdict", "ec85039878a72063f2487af843804a9e786ede5d29085787faf3ee0dfa441c0e"),
        ("stars", "79fcdedbaa77b4ee04831b6516a229acf34cb7456308fe924f24583ebc41a10c"),
    ],
)
def test_the_hash_of_a_file_is_that_of_earlier_versions(
    label: str, expected: str, reviews_csv: Path
) -> None:
    columns = {"data.text": ["review"], "data.label": label}
    assert load_data(config(reviews_csv, **columns)).hash == expected


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("rte", "c67e154b8fb050327cc0733c994c043527d0f5de30d2d5c2a6e17a6356e95286"),
        ("stsb", "9b325002388ed7f1037a8ff2e55c2c06fce4b626cc62f107e607ffcd2e206921"),
        ("mnli", "c992bd2dacaeff26f0a2e21d9fbdc1e757d88f2ec655d1798cdc9c47c1e70bfd"),
    ],
)
def test_the_hash_of_a_published_task_is_that_of_earlier_versions(
    task: str, expected: str, glue_folder: Path
) -> None:
    chosen = with_settings(RunConfig(task=task), {"data.path": str(glue_folder)})
    assert load_data(chosen).hash == expected


def test_published_labels_of_single_precision_keep_their_value(glue_folder: Path) -> None:
    path = glue_folder / "stsb" / "train-00000-of-00001.parquet"
    kept = path.read_bytes()
    try:
        table = pd.read_parquet(path).astype({"label": "float32"})
        table.to_parquet(path)
        chosen = with_settings(RunConfig(task="stsb"), {"data.path": str(glue_folder)})
        labels = np.concatenate(
            [load_data(chosen).splits[name].labels for name in ("train", "validation")]
        )
    finally:
        path.write_bytes(kept)
    assert set(labels) == set(table["label"].to_numpy(dtype=np.float64))


def test_a_word_among_numbers_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("text,label\n" + "one,1.5\ntwo,2.5\n" * 10 + "three,good\n")
    data = {"path": str(path), "text": ["text"], "label": "label", "kind": "regression"}
    with pytest.raises(ConfigError, match="must hold numbers for regression, but line 22 of d.csv"):
        load_data(RunConfig.model_validate({"task": "custom", "data": data}))
