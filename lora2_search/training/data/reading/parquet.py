"""Parquet: the file declares the columns' types; each cell becomes its text."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from .table import Column, Declared, Table, Unreadable, named_twice, shown

# pandas keeps an unnamed index as a column of its own.
_INDEX = re.compile(r"__index_level_\d+__")


def read_parquet(path: Path) -> Table:
    """Return the table of one parquet file.

    Raises:
        Unreadable: A column name appears twice, or bytes are not UTF-8.
        OSError: The file cannot be read.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            if (problem := named_twice(file.schema_arrow.names)) is not None:
                raise Unreadable(problem)
            table = file.read()
        names = [name for name in table.column_names if not _INDEX.fullmatch(name)]
        columns = {name: _column(name, table.column(name)) for name in names}
    except pyarrow.ArrowException as error:
        raise Unreadable(str(error)) from None
    return Table(path.name, columns, tuple(range(1, table.num_rows + 1)))


def _column(name: str, array: Any) -> Column:
    import pyarrow as pa

    if isinstance(array.type, pa.BaseExtensionType):
        array = pa.chunked_array([chunk.storage for chunk in array.chunks], array.type.storage_type)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    kind = array.type
    if pa.types.is_nested(kind):
        return Column(tuple(None if v is None else _json(v) for v in array.to_pylist()), "nested")
    return Column(_cells(name, array), _declared(kind))


def _declared(kind: Any) -> Declared:
    import pyarrow as pa

    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    return "boolean" if pa.types.is_boolean(kind) else "text"


def _json(value: Any) -> str:
    return json.dumps(_without_nulls(value), default=str, ensure_ascii=False)


def _without_nulls(value: Any) -> Any:
    """Return a value without null fields: every struct of a column has the fields of all."""
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [*map(_without_nulls, value)] if isinstance(value, list) else value


def _cells(name: str, array: Any) -> tuple[str | None, ...]:
    import numpy as np
    import pyarrow as pa

    kind = array.type
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        # The shortest digits that identify it: a float32 of 0.1 is "0.1", as in a csv.
        single = np.float16 if pa.types.is_float16(kind) else np.float32
        return tuple(_number(v) if v is None else _number(single(v)) for v in array.to_pylist())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return tuple(_number(value) for value in array.to_pylist())
    if pa.types.is_timestamp(kind):
        array = array.cast(pa.string())
    values = array.to_pylist()
    if any(isinstance(value, bytes) for value in values):
        values = [_text(name, row, value) for row, value in enumerate(values, 1)]
    return tuple(None if value is None or value == "" else str(value) for value in values)


def _number(value: Any) -> str | None:
    """Return a number as text; NaN is missing, as pandas writes it."""
    if value is None or value != value:
        return None
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _text(name: str, row: int, value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        raise Unreadable(
            f"row {row}: column {shown(name)} holds bytes that are not UTF-8; store text"
        ) from None
