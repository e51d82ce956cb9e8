"""What begins, said when it does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ..observer import Beginning, Observer
from .live import LiveView


@contextmanager
def watched(view: LiveView, *lines: str) -> Iterator[list[Observer]]:
    """Yield observers that say ``lines`` and open the view when the first run starts."""
    with ExitStack() as stack:
        yield [Beginning(lines, view.say, lambda: stack.enter_context(view)), view]
