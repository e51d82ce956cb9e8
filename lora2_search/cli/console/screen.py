"""How lines for people are written: in colours on a terminal, as plain text elsewhere.

A colour never stands alone: the word beside it says the same. `NO_COLOR` turns colours off.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, TextIO

from ...errors import printable

if TYPE_CHECKING:
    from rich.console import Console

Style = Literal["winner", "warning", "failure", "running", "quiet", "head", ""]

STYLES: dict[Style, str] = {
    "winner": "bold green",
    "warning": "yellow",
    "failure": "bold red",
    "running": "cyan",
    "quiet": "dim",
    "head": "bold",
}

# Labels of the lines at the end of a study, a suite or a run; their values begin here.
_LABELS = 13


def screen(
    stream: TextIO | None = None, *, width: int | None = None, terminal: bool | None = None
) -> Console:
    """Return a console that prints text as it is: no markup, no emoji, no line folded.

    Args:
        stream: Where to; stdout when not given.
        width: Of the terminal; found out when not given.
        terminal: Whether it is one; found out when not given.
    """
    from rich.console import Console
    from rich.theme import Theme

    return Console(
        file=stream,
        width=width,
        force_terminal=terminal,
        theme=Theme({name: style for name, style in STYLES.items() if name}),
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )


def tell(line: str, style: Style = "", *, stream: TextIO | None = None) -> None:
    """Print one line for people, on stdout when no stream is given; data in it cannot act."""
    screen(stream).print(printable(line), style=style or None)


def complain(line: str, style: Style = "failure") -> None:
    """Print one line about a failure, or a warning, on stderr."""
    tell(line, style, stream=sys.stderr)


def hand_over(text: str) -> None:
    """Print what was asked for on stdout: for a file or a program as it is, else printable."""
    print(printable(text) if sys.stdout.isatty() else text)


def facts(pairs: Iterable[tuple[str, str]], style: Style = "") -> None:
    """Print labels and values, the values below each other; an empty label goes on."""
    console = screen()
    for label, value in pairs:
        head = f"{label}:" if label else ""
        console.print(f"{head:<{_LABELS}}{value}", style=style or None)


def places(ui: str, address: str | None, report: str | None = None) -> None:
    """Print where to look next.

    Args:
        ui: The command that starts MLflow.
        address: The prepared view in MLflow, where its store has it.
        report: The page.
    """
    pairs = [("Report", report)] if report else []
    facts([*pairs, ("MLflow", ui), *([("", f"opens {address}")] if address else [])])
