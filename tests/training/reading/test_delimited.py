from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lora2_search.config.schema import DataConfig
from lora2_search.errors import ConfigError
from lora2_search.training.data.reading.file import read_file
from lora2_search.training.data.reading.table import Table


def read(folder: Path, content: str, name: str = "d.csv", **data: Any) -> Table:
    path = folder / name
    path.write_text(content, encoding="utf-8", newline="")
    return read_file(path, data=DataConfig(**data))


def rows(table: Table) -> list[tuple[str | None, ...]]:
    return list(zip(*(column.cells for column in table.columns.values()), strict=True))


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("d.csv", "review,verdict\na,x\nb, c,y\n", "line 3 has 3 fields, the first line 2"),
        ("d.csv", "review,verdict\na,x,\nb,y\n", "line 2 has 3 fields, the first line 2"),
        ("d.csv", 'review,verdict\n"a\nb",x\nc\n', "line 4 has 1 field, the first line 2"),
        (
            "d.csv",
            'review,verdict\n"he said \\"no\\", twice",x\n',
            "line 2: a quoted field continues",
        ),
        ("d.csv", 'review,verdict\na,x\n"b,y\n', "line 3: a field begins with a quote"),
        ("d.tsv", "review\tverdict\na\tx\t1\nb\ty\n", "line 2 has 3 fields, the first line 2"),
        ("d.csv", "review,verdict,review\na,x,b\n", "'review'; rename them"),
        ("d.csv", "a,b\n1,x\na,b\n2,y\n", "line 3 repeats the first line"),
        ("d.csv", "a;b,c\nx;y,z\nx;y;z\n", "line 3 has 1 field"),
        ("d.csv", "a;b,c\nx;y,z\n", "data.separator=, or --set data.separator=;"),
        ("d.csv", "a;b\nx;y;z\n", "name the separator: --set data.separator=;"),
        ("d.csv", "a|b;c\nx|y;z\n", "--set data.separator=; or --set data.separator=bar"),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_their_line(
    name: str, text: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, name, text=["a"])
    assert says in str(caught.value)


def test_a_separator_that_every_row_ends_in_is_dropped_and_said(tmp_path: Path) -> None:
    table = read(tmp_path, "review,verdict\na,x,\nb,y,\n")
    assert rows(table) == [("a", "x"), ("b", "y")]
    assert "every row ends in 1 more empty field than" in table.said[0]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_taken_where_it_alone_fits_and_is_said(
    separator: str, tmp_path: Path
) -> None:
    lines = ["review|verdict", "it was, well, fine|x", "no, no|y"]
    table = read(tmp_path, "\n".join(lines).replace("|", separator))
    assert rows(table) == [("it was, well, fine", "x"), ("no, no", "y")]
    assert table.settings == {"separator": separator}
    assert "separated by" in table.said[0]


def test_the_separator_of_excels_first_line_is_taken_and_lines_still_count(tmp_path: Path) -> None:
    table = read(tmp_path, "sep=;\nreview;verdict\na;x\n")
    assert rows(table) == [("a", "x")]
    assert table.place(0) == "line 3"


@pytest.mark.parametrize(
    ("separator", "text"), [("tab", "a\tb\nx\ty\n"), ("bar", "a|b\nx|y\n"), ("~", "a~b\nx~y\n")]
)
def test_a_separator_that_is_named_is_taken(separator: str, text: str, tmp_path: Path) -> None:
    assert rows(read(tmp_path, text, separator=separator)) == [("x", "y")]


def test_quotes_in_a_tsv_enclose_fields_where_the_whole_file_reads_so(tmp_path: Path) -> None:
    table = read(tmp_path, 'a\tb\n"two\nlines"\tx\n"a ""word"""\ty\n', "d.tsv")
    assert rows(table) == [("two\nlines", "x"), ('a "word"', "y")]
    assert [table.place(row) for row in range(2)] == ["line 2", "line 4"]


def test_quotes_are_letters_where_the_user_says_so(tmp_path: Path) -> None:
    assert rows(read(tmp_path, 'a,b\n"x",y\n', quotes=False)) == [('"x"', "y")]


@pytest.mark.parametrize(
    ("name", "separator"), [("d.tsv", "\t"), ("d.csv", ","), ("d.csv", ";"), ("d.csv", "|")]
)
def test_a_file_that_reads_in_two_ways_is_refused_whatever_its_separator(
    name: str, separator: str, tmp_path: Path
) -> None:
    text = 'a|b\n"x|1\nso, it was|1\ny"|0\n'.replace("so,", "so").replace("|", separator)
    with pytest.raises(ConfigError, match="2 rows if its quotes .*, 4 if .*; set data.quotes"):
        read(tmp_path, text, name)
    assert len(read(tmp_path, text, name, quotes=True, separator=separator)) == 1
    assert len(read(tmp_path, text, name, quotes=False, separator=separator)) == 3


