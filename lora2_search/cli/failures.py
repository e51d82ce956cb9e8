"""How a verb ends when it cannot go on: exit codes, and what is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from ..errors import ConfigError, UserError
from ..invocation import command_line

MISTAKE = 2
INTERRUPTED = 130


@contextmanager
def explained(verb: str) -> Iterator[None]:
    """Turn a user's mistake into its message and exit code 2, Ctrl-C into exit code 130.

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
    except KeyboardInterrupt as interrupt:
        # Whoever was interrupted may say how to go on: KeyboardInterrupt("resume with ...").
        say("\ninterrupted" + "".join(f"; {part}" for part in interrupt.args))
        raise typer.Exit(INTERRUPTED) from None


def say(line: str) -> None:
    """Print one line about a failure on stderr; see `narration` for what is no failure."""
    print(line, file=sys.stderr, flush=True)
