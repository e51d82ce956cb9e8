from __future__ import annotations

import errno
import re
import signal
from pathlib import Path

import pytest
import typer

from lora2_search.cli.console.say import explained, going_on_by
from lora2_search.errors import ConfigError, Problem, UserError
from lora2_search.signals import Interrupted


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
        (Interrupted(signal.SIGTERM, "go on with: x"), 85, ["interrupted by SIGTERM; go on with"]),
        (Interrupted(signal.SIGHUP), 129, ["interrupted by SIGHUP"]),
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


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize(
    ("error", "told", "said"),
    [
        (KeyboardInterrupt(), Interrupted, "go on with: again"),
        (
            OSError(errno.ENOSPC, "No space left"),
            UserError,
            "the disk is full .*; free some space, then",
        ),
    ],
)
def test_what_has_begun_says_how_it_goes_on(
    error: BaseException, told: type[BaseException], said: str, begun: bool, tmp_path: Path
) -> None:
    if begun:
        (tmp_path / "space.yaml").touch()
    with pytest.raises(told) as caught, going_on_by("again", tmp_path / "space.yaml"):
        raise error
    assert ("go on with: again" in str(caught.value)) == begun
    assert re.search(said, str(caught.value)) or not begun


def test_the_help_of_a_verb_of_two_words_can_be_pasted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit), explained("runs show"):
        raise UserError("nothing there")
    assert "options: lora2-search runs show --help\n" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), explained("tune"):
        raise ZeroDivisionError
