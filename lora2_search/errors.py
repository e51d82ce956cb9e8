"""Errors for the person who reads them: what was wrong, where, and what would be right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


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


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean "x"?`` or the list of known names, for the end of a message."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f'did you mean "{close[0]}"?'
    return "known: " + ", ".join(names)
