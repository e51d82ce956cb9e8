from __future__ import annotations

from pathlib import Path

import pytest

from lora2_search.config.run import RunConfig, with_settings
from lora2_search.config.schema import DataConfig
from lora2_search.errors import ConfigError
from lora2_search.training.data.reading.file import read_file

TEXT = "review,verdict\nplain,x\nnaïve – “café”,y\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_utf8_and_what_a_mark_announces_is_read(encoding: str, suffix: str, tmp_path: Path) -> None:
    text = TEXT if suffix == "csv" else '{"review": "naïve"}\n{"review": "naïve – “café”"}\n'
    path = tmp_path / f"d.{suffix}"
    path.write_bytes(text.encode(encoding))
    table = read_file(path)
    assert table.columns["review"].cells[1] == "naïve – “café”"
    assert bool(table.said) == (encoding in ("utf-16", "utf-32"))


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "shift_jis"])
def test_an_encoding_that_is_named_is_taken(encoding: str, tmp_path: Path) -> None:
    text = TEXT if encoding != "shift_jis" else "review,verdict\nx,x\n日本,y\n"
    path = tmp_path / "d.csv"
    path.write_bytes(text.encode(encoding))
    cells = read_file(path, data=DataConfig(encoding=encoding)).columns["review"].cells
    assert cells[1] == text.splitlines()[2].partition(",")[0]


@pytest.mark.parametrize(
    ("raw", "data", "says"),
    [
        (
            TEXT.encode("cp1252"),
            {},
            ["line 3 is not UTF-8", "save", "data.encoding=cp1252", "café"],
        ),
        (TEXT.encode("utf-16-le"), {}, ["line 1", "data.encoding=utf-16-le"]),
        (b"a,b\nx\0,y\n", {}, ["line 2 holds a NUL character"]),
        (
            TEXT.encode("cp1252"),
            {"encoding": "ascii"},
            ["line 3 is not valid ascii", "data.encoding"],
        ),
        (TEXT.encode("utf-16")[:-1], {}, ["is not UTF-16"]),
    ],
)
def test_other_bytes_are_refused_with_the_line_and_the_remedy(
    raw: bytes, data: dict[str, str], says: list[str], tmp_path: Path
) -> None:
    (tmp_path / "d.csv").write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        read_file(tmp_path / "d.csv", data=DataConfig(**data))
    for words in says:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("encoding", "utf-88", "no encoding of that name: 'utf-88'"),
        ("encoding", "base64", "no encoding of that name"),
        ("separator", "::", "one character"),
        ("separator", '"', "one character"),
        ("separator", "x", "one character"),
    ],
)
def test_a_setting_of_reading_that_cannot_be_is_refused(key: str, value: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        with_settings(RunConfig(task="sentiment"), {f"data.{key}": value})
