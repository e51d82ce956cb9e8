from __future__ import annotations

from pathlib import Path

import pytest

from lora2_search.errors import ConfigError
from lora2_search.training.data.reading.file import read_file
from lora2_search.training.data.reading.table import Table


def read(folder: Path, text: str, name: str = "d.jsonl") -> Table:
    (folder / name).write_text(text, encoding="utf-8")
    return read_file(folder / name)


def test_strings_and_numbers_keep_what_is_written_and_what_they_are(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        '{"a": "01", "n": 1.10, "b": true, "m": 1, "l": [1], "0": "x"}\n\n'
        '{"a": "1_2", "n": 100000000000000000001, "b": null, "m": "1", "l": null}\n',
    )
    cells = {name: column.cells for name, column in table.columns.items()}
    assert cells["a"] == ("01", "1_2")
    assert cells["n"] == ("1.10", "100000000000000000001")
    assert cells["b"] == ("True", None)
    assert cells["0"] == ("x", None)
    declared = {name: column.declared for name, column in table.columns.items()}
    assert declared == {
        "a": "text", "n": "number", "b": "boolean", "m": "unknown", "l": "nested", "0": "text",
    }  # fmt: skip
    assert table.place(1) == "line 3"


def test_what_is_in_a_list_or_an_object_stays_what_it_is(tmp_path: Path) -> None:
    written = '{"a": [1.10, "1", true, null, {"b": 100000000000000000001}, -Infinity]}'
    cells = read(tmp_path, written + "\n").columns["a"].cells
    assert cells == ('[1.10, "1", true, null, {"b": 100000000000000000001}, -Infinity]',)


@pytest.mark.parametrize("name", ["d.jsonl", "d.json"])
def test_a_list_of_objects_is_read_and_said(name: str, tmp_path: Path) -> None:
    table = read(tmp_path, '\ufeff[{"a": "x"},\n {"a": "y"}]\n', name)
    assert table.columns["a"].cells == ("x", "y")
    assert "a JSON list" in table.said[0] and table.place(1) == "row 2"


def test_line_separators_of_unicode_inside_a_string_end_no_line(tmp_path: Path) -> None:
    assert read(tmp_path, '{"a": "x\u2028y\x85z"}\n').columns["a"].cells == ("x\u2028y\x85z",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1}\n{"a": \n', "line 2: Expecting value"),
        ('{"a": 1}\n["x", 1]\n', "line 2 is not an object"),
        ('["x", 1]\n["y", 0]\n', "line 1 is not an object"),
        ('[{"a": 1}, 3]\n', "row 2 is not an object"),
        ('[{"a": 1},\n {"a"}]\n', "line 2"),
        ('{"a": 1, "a": 2}\n', "line 1: duplicate column names: 'a'"),
        ('{"a": "\\ud800"}\n', "line 1: column 'a' holds half a character"),
        ("[" * 100_000, "nested too deep"),
        ('{"a": ' + "[" * 3_000 + "]" * 3_000 + "}", "nested too deep"),
        ("", "holds no rows"),
        ("[]", "holds no rows"),
    ],
)
def test_what_is_no_table_is_refused_with_its_line(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert says in str(caught.value)
