from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from lora2_search.errors import ConfigError
from lora2_search.training.data.reading.file import read_file
from lora2_search.training.data.reading.table import Table


def read(folder: Path, table: pa.Table) -> Table:
    pyarrow.parquet.write_table(table, folder / "d.parquet")
    return read_file(folder / "d.parquet")


@pytest.mark.parametrize(
    ("array", "cells", "declared"),
    [
        (pa.array(["01", None, ""]), ("01", None, None), "text"),
        (pa.array([1, None, 2**62]), ("1", None, str(2**62)), "number"),
        (pa.array([0.1, None, 3.0], pa.float32()), ("0.1", None, "3.0"), "number"),
        (pa.array([0.1, float("nan"), 1e300]), ("0.1", None, "1e+300"), "number"),
        (pa.array([Decimal("1.50"), None], pa.decimal128(20, 2)), ("1.50", None), "number"),
        (pa.array([Decimal("1E+3")], pa.decimal128(20, 0)), ("1000",), "number"),
        (pa.array([True, None]), ("True", None), "boolean"),
        (pa.array([b"caf\xc3\xa9", None], pa.binary()), ("café", None), "text"),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ("a", "b", "a"), "text"),
        (pa.array([datetime.date(2020, 1, 2)]), ("2020-01-02",), "text"),
        (pa.array(["x"], pa.large_string()), ("x",), "text"),
        (pa.array([None, None]), (None, None), "text"),
        (pa.array([["x"], None]), ('["x"]', None), "nested"),
        (pa.array([{"a": 1}]), ('{"a": 1}',), "nested"),
        (pa.array([[{"a": 1}, {"b": {"c": 2}}]]), ('[{"a": 1}, {"b": {"c": 2}}]',), "nested"),
    ],
)
def test_every_type_becomes_the_text_that_says_it(
    array: Any, cells: tuple[str | None, ...], declared: str, tmp_path: Path
) -> None:
    column = read(tmp_path, pa.table({"x": array})).columns["x"]
    assert (column.cells, column.declared) == (cells, declared)


def test_an_unnamed_index_of_pandas_is_no_column_and_a_named_one_is(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"a": ["x", "y"]}, index=[5, 7])
    frame.to_parquet(tmp_path / "d.parquet")
    assert list(read_file(tmp_path / "d.parquet").columns) == ["a"]
    frame.rename_axis("key").to_parquet(tmp_path / "d.parquet")
    assert list(read_file(tmp_path / "d.parquet").columns) == ["a", "key"]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (pa.Table.from_arrays([pa.array(["x"])] * 2, ["a", "a"]), "duplicate column names: 'a'"),
        (pa.table({"a": pa.array([b"x", b"\xff\xfe"])}), "row 2: column 'a' holds bytes"),
        (pa.table({"a": pa.array([], pa.string())}), "holds no rows"),
    ],
)
def test_what_cannot_be_told_is_refused(table: pa.Table, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, table)
    assert says in str(caught.value)
