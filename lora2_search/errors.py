"""Errors for the person who reads them: what was wrong, where, and what would be right."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

_NEAR = 0.65
# What is printed of what was written wrong: a file may hold anything.
_LONGEST_KEY = 200
_LONGEST_MESSAGE = 2_000
_MOST_LINES = 50
# What a message names at most, of names at most so long.
_LISTED, _LONGEST = 40, 60
# What a terminal obeys in place of showing it, and halves of characters, which it cannot show;
# tabs and ends of lines are harmless.
_OBEYED = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_FULL = {errno.ENOSPC, errno.EDQUOT}
# What libraries make of it that keep no number: safetensors, SQLite.
_FULL_IN_WORDS = ("No space left on device", "Disk quota exceeded", "database or disk is full")


class UserError(Exception):
    """A mistake that the user can mend; the command line prints it and exits with code 2."""


@dataclass(frozen=True)
class Argument:
    """An argument of ours, as a message names it; Python and the command line write it otherwise.

    Attributes:
        name: Its name in Python.
        value: What it should be; ``None`` to name the argument alone.
    """

    name: str
    value: str | None = None

    def __str__(self) -> str:
        if self.value is None:
            return self.name
        written = [self.value] if self.name == "overrides" else self.value
        return f"{self.name}={written!r}"


class RequestError(UserError):
    """A mistake whose message names arguments.

    Attributes:
        parts: The message, in order.
    """

    def __init__(self, *parts: str | Argument) -> None:
        self.parts = parts
        super().__init__(self.words(str))

    def words(self, written: Callable[[Argument], str]) -> str:
        """Return the message, each argument as ``written`` says."""
        return "".join(part if isinstance(part, str) else written(part) for part in self.parts)


class NameInUse(RequestError):
    """A new study, suite or run was to have the name of one that exists.

    Attributes:
        kind: ``study``, ``suite`` or ``run``.
        name: The name.
        folder: Where the one of that name is.
    """

    def __init__(self, kind: str, name: str, folder: Path) -> None:
        self.kind, self.name, self.folder = kind, name, folder
        super().__init__(
            f"a {kind} named {name} exists ({folder}); resume it with ",
            Argument("resume", name),
            ", or take another name",
        )


class FolderGone(UserError):
    """A folder that this process holds is no longer there: it was moved, or is not mounted."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} is gone: it was moved or deleted, or its file system is no longer mounted"
        )


class Preempted(Exception):
    """The process of a run has to go; the run goes on elsewhere, from the checkpoint just made."""


class BaseChanged(Exception):
    """A run wrote into the pretrained weights that it shares with the next runs of its process."""


@dataclass(frozen=True)
class Problem:
    """One mistake in a configuration.

    Attributes:
        key: Dotted path of the setting, for example ``adapter.k``; empty for the whole file.
        message: What was wrong, with the value, and what would be right.
        where: ``file:line`` or ``--set key=value``; empty when the value came from Python.
    """

    key: str
    message: str
    where: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        key = f"{_cut(self.key, _LONGEST_KEY)}: " if self.key else ""
        return f"{place}{key}{_cut(self.message, _LONGEST_MESSAGE)}"


def _cut(text: str, longest: int) -> str:
    """Return the text, without its middle where it is longer than anybody reads."""
    if len(text) <= longest:
        return text
    return f"{text[: longest * 3 // 4]} … {text[-longest // 4 :]}"


class ConfigError(UserError, ValueError):
    """All mistakes of one configuration together.

    Attributes:
        problems: The mistakes in the order of the file.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        lines = [str(problem) for problem in self.problems[:_MOST_LINES]]
        if len(self.problems) > _MOST_LINES:
            lines.append(f"and {len(self.problems) - _MOST_LINES:,} more")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[Problem]]]:
        # It crosses between processes; by default it would be made anew from its message.
        return type(self), (self.problems,)


def printable(text: str) -> str:
    """Return a text with its control characters, and those that change direction, as escapes."""
    return _OBEYED.sub(lambda found: repr(found[0])[1:-1], text)


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says; of one that says nothing, its kind."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error says that the disk, or the user's part of it, is full."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return says_disk_full(str(error))


def says_disk_full(text: str) -> bool:
    """Return whether a message, perhaps of another process, says so."""
    return any(words in text for words in _FULL_IN_WORDS)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean "x"?`` or the list of known names, for the end of a message."""
    names = sorted(known)
    near = nearest(name, names)
    if near is not None:
        return f'did you mean "{near}"?'
    section = name.rpartition(".")[0]
    beside = [other for other in names if section and other.rpartition(".")[0] == section]
    return "known: " + listed(beside or names)


def listed(names: Iterable[str]) -> str:
    """Return names as a list for a message: the first ones, and how many more there are."""
    known = list(names)
    more = f" and {len(known) - _LISTED:,} more" if len(known) > _LISTED else ""
    return ", ".join(_short(name) for name in known[:_LISTED]) + more


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that ``name`` was meant to be, ``None`` where none is near.

    Of dotted names the last parts are compared: that ``adapter.foo`` and ``adapter.k`` share their
    section does not make them alike.
    """

    def likeness(other: str) -> tuple[float, float]:
        last = name.rpartition(".")[2], other.rpartition(".")[2]
        return _alike(*last), _alike(name, other)

    best = max(known, key=likeness, default=None)
    return best if best is not None and likeness(best)[0] >= _NEAR else None


def _alike(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower(), other.lower()).ratio()
