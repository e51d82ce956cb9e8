"""Errors for the person who reads them: what was wrong, where, and what would be right."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_NEAR = 0.65
_FULL = {errno.ENOSPC, errno.EDQUOT}
# What libraries make of it that keep no number: safetensors, SQLite.
_FULL_IN_WORDS = ("No space left on device", "Disk quota exceeded", "database or disk is full")


class UserError(Exception):
    """A mistake that the user can mend; the command line prints it and exits with code 2."""


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
        key = f"{self.key}: " if self.key else ""
        return f"{place}{key}{self.message}"


class ConfigError(UserError, ValueError):
    """All mistakes of one configuration together.

    Attributes:
        problems: The mistakes in the order of the file.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


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
    return "known: " + ", ".join(beside or names)


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
