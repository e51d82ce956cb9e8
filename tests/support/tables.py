"""Tables written in every format, to be read back."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
from hypothesis import strategies as st

Cells = dict[str, list[str | None]]
FORMATS = ("csv", "tsv", "jsonl", "parquet")

# Everything that a file may hold but zero characters and halves of characters.
CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
AWKWARD = st.text(st.sampled_from("\"',;|\t\n\r\\ aé中01.-"), max_size=6)


@st.composite
def tables(draw: st.DrawFn) -> Cells:
    """Two to four columns of text cells, some missing."""
    width, height = draw(st.integers(2, 4)), draw(st.integers(1, 6))
    names = draw(st.lists(CELL | AWKWARD, min_size=width, max_size=width))
    cell = st.none() | CELL.filter(bool) | AWKWARD.filter(bool)
    return {
        f"{index}:{name}": draw(st.lists(cell, min_size=height, max_size=height))
        for index, name in enumerate(names)
    }


def write(cells: Cells, path: Path) -> None:
    """Write the table in the format of the suffix, by a library of that format."""
    rows = list(zip(*cells.values(), strict=True))
    if path.suffix == ".parquet":
        arrays = {name: pa.array(column, pa.string()) for name, column in cells.items()}
        pyarrow.parquet.write_table(pa.table(arrays), path)
    elif path.suffix == ".jsonl":
        lines = (json.dumps(dict(zip(cells, row, strict=True))) for row in rows)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    else:
        separator = "\t" if path.suffix == ".tsv" else ","
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=separator).writerows([list(cells), *rows])
