from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora2_search.tracking.spool.spool import (
    End,
    Flusher,
    Metrics,
    Spool,
    Start,
    read,
    run_path,
    run_paths,
)

START = Start(name="trial 0", time_ms=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "a.jsonl"


def keys(path: Path) -> list[tuple[str, int]]:
    return [
        (key, record.step)
        for record in read(path).records
        if isinstance(record, Metrics)
        for key in record.values
    ]


def test_a_point_is_written_once_even_by_a_later_writer(path: Path) -> None:
    first = Spool(path, Flusher())
    first.append(START)
    first.points([(0, 10, {"loss": 1.0}), (1, 11, {"loss": 0.5})])
    first.close()
    second = Spool(path, Flusher())
    second.points(
        [(0, 99, {"loss": 1.0}), (1, 99, {"loss": 0.5, "score": 2.0}), (2, 12, {"loss": 0.2})]
    )
    second.points([(2, 98, {"loss": 0.2})])
    assert keys(path) == [("loss", 0), ("loss", 1), ("score", 1), ("loss", 2)]
    assert read(path).records[1].time_ms == 10


def test_a_resumed_writer_knows_how_the_run_stood(path: Path) -> None:
    spool = Spool(path, Flusher())
    assert spool.last is None
    spool.append(START, End(state="FAIL", time_ms=2, reason="out of memory"))
    again = Spool(path, Flusher())
    assert again.last == End(state="FAIL", time_ms=2, reason="out of memory")
    assert again.records == 2


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_line_cut_anywhere_costs_that_line_alone(path: Path, cut: int) -> None:
    spool = Spool(path, Flusher())
    spool.append(START)
    whole = path.stat().st_size
    spool.points([(0, 10, {"loss": 1.0})])
    with path.open("rb+") as file:
        file.truncate(path.stat().st_size - cut)
    assert read(path).end == whole
    resumed = Spool(path, Flusher())
    resumed.points([(0, 10, {"loss": 1.0}), (1, 11, {"loss": 0.5})])
    assert keys(path) == [("loss", 0), ("loss", 1)]
    # Only the newline was lost: the line is whole again once the writer ended it.
    assert len(read(path).broken) == (0 if cut == 1 else 1)


def test_broken_and_blank_lines_are_passed_over(path: Path) -> None:
    spool = Spool(path, Flusher())
    spool.append(START)
    with path.open("ab") as file:
        file.write(b"\n\n{]\n42\n" + b'{"kind":"unheard of"}\n' + b"\xff\xfe\n")
    spool.points([(0, 1, {"loss": 1.0})])
    chunk = read(path)
    assert [type(record) for record in chunk.records] == [Start, Metrics]
    assert len(chunk.broken) == 4
    assert chunk.end == path.stat().st_size


def test_reading_goes_on_where_it_stopped(path: Path) -> None:
    spool = Spool(path, Flusher())
    spool.append(START)
    first = read(path)
    spool.points([(0, 1, {"loss": 1.0})])
    second = read(path, first.end)
    assert [type(record) for record in second.records] == [Metrics]
    assert not read(path, second.end).records


def test_a_file_that_was_replaced_by_a_shorter_one_is_read_from_its_beginning(path: Path) -> None:
    Spool(path, Flusher()).append(START)
    assert len(read(path, 10_000).records) == 1


def test_a_missing_file_is_empty(path: Path) -> None:
    assert read(path).records == ()
    assert run_paths(path.parent) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.1 + 0.2, 1e-300, 5e300])
def test_every_float_comes_back_exactly(path: Path, value: float) -> None:
    Spool(path, Flusher()).points([(0, 1, {"x": value})])
    found = read(path).records[0].values["x"]
    assert found == value or (math.isnan(found) and math.isnan(value))


@given(st.text(min_size=1, max_size=40).filter(lambda text: "\x00" not in text))
def test_any_key_makes_a_file_name_and_comes_back(tmp_path_factory, key: str) -> None:
    try:
        key.encode()
    except UnicodeEncodeError:
        return
    folder = tmp_path_factory.mktemp("study")
    path = run_path(folder, key)
    if len(path.name) > 255:
        return
    Spool(path, Flusher()).append(START)
    assert [found for found, _, _ in run_paths(folder)] == [key]
