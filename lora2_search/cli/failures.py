"""How a verb ends when it cannot go on: exit codes, and what is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import Signals

import typer

from ..errors import ConfigError, UserError
from ..invocation import command_line
from ..signals import EXIT_CODES, Interrupted, signal_of

MISTAKE = 2


@contextmanager
def explained(verb: str) -> Iterator[None]:
    """Turn a user's mistake into its message and exit code 2, a signal into its own exit code.

    Anything else is a bug of ours and keeps its traceback.
    """
    try:
        yield
    except UserError as error:
        for line in str(error).splitlines():
            say(line)
        many = len(error.problems) if isinstance(error, ConfigError) else 1
        what = "1 problem" if many == 1 else f"{many} problems"
        say(f"{what}; options: {command_line(*verb.split(), '--help')}")
        raise typer.Exit(MISTAKE) from None
    except (IsADirectoryError, NotADirectoryError, FileExistsError, PermissionError) as error:
        # Something else stands where a file or folder of ours belongs, or nobody may touch it.
        say(f"{error.filename2 or error.filename}: {error.strerror}; move it away, or mend it")
        raise typer.Exit(MISTAKE) from None
    except KeyboardInterrupt as interrupt:
        # Whoever was interrupted may say how to go on: KeyboardInterrupt("resume with ...").
        came = signal_of(interrupt)
        by = "" if came == Signals.SIGINT else f" by {came.name}"
        say(f"\ninterrupted{by}" + "".join(f"; {part}" for part in interrupt.args))
        raise typer.Exit(EXIT_CODES[came]) from None


@contextmanager
def going_on_by(again: str, begun: Path) -> Iterator[None]:
    """Let an interruption say which command goes on, once the file ``begun`` exists."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if not begun.is_file():
            raise
        raise Interrupted(signal_of(interrupt), f"go on with: {again}") from None


def say(line: str) -> None:
    """Print one line about a failure on stderr; see `narration` for what is no failure."""
    print(line, file=sys.stderr, flush=True)
