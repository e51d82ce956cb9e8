from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from lora2_search.cli.app import app
from lora2_search.cli.commands.params import parse_widths
from lora2_search.errors import UserError


def params(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["params", *map(str, arguments)])


@pytest.mark.parametrize(
    ("k", "r", "words"),
    [
        (8, 8, ["1,336,896", "9,792", "99.27%", "0.72%"]),
        (8, 16, ["1,346,688", "19,584", "98.55%", "0.73%"]),
        (1, 1, ["166,104", "216", "99.87%", "0.09%"]),
    ],
)
def test_the_method_s_table_is_printed_the_head_apart(k: int, r: int, words: list[str]) -> None:
    result = params("--model", "microsoft/deberta-v3-base", "--k", k, "--r", r)
    assert result.exit_code == 0, result.output
    for word in (*words, "592,130", "184,423,682"):
        assert word in result.stdout
    assert "k = 8, r = 16" in result.stdout and "none of its published settings" in result.stdout


def test_json_holds_kinds_and_totals() -> None:
    told = json.loads(params("--model", "minilm", "--k", "16,8", "--r", 4, "--json").stdout)
    assert told["k"] == [16, 8]
    found = told["parameters"]
    assert sum(kind["adapter"] for kind in found["kinds"]) == found["adapter"]
    assert found["scoring_saved"] == pytest.approx(1 - found["scored_reduced"] / found["adapter"])


@pytest.mark.parametrize("names", [["query,value"], ["query", "value"]])
def test_target_modules_may_be_repeated_or_parted_by_commas(names: list[str]) -> None:
    options = [word for name in names for word in ("--target-modules", name)]
    told = json.loads(params("--model", "minilm", *options, "--json").stdout)["parameters"]
    assert [kind["name"].rpartition(".")[2] for kind in told["kinds"]] == ["query", "value"]


@pytest.mark.parametrize(
    ("text", "widths"),
    [
        ("8", 8),
        ("16,8", [16, 8]),
        ("[16, 8]", [16, 8]),
        ("[8]", [8]),
        ("", []),
        ("none", []),
        ("[]", []),
    ],
)
def test_widths_are_read_as_they_are_written(text: str, widths: int | list[int]) -> None:
    assert parse_widths(text) == widths


@pytest.mark.parametrize("text", ["eight", "8;4", "8,", "1.5"])
def test_widths_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="16,8"):
        parse_widths(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--k", "0"], "`k` must be at least 1"),
        (["--labels", "0"], "--labels must be at least 1"),
        (["--model", "/nowhere/model"], "no folder /nowhere/model"),
        (["--k", "many"], "--k must be a width"),
    ],
)
def test_mistakes_are_told_without_a_traceback(arguments: list[str], words: str) -> None:
    result = params(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr and "Traceback" not in result.output
