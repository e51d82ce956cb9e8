from __future__ import annotations

import pytest
import typer

from lora2_search.cli.failures import explained
from lora2_search.errors import ConfigError, Problem, UserError


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (
            UserError("the name is in use"),
            2,
            ["the name is in use", "1 problem; options: lora2-search tune --help"],
        ),
        (
            ConfigError([Problem("a", "is x", "f.yaml:1"), Problem("b", "is y", "f.yaml:2")]),
            2,
            ["f.yaml:1: a: is x", "f.yaml:2: b: is y", "2 problems; options"],
        ),
        (KeyboardInterrupt("go on with: lora2-search tune --resume x"), 130, ["--resume x"]),
        (KeyboardInterrupt(), 130, ["interrupted"]),
    ],
)
def test_an_end_that_is_no_bug_is_said_without_a_traceback(
    error: BaseException, code: int, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as caught, explained("tune"):
        raise error
    assert caught.value.exit_code == code
    said = capsys.readouterr()
    assert said.out == ""
    for line in lines:
        assert line in said.err
    assert "Traceback" not in said.err


def test_the_help_of_a_verb_of_two_words_can_be_pasted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit), explained("runs show"):
        raise UserError("nothing there")
    assert "options: lora2-search runs show --help\n" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), explained("tune"):
        raise ZeroDivisionError
