"""What begins, said when it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from ..observer import Observer, RunInfo, State
from .live import LiveView

if TYPE_CHECKING:
    from ..training.record import RunRecord
    from ..training.reporter import Report


class Beginning:
    """An observer that says lines, then calls ``then`` at the first run.

    Not before: what is refused (its name is in use, no cluster answers) has not begun.
    """

    def __init__(
        self, lines: tuple[str, ...], say: Callable[[str], None], then: Callable[[], object]
    ) -> None:
        self._lines, self._then, self._said = lines, then, False
        self._say = say

    def started(self, run: RunInfo) -> None:
        """Say the lines, once."""
        if self._said:
            return
        self._said = True
        for line in self._lines:
            self._say(line)
        self._then()

    def reported(self, run: RunInfo, report: Report) -> None:
        """Do nothing."""

    def ended(self, run: RunInfo, state: State, record: RunRecord | None, reason: str) -> None:
        """Do nothing."""


@contextmanager
def watched(view: LiveView, *lines: str) -> Iterator[list[Observer]]:
    """Yield observers that say ``lines`` and open the view when the first run starts."""
    with ExitStack() as stack:
        yield [Beginning(lines, view.say, lambda: stack.enter_context(view)), view]