def test_a_stray_quote_in_a_hundred_rows_loses_none_of_them_in_silence(tmp_path: Path) -> None:
    lines = [f"text {i},{i % 2}" for i in range(100)]
    lines[20], lines[50] = f'"{lines[20]}', 'text 50",0'
    with pytest.raises(
        ConfigError, match="71 rows .* 101 if they are ordinary characters; set data.quotes"
    ):
        read(tmp_path, "text,label\n" + "\n".join(lines))


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_texts_of_several_lines_with_separators_are_read_as_they_were_written(
    ending: str, tmp_path: Path
) -> None:
    text = 'a,b\n"well, fine, so\n\nand ""so"", on",x\n"one, two\nthree",y\nfour,x\n'
    table = read(tmp_path, text.replace("\n", ending))
    assert len(table) == 3 and table.said == ()


STRAY = "d.csv: 1 text spans 30 lines (lines 4 to 33), each of which would be a row"


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [(2, 31, STRAY), (2, 3, "(lines 4 to 5)"), (2, 4, "spans 3 lines (lines 4 to 6)")],
)
@pytest.mark.parametrize("row", ["text {i},{label}", "{label},text {i}", "{i},text {i},{label}"])
def test_a_text_that_swallows_rows_is_said_where_quotes_are_needed_elsewhere(
    row: str, first: int, last: int, says: str, tmp_path: Path
) -> None:
    lines = [row.format(i=i, label="good" if i % 3 else "bad") for i in range(60)]
    lines[first] = lines[first].replace("text", '"text')
    lines[last] = lines[last].replace(f"text {last}", f'text {last}"')
    lines[50] = lines[50].replace("text 50", '"text, 50"')
    table = read(tmp_path, "\n".join([row.replace("{", "").replace("}", ""), *lines]), header=True)
    assert len(table) == 60 - (last - first)
    assert len(table.said) == 1 and says in table.said[0]


def test_texts_that_swallow_rows_are_counted(tmp_path: Path) -> None:
    lines = ["text,label", '"a,1', 'b",0', '"c,1', "d,0", 'e",0', '"f, g",1', "h,0"]
    told = read(tmp_path, "\n".join(lines)).said[0]
    assert "2 texts span several lines (the first 2: lines 2 to 3)" in told


@pytest.mark.parametrize(
    "text",
    [
        "it was fine,x\nnot at all,y\nwell,x\nso so,y\nagain,x\n",
        "it was fine,0.5\nnot at all,0.25\nwell,0.75\n",
    ],
)
def test_a_first_line_that_is_a_row_is_kept_as_one_and_said(text: str, tmp_path: Path) -> None:
    table = read(tmp_path, text)
    assert list(table.columns) == ["0", "1"]
    assert len(table) == text.count("\n")
    assert table.columns["0"].cells[0] == "it was fine"
    assert "no header" in table.said[0] and table.settings == {"header": False}


def test_a_header_whose_names_are_wanted_or_are_numbers_in_order_is_one(tmp_path: Path) -> None:
    text = "x,good\na,good\nb,good\nc,bad\n"
    assert list(read(tmp_path, text).columns) == ["0", "1"]
    assert list(read(tmp_path, text, text=["x"], label="good").columns) == ["x", "good"]
    assert list(read(tmp_path, text, header=True).columns) == ["x", "good"]
    assert len(read(tmp_path, "0,1\na,1\nb,0\nc,1\n")) == 3


def test_a_nameless_index_column_keeps_the_name_that_pandas_gives_it(tmp_path: Path) -> None:
    assert list(read(tmp_path, ",text\n0,a\n").columns) == ["Unnamed: 0", "text"]


def test_cells_stay_as_written(tmp_path: Path) -> None:
    cells = [
        "01",
        "1_2",
        "1.10",
        "001000",
        "1e5",
        "NA",
        "None",
        "null",
        "TRUE",
        " x ",
        "2020-01-02",
    ]
    table = read(tmp_path, "code,n\n" + "".join(f"{cell},1\n" for cell in cells))
    assert list(table.columns["code"].cells) == cells


def test_a_field_may_be_longer_than_the_csv_module_allows_by_itself(tmp_path: Path) -> None:
    assert rows(read(tmp_path, f"a,b\n{'x' * 200_000},1\n"))[0][0] == "x" * 200_000


def test_three_thousand_columns_make_no_message_of_three_thousand_names(tmp_path: Path) -> None:
    from lora2_search.config.run import RunConfig, with_settings
    from lora2_search.training.data.load import load_data

    names = [f"column_number_{i}" for i in range(3000)]
    (tmp_path / "wide.csv").write_text(",".join(names) + "\n" + ",".join("x" * 3000) + "\n")
    for more in ({}, {"data.text": ["absent"], "data.label": "none"}):
        with pytest.raises(ConfigError) as caught:
            config = {"task": "custom", "data.path": str(tmp_path / "wide.csv"), **more}
            load_data(with_settings(RunConfig(task="sentiment"), config))
        assert len(str(caught.value)) < 3000
