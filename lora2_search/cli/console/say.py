"""Lines for people, and failures in their words."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import Signals

import typer

from ...errors import (
    Argument,
    ConfigError,
    FolderGone,
    RequestError,
    UserError,
    first_line,
    is_disk_full,
)
from ...signals import EXIT_CODES, Interrupted, cause, last_words, signal_of
from ...store import command_line
from ...tracking import options, redacted, resolve_uri
from .screen import complain, tell


def narrator(as_json: bool = False) -> Callable[[str], None]:
    """Return what prints a line for people: on stdout, or on stderr where stdout is for JSON.

    While a `LiveView` is drawn use its own `say`, which writes above the table.
    """

    def say(line: str) -> None:
        tell(line, stream=sys.stderr if as_json else sys.stdout)

    return say


MISTAKE = 2

# The others are called as the arguments are.
_OPTIONS = {"overrides": "--set"}


@contextmanager
def explain_errors(
    verb: str, storage: Path | None = None, tracking_uri: str | None = None
) -> Iterator[None]:
    """Turn a user's mistake into its message and exit code 2, a signal into its own exit code.

    Anything else is a bug of ours and keeps its traceback.

    Args:
        verb: The verb, for the way to its options.
        storage: The folder that it was given, which going on needs too.
        tracking_uri: The same of the MLflow store.
    """
    try:
        yield
    except UserError as error:
        for line in cli_message(error, storage, tracking_uri).splitlines():
            say(line)
        many = len(error.problems) if isinstance(error, ConfigError) else 1
        what = "1 problem" if many == 1 else f"{many} problems"
        complain(f"{what}; options: {command_line(*verb.split(), '--help')}", "")
        raise typer.Exit(MISTAKE) from None
    except (IsADirectoryError, NotADirectoryError, FileExistsError, PermissionError) as error:
        # Something else stands where a file or folder of ours belongs, or nobody may touch it.
        say(f"{error.filename2 or error.filename}: {error.strerror}; move it away, or fix it")
        raise typer.Exit(MISTAKE) from None
    except KeyboardInterrupt as interrupt:
        # Whoever was interrupted may say how to resume: KeyboardInterrupt("resume with ...").
        came = signal_of(interrupt)
        _say_interrupted(came, *interrupt.args)
        raise typer.Exit(EXIT_CODES[came]) from None


def cli_message(
    error: Exception, storage: Path | None = None, tracking_uri: str | None = None
) -> str:
    """Return an error's message with its arguments as the command line writes them."""
    if isinstance(error, RequestError):
        return error.words(lambda argument: option(argument, storage, tracking_uri))
    return str(error)


def option(argument: Argument, storage: Path | None = None, tracking_uri: str | None = None) -> str:
    """Return how an argument is written on the command line.

    A command that resumes something named is ready to paste: the storage and the tracking URI
    that were given follow the name.
    """
    from ...store import storage_name

    words = [_OPTIONS.get(argument.name, f"--{argument.name.replace('_', '-')}")]
    if argument.value is not None:
        words.append(argument.value)
    if argument.name == "resume" and argument.value is not None:
        words += ["--storage", storage_name(storage)] if storage is not None else []
        words += options(resolve_uri(tracking_uri))
    return shlex.join(words)


@contextmanager
def resume_hint(again: str, begun: Path) -> Iterator[None]:
    """Say which command resumes after an interruption, or once a disk has room or a folder is back.

    Args:
        again: The command.
        begun: Where this file does not exist there is nothing to resume.

    Raises:
        Interrupted: Instead of a plain interrupt.
        UserError: Instead of what a library makes of a full disk, and of `FolderGone`.
    """

    def on() -> list[str]:
        return [f"resume with: {again}"] if begun.is_file() else []

    try:
        with last_words(lambda came: _say_interrupted(came, *on())):
            yield
    except KeyboardInterrupt as interrupt:
        raise Interrupted(signal_of(interrupt), "".join(on())) from None
    except FolderGone as gone:
        raise UserError(f"{gone}; bring it back, then resume with: {again}") from None
    except Exception as error:
        if not is_disk_full(error):
            raise
        advice = f"then resume with: {again}" if begun.is_file() else "then try again"
        raise UserError(
            f"the disk is full ({first_line(error)}); free some space, {advice}"
        ) from None


def _say_interrupted(came: Signals, *more: object) -> None:
    by = "" if came == Signals.SIGINT else f" by {came.name}"
    if reason := cause():
        by = f": {reason}"
    line = f"\ninterrupted{by}" + "".join(f"; {part}" for part in more)
    complain(redacted(line), "warning")


def say(line: str) -> None:
    """Print one line about a failure on stderr, no password in it; see `narrator` for others."""
    complain(redacted(line))
