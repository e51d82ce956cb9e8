from __future__ import annotations

import sys

import pytest

from lora2_search.cli.console.live import LiveView
from lora2_search.cli.console.say import narrator, say
from lora2_search.cli.console.screen import hand_over

# A colour, a title of the window, a cleared screen, a beep, text from right to left, a half.
ACTS = "a\x1b[31mb\x1b]0;title\x07c\x1b[2J\x9bd\u202ee\ud83df\r"
SHOWN = r"a\x1b[31mb\x1b]0;title\x07c\x1b[2J\x9bd\u202ee\ud83df\r"


@pytest.mark.parametrize(("as_json", "out", "err"), [(False, "x\n", ""), (True, "", "x\n")])
def test_narration_is_on_stdout_unless_that_is_for_json(
    as_json: bool, out: str, err: str, capsys: pytest.CaptureFixture[str]
) -> None:
    narrator(as_json)("x")
    assert capsys.readouterr() == (out, err)


def test_what_a_terminal_would_obey_is_shown_as_escapes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    narrator()(ACTS)
    LiveView().say(ACTS)
    say(ACTS)
    harmless = "tab\tend, ünïcode 🙂, a family 👨\u200d👩\u200d👧"
    say(harmless.expandtabs())
    assert capsys.readouterr() == (f"{SHOWN}\n" * 2, f"{SHOWN}\n{harmless.expandtabs()}\n")


@pytest.mark.parametrize(("terminal", "printed"), [(True, "a\\x1b[2J\n"), (False, "a\x1b[2J\n")])
def test_an_answer_is_printable_on_a_terminal_and_as_it_is_elsewhere(
    terminal: bool,
    printed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    hand_over("a\x1b[2J")
    assert capsys.readouterr().out == printed
