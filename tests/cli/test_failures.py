from __future__ import annotations

import errno
import re
import signal
from pathlib import Path

import pytest
import typer

from lora2_search.cli.console.say import explain_errors, option, resume_hint
from lora2_search.errors import Argument, ConfigError, NameInUse, Problem, RequestError, UserError
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
        (KeyboardInterrupt("resume with: lora2-search tune --resume x"), 130, ["--resume x"]),
        (KeyboardInterrupt(), 130, ["interrupted"]),
        (Interrupted(signal.SIGTERM, "resume with: x"), 85, ["SIGTERM; resume with: x"]),
        (Interrupted(signal.SIGHUP), 129, ["interrupted by SIGHUP"]),
    ],
)
def test_an_end_that_is_no_bug_is_said_without_a_traceback(
    error: BaseException, code: int, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as caught, explain_errors("tune"):
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
        (KeyboardInterrupt(), Interrupted, "resume with: again"),
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
    with pytest.raises(told) as caught, resume_hint("again", tmp_path / "space.yaml"):
        raise error
    assert ("resume with: again" in str(caught.value)) == begun
    assert re.search(said, str(caught.value)) or not begun


def test_the_help_of_a_verb_of_two_words_can_be_pasted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit), explain_errors("runs show"):
        raise UserError("nothing there")
    assert "options: lora2-search runs show --help\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("storage", "uri", "ends"),
    [
        (None, None, ""),
        ("/shared/my studies", None, " --storage '/shared/my studies'"),
        (None, "http://tracks:5000", " --tracking-uri http://tracks:5000"),
        (None, "http://me:secret@tracks:5000", " --tracking-uri 'http://me:***@tracks:5000'"),
    ],
)
def test_a_name_in_use_is_told_with_the_options_that_go_on(
    storage: str | None, uri: str | None, ends: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = NameInUse("study", "tiny", Path("/home/studies/tiny"))
    with pytest.raises(typer.Exit), explain_errors("tune", storage and Path(storage), uri):
        raise error
    assert capsys.readouterr().err.startswith(
        "a study named tiny exists (/home/studies/tiny); resume it with "
        f"--resume tiny{ends}, or take another name\n"
    )


@pytest.mark.parametrize(
    ("argument", "python", "written"),
    [
        (Argument("add_seeds"), "add_seeds", "--add-seeds"),
        (Argument("resume", "a b"), "resume='a b'", "--resume 'a b'"),
        (Argument("overrides", "seeds=3"), "overrides=['seeds=3']", "--set seeds=3"),
    ],
)
def test_an_argument_is_named_as_python_and_as_the_command_line_write_it(
    argument: Argument, python: str, written: str
) -> None:
    error = RequestError("say ", argument, " alone")
    assert str(error) == f"say {python} alone"
    assert error.words(option) == f"say {written} alone"


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), explain_errors("tune"):
        raise ZeroDivisionError
