"""Rows that cannot be learnt from: what is wrong with each, and where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ...errors import ConfigError, Problem

_SHOWN = 3


class Wrong(ValueError):
    """A row cannot be learnt from; the message says why and what would be right.

    Attributes:
        key: The setting that it is reported under; ``None`` for the one that names the column.
    """

    def __init__(self, message: str, key: str | None = None) -> None:
        self.key = key
        super().__init__(message)


class WrongRows:
    """Collects what is wrong with rows, so that several are reported together.

    Args:
        key: The setting of those that name none.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._problems: list[Problem] = []

    @contextmanager
    def row(self, place: str) -> Iterator[None]:
        """Note what the block finds wrong with a row."""
        try:
            yield
        except Wrong as error:
            self._problems.append(Problem(error.key or self._key, f"{place}: {error}"))

    def check(self) -> None:
        """Raise ``ConfigError`` with the first rows, and how many more there are."""
        problems: Sequence[Problem] = self._problems
        if more := len(problems[_SHOWN:]):
            last = Problem(problems[_SHOWN].key, f"and {more:,} more such rows")
            problems = [*problems[:_SHOWN], last]
        if problems:
            raise ConfigError(problems)


@contextmanager
def no_row(key: str) -> Iterator[None]:
    """Report what is wrong with a text that stands in no row, such as a new prompt.

    Raises:
        ConfigError: In place of ``Wrong``.
    """
    try:
        yield
    except Wrong as error:
        raise ConfigError([Problem(error.key or key, str(error))]) from None
