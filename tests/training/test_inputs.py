from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lora2_search.api import train
from lora2_search.config.run import RunConfig
from lora2_search.errors import ConfigError
from lora2_search.store.record import RunRecord, read_record
from lora2_search.training.data.inputs import (
    changes_between,
    check_inputs_unchanged,
    inputs_of,
    inputs_with,
)
from lora2_search.training.data.load import load_data
from lora2_search.training.data.stamps import stamp
from lora2_search.training.loop.run import iterate, run
from tests.training.test_run import comparable, stop_after
from tests.training.test_run import settings as run_settings


@pytest.fixture
def own(tiny_bert: Path, reviews_csv: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A model and a file of sentences that a test may change."""
    model = shutil.copytree(tiny_bert, tmp_path / "model")
    return model, Path(shutil.copy(reviews_csv, tmp_path / "data.csv"))


def config_of(own: tuple[Path, Path], **more: Any) -> RunConfig:
    return run_settings(own[0], own[1], **{"training.epochs": 1.0, **more})


def _rewrite(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_csv(path)).to_csv(path, index=False)


def _swap_labels(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(verdict=table["verdict"].map({"good": "bad", "bad": "good"}))


def _turn(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


Own = tuple[Path, Path]
CHANGES: dict[str, tuple[Callable[[Own], object], str]] = {
    "a word": (
        lambda own: own[1].write_text(own[1].read_text().replace("film", "book")),
        "data.path: .*data.csv: its texts changed since",
    ),
    "a row less": (lambda own: _rewrite(own[1], lambda t: t[:-1]), "its texts changed"),
    "labels": (lambda own: _rewrite(own[1], _swap_labels), "its labels changed"),
    "the order": (lambda own: _rewrite(own[1], lambda t: t[::-1]), "its split changed"),
    "a weight": (
        lambda own: _turn(own[0] / "model.safetensors"),
        "model.name_or_path: .*model: model.safetensors changed since",
    ),
}
SAME: dict[str, Callable[[Own], object]] = {
    "another time": lambda own: os.utime(own[1]),
    "a column that is not read": lambda own: _rewrite(own[1], lambda t: t.assign(more=1)),
    "a read-me": lambda own: (own[0] / "README.md").write_text("x"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_run_does_not_go_on_with_other_data_or_another_model_and_does_with_the_old_ones(
    what: str, own: Own, tmp_path: Path
) -> None:
    change, words = CHANGES[what]
    config, folder = config_of(own), tmp_path / "run"
    kept = {path: path.read_bytes() for path in (own[0] / "model.safetensors", own[1])}
    stop_after(config, folder, 2)
    change(own)
    for _ in range(2):  # that it was refused once changes nothing
        with pytest.raises(ConfigError, match=f"{words}.* this run began; restore it"):
            run(config, folder)
    record = read_record(folder)
    assert record is not None and record.status == "failed"
    for path, data in kept.items():
        path.write_bytes(data)
    run(config, folder)
    run(config, tmp_path / "whole")
    assert comparable(folder) == comparable(tmp_path / "whole")


@pytest.mark.parametrize("what", SAME)
def test_a_run_goes_on_when_what_it_reads_is_the_same(what: str, own: Own, tmp_path: Path) -> None:
    config = config_of(own)
    stop_after(config, tmp_path / "run", 2)
    SAME[what](own)
    assert run(config, tmp_path / "run").status == "completed"


@pytest.mark.parametrize("what", CHANGES)
def test_a_second_run_in_a_process_reads_the_files_as_they_are(
    what: str, own: Own, tmp_path: Path
) -> None:
    first = run(config_of(own), tmp_path / "first")
    CHANGES[what][0](own)
    second = run(config_of(own), tmp_path / "second")
    assert list(changes_between(first, second))
    copy = shutil.copytree(own[0], tmp_path / "copy"), Path(shutil.copy(own[1], tmp_path / "c.csv"))
    fresh = run(config_of(copy), tmp_path / "fresh")
    assert not list(changes_between(second, fresh))
    assert comparable(tmp_path / "second") == comparable(tmp_path / "fresh")


def test_the_same_settings_do_not_find_the_run_of_other_data(own: Own) -> None:
    # From Python, as in a notebook: the folder is named by the settings alone.
    config = config_of(own)
    before = train(config)
    assert train(config) == before
    _rewrite(own[1], _swap_labels)
    with pytest.raises(ConfigError, match="its labels changed since .* another name"):
        train(config)
    again = train(config, name="again")
    assert again.data_hash != before.data_hash


def test_a_run_that_never_read_anything_may_read_what_there_is(own: Own, tmp_path: Path) -> None:
    text = own[1].read_text()
    own[1].write_text("review,verdict\nx,good\n")
    with pytest.raises(ConfigError):
        list(iterate(config_of(own), tmp_path / "run"))
    own[1].write_text(text)
    assert run(config_of(own), tmp_path / "run").status == "completed"


def test_all_that_changed_is_told_together_with_the_run_that_read_it(
    own: Own, tmp_path: Path
) -> None:
    config = config_of(own)
    for name, status in (("a", "running"), ("b", "completed")):
        made = RunRecord(
            fingerprint=config.fingerprint(), status=status, config=config.model_dump(mode="json")
        )  # type: ignore[arg-type]
        made.scores = {"validation/accuracy": 0.5}
        inputs_of(config).note(made)
        (tmp_path / name).mkdir()
        made.write(tmp_path / name)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "record.json").write_text("{")
    folders = [tmp_path / name for name in ("nothing", "broken", "a", "b")]
    check_inputs_unchanged(folders)
    _rewrite(own[1], _swap_labels)
    _turn(own[0] / "model.safetensors")
    _turn(own[0] / "config.json")
    with pytest.raises(ConfigError) as caught:
        check_inputs_unchanged(folders)
    data, model = caught.value.problems
    assert "its labels changed since a began" in data.message
    assert "config.json, model.safetensors changed since a began" in model.message


def test_a_record_of_an_earlier_version_says_nothing_of_what_it_does_not_know(
    own: Own, tmp_path: Path
) -> None:
    config = config_of(own)
    now = RunRecord(fingerprint="x", config=config.model_dump(mode="json"))
    inputs_of(config).note(now)
    before = RunRecord(fingerprint="x", config=now.config, data_hash="other")
    assert [words for _, words in changes_between(before, now)] == [
        f"{own[1]}: its texts, labels or split changed"
    ]
    assert not list(changes_between(RunRecord(fingerprint="x", config=now.config), now))


ROWS = st.lists(
    st.tuples(st.text("ab \x1f", min_size=1, max_size=4), st.sampled_from(["no", "yes"])),
    min_size=12,
    max_size=20,
)


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, order=st.randoms(use_true_random=False), at=st.integers(0, 11))
def test_the_first_part_that_differs_is_what_was_changed(
    rows: list[tuple[str, str]], order: Any, at: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [*rows, ("one", "no"), ("two", "yes")]
    folder = tmp_path_factory.mktemp("rows")
    shuffled = list(rows)
    order.shuffle(shuffled)
    text, label = rows[at]
    flipped = [*rows[:at], (text, "no" if label == "yes" else "yes"), *rows[at + 1 :]]
    reworded = [*rows[:at], (f"{text}!", label), *rows[at + 1 :]]
    before = _read(folder, rows)
    for changed, part in ((flipped, "labels"), (reworded, "texts"), (shuffled, "split")):
        after = _read(folder, changed)
        found = [words for _, words in changes_between(before, after)]
        if before.data_hash == after.data_hash:
            assert not found
        else:
            assert [f"its {part} changed" in words for words in found] == [True]


def _read(folder: Path, rows: list[tuple[str, str]]) -> RunRecord:
    path = folder / "d.parquet"
    pd.DataFrame(rows, columns=["text", "label"]).to_parquet(path)
    (folder / "config.json").write_text("{}")
    config = RunConfig.model_validate(
        {
            "task": "custom",
            "data": {"path": str(path), "text": ["text"], "label": "label"},
            "model": {"name_or_path": str(folder)},
        }
    )
    record = RunRecord(fingerprint="x", config=config.model_dump(mode="json"))
    inputs_with(load_data(config), config).note(record)
    return record


def test_a_file_that_keeps_its_size_and_time_is_known_to_be_another(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("one")
    before, state = stamp(path), path.stat()
    assert stamp(path) == before
    path.write_text("two")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    assert stamp(path) != before


def test_a_file_that_is_written_over_changes_no_weight_in_memory(own: Own) -> None:
    from lora2_search.training.models.load import check_base, load_base

    load_base(config_of(own).model, 2, False)
    weights = own[0] / "model.safetensors"
    with weights.open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(bytes(4096))
    check_base()


def test_weights_of_the_same_size_and_time_are_loaded_anew(own: Own, tmp_path: Path) -> None:
    from lora2_search.training.models.load import load_base

    config, weights = config_of(own).model, own[0] / "model.safetensors"
    first, state = load_base(config, 2, False), weights.stat()
    assert load_base(config, 2, False) is first
    _turn(weights)
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))
    second = load_base(config, 2, False)
    pairs = zip(first.model.parameters(), second.model.parameters(), strict=True)
    assert not all(torch.equal(one, other) for one, other in pairs)
